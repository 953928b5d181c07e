"""Digits that name the code of a row: the syntax trees of its modules and of the modules that these import."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Rooms whose code decides the figures. How runs are queued, stored or shown does not.
ROOMS = (
    *("images", "generators", "synthetic", "tasks", "encoders", "directions", "perception", "model", "losses"),
    *("metrics", "methods", "editing", "translations"),
)


def digest_of(modules: Iterable[str]) -> str:
    """16 hexadecimal digits of modules and of everything in ROOMS that they import.

    Comments and docstrings do not count. Registries (`__init__.py`) count only if they are given, since the settings of
    methods are part of a row's signature.
    """
    todo, seen = sorted(set(modules)), dict[str, str]()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen[name], used = _read(name)
            todo += [other for other in used if other not in seen]
    text = "\n".join(f"{name} {tree}" for name, tree in sorted(seen.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _read(name: str) -> tuple[str, tuple[str, ...]]:
    """The digest of a module's tree, and the modules of ROOMS that it imports."""
    path = ROOT.joinpath(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = tuple(sorted({module for module in _imported(tree) if _counts(module)}))
    return hashlib.sha256(ast.dump(_without_docstrings(tree)).encode()).hexdigest(), used


def forget() -> None:
    """Read every file again at the next call."""
    _read.cache_clear()
    _is_file.cache_clear()


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _counts(module: str) -> bool:
    """Whether this is a file of a room in ROOMS."""
    parts = module.split(".")
    return parts[0] == "inversion" and len(parts) > 1 and parts[1] in ROOMS and _is_file(module)


@cache
def _is_file(module: str) -> bool:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py").is_file()


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and body and _is_text(body[0]):
            node.body = body[1:]
    return tree


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
