"""The strings of the page: of its components, of the rooms that it shows, and of its scripts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
# Answers to programs, the command line and errors of the operator's files stay English.
NOT_SHOWN = re.compile(
    r"ui/(api|calls|guard|health|machines|compression|frontend|theme|languages/.*|examples/compute|examples/__main__|parts/arguments"
    r"|parts/\w*endpoint|parts/values)\.py|inversion/images/(tensors|profiles)\.py|inversion/metrics/sets\.py|inversion/serving/(archive/index|"
    r"engines/.*|schemas|__init__|costs|estimates)\.py"
    r"|inversion/(images|tasks|methods|editing|translations|analysis|grids|directions|checkpoints/layouts|generators|encoders|"
    r"perception)/__init__\.py|inversion/checkpoints/(registry|hub|places)\.py"
)
SHOWN = (
    *("ui", "inversion/images", "inversion/align.py", "inversion/tasks", "inversion/serving", "inversion/methods"),
    *("inversion/editing", "inversion/translations", "inversion/analysis", "inversion/metrics", "inversion/grids"),
    # All that is said about a file that a visitor adds, down to the networks that read its tensors.
    *("inversion/checkpoints", "inversion/generators", "inversion/encoders", "inversion/perception"),
    *("inversion/directions", "inversion/model.py", "inversion/common/texts.py", "inversion/common/settings.py"),
    *("inversion/common/devices.py", "inversion/synthetic/faces/factors.py", "inversion/synthetic/houses/factors.py"),
)
TEXTS = ("aria-label", "title", "placeholder", "alt", "data-left", "data-right")
LABELS = ("label", "info", "placeholder", "headers", "choices", "value")
CODE = r"\b(SELECT|WHERE|PRAGMA|None|Tensor)\b|%s|var\(|[<>{}]=|=>|\w\.\w+\(|^[a-z]+=\"|==|[;}] ?$"
SCRIPT_STRING = re.compile(r"'((?:[^'\\\n]|\\.)*)'|`([^`]*)`")
SPOKEN = r"(\{\}[:,]? )?[A-Z][a-z]+\b(?!\w)"  # strings of scripts that are for readers
LIMITS = re.compile(r"^[\s:;,()·|*]+|[\s:;,(·|*]+$")
SENTENCES = re.compile(r" · |(?<=[.!?]) (?=[A-Z{0-9])")


class _Texts(HTMLParser):
    """All that a reader of HTML sees or hears."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("style", "script", "code", "pre")
        self.found += [value for name, value in attrs if name in TEXTS and value]

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("style", "script", "code", "pre")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.found.append(data)


def of_html(html: str) -> list[str]:
    """Texts and texts of attributes of HTML, or of Markdown."""
    reader = _Texts()
    reader.feed(re.sub(r"`[^`]*`", "<code></code>", html))
    reader.close()
    return [text for found in reader.found for text in re.split(r"\*+|\n\n", found)]


def pieces(text: str) -> Iterator[str]:
    """The sentences of a text, as the page looks them up; only those with words."""
    for part in SENTENCES.split(re.sub(r"\s+", " ", text)):
        piece = LIMITS.sub("", LIMITS.sub("", part))
        if re.search(r"[A-Za-z]{2}", piece.replace("{}", "")):
            yield piece


def of_page(config: dict[str, Any]) -> set[str]:
    """Strings of the components that the page lays out. config: of the built page."""
    shown: set[int] = set()

    def place(node: dict[str, Any]) -> None:
        shown.add(node["id"])
        for child in node.get("children") or ():
            place(child)

    place(config["layout"])
    found: list[str] = []
    for component in config["components"]:
        if component["id"] in shown:
            found += _of_component(component["type"], component["props"])
    return {piece for text in found for piece in pieces(text)}


def _of_component(kind: str, props: dict[str, Any]) -> Iterator[str]:
    if kind in ("html", "markdown"):
        for value in (props.get("value"), *(props.get("props") or {}).values()):
            yield from of_html(value) if isinstance(value, str) else ()
        return
    for name in LABELS:
        value = props.get(name)
        if name == "value" and kind not in ("button", "downloadbutton", "uploadbutton"):
            continue
        for one in value if isinstance(value, list) else [value]:
            text = one[0] if isinstance(one, (list, tuple)) and one else one
            yield from [text] if isinstance(text, str) else ()


