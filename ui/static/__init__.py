"""The page's scripts, style sheets and templates, read once at import."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def script(name: str) -> str:
    """The script `name`.js."""
    return (FOLDER / f"{name}.js").read_text(encoding="utf-8")


def styles() -> list[str]:
    """Names of the style sheets."""
    return sorted(path.stem for path in FOLDER.glob("*.css"))


def style(name: str) -> str:
    """The style sheet `name`.css."""
    return (FOLDER / f"{name}.css").read_text(encoding="utf-8")


def template(name: str) -> str:
    """The template `name`.html."""
    return (FOLDER / f"{name}.html").read_text(encoding="utf-8")
