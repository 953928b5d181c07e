"""The page's scripts, style sheets and templates, read once at import."""

from __future__ import annotations

import json
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


def page_scripts(*names: str, **constants: object) -> str:
    """Scripts as one function, which Gradio calls when the page opens. They share their names and the constants."""
    parts = [f"const {name} = {json.dumps(value)};" for name, value in constants.items()]
    return f"() => {{\n{''.join([*parts, *map(script, names)])}}}"