def of_source() -> dict[str, str]:
    """Strings of the source that look like words for a reader, and their first places."""
    found: dict[str, str] = {}
    for room in SHOWN:
        files = sorted((ROOT / room).rglob("*.py")) if not room.endswith(".py") else [ROOT / room]
        for file in files:
            name = file.relative_to(ROOT).as_posix()
            if NOT_SHOWN.fullmatch(name):
                continue
            for line, text in _literals(ast.parse(file.read_text(encoding="utf-8"))):
                for part in of_html(text) if "<" in text else [text]:
                    for piece in pieces(part):
                        if _reads(piece):
                            found.setdefault(piece, f"{name}:{line}")
    return found


def _reads(piece: str) -> bool:
    """Whether a string is for readers: two words, or one that starts with a capital letter."""
    code = re.search(
        r"\b(SELECT|WHERE|PRAGMA|None|Tensor)\b|%s|var\(|[<>{}]=|=>|\w\.\w+\(|^[a-z]+=\"|==|[;}] ?$", piece
    )
    return not code and (" " in piece.replace("{}", "").strip() or re.match(r"[A-Z][a-z]+\b(?!\w)", piece) is not None)


def _literals(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Strings with their lines: those with places as one, without docstrings, log calls and names of types."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _calls_log(node.func):
        return
    text = _text(node)
    if text is not None and isinstance(node, ast.expr):
        yield node.lineno, text
        for part in ast.walk(node):
            if isinstance(part, ast.FormattedValue):
                yield from _literals(part.value)
        return
    hints = ("annotation", "returns", "type_params")
    for name, value in ast.iter_fields(node):
        if name in hints:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _literals(child)


def _calls_log(function: ast.Attribute) -> bool:
    return isinstance(function.value, ast.Name) and function.value.id in ("LOG", "log", "logger", "re")


def _text(node: ast.AST) -> str | None:
    """A string with {} for its places, None if it is not one."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value) or ("" if isinstance(value, ast.Constant) else "{}") for value in node.values)
    if isinstance(node, ast.FormattedValue):
        return " · " if isinstance(node.value, ast.Name) and node.value.id == "DOT" else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        return None if left is None and right is None else (left or "{}") + (right or "{}")
    return None


def of_scripts() -> dict[str, str]:
    """Strings of the scripts and templates of the page, and their files."""
    found: dict[str, str] = {}
    for file in sorted((ROOT / "ui/static").glob("*.html")):
        found.update({piece: file.name for text in of_html(file.read_text()) for piece in pieces(text)})
    for file in sorted((ROOT / "ui/static").glob("*.js")):
        source = re.sub(r"(?m)(^|\s)//.*$", "", file.read_text(encoding="utf-8"))
        for groups in SCRIPT_STRING.findall(source):
            text = re.sub(r"\$\{(?:[^{}]|\{[^{}]*\})*\}", "{}", "".join(groups))
            for part in of_html(text) if "<" in text else [text]:
                found.update({piece: file.name for piece in pieces(part) if re.match(SPOKEN, piece)})
    return found


def of_registry() -> set[str]:
    """Notes and domains of the registered model files."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # much faster if it is there
    entries = yaml.load((ROOT / "checkpoints.yaml").read_text(encoding="utf-8"), loader).values()  # noqa: S506
    return {piece for entry in entries for key in ("note", "domain") for piece in pieces(str(entry.get(key, "")))}


@cache
def literals() -> frozenset[str]:
    """All strings of the source, for the words that it puts into places."""
    found: set[str] = set()
    for room in ("ui", "inversion"):
        for file in (ROOT / room).rglob("*.py"):
            for _, text in _literals(ast.parse(file.read_text(encoding="utf-8"))):
                found.update(pieces(text), pieces(text.capitalize()))
    scripts = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "ui/static").glob("*.js"))
    found.update(piece for one in re.findall(r"'([^'\n]+)'", scripts) for piece in pieces(one))
    return frozenset(found)
