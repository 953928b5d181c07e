"""Shared by the benchmarks: arguments, held-out faces, edits, tables and files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from inversion.checkpoints import hub
from inversion.common.commands import Parser
from inversion.methods import Code, Method, Result
from inversion.methods.run import invert
from inversion.model import Model
from inversion.synthetic import HELD_OUT
from inversion.synthetic.faces import OUT_OF_DOMAIN
from inversion.tasks import Reconstruct

SOURCES: dict[str, int] = {"held-out": HELD_OUT, "strange": OUT_OF_DOMAIN}  # first seed of the faces
EDITS = ("yaw", "smile", "age", "glasses", "hair_length", "beard")


def benchmark_parser(name: str, description: str | None, require_json: bool = True) -> Parser:
    """The command line of a benchmark, with --json."""
    parser = Parser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--json", type=Path, required=require_json, help="file for the rows")
    return parser


def add_model(parser: Parser, n: int) -> None:
    """Add --model and --n, the number of held-out faces."""
    parser.add_argument("--model", default=hub.DEFAULT, help="see `python -m inversion models`")
    parser.add_argument("--n", type=positive, default=n, help="number of faces")


def positive(text: str) -> int:
    """A whole number from 1. Raises ValueError, which the command line reports."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def reconstructed(model: Model, x: Tensor, method: Method, seed: int = 0) -> tuple[Result, Code]:
    """The result of a method on pictures x (B, 3, R, R), and its code. ValueError for a method without a code."""
    *_, result = invert(model, Reconstruct(), x, method, seed=seed, budget=3600.0)
    if not isinstance(result, Result) or result.code is None:
        raise ValueError(f"{method.key} makes no code")
    return result, result.code


def write_rows(path: Path | None, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replace the file by the rows; a stopped run never leaves half a file. If the path is None, write nothing."""
    if path is not None:
        part = path.with_name(f"{path.name}.part")
        part.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        part.replace(path)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; rows may be shorter than the header."""
    lines = [columns, *rows]
    head, *body = (f"| {' | '.join(map(str, line))} |" for line in lines)
    return "\n".join([head, "|---" * len(columns) + "|", *body])
