"""Shared by the benchmarks: arguments, test pictures, codes, tables and files."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from inversion.checkpoints import registry
from inversion.common.commands import Parser, UsageError, positive
from inversion.common.rows import Row, RowView
from inversion.methods import Code, Method, Result
from inversion.methods.run import RunOptions, invert
from inversion.model import Model
from inversion.synthetic import HELD_OUT, OUT_OF_DOMAIN, Domain
from inversion.tasks import Reconstruct
from inversion.training.models import domain_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SOURCES: dict[str, int] = {"held-out": HELD_OUT, "out-of-domain": OUT_OF_DOMAIN}  # first seed of the pictures

T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """A column of figures: its label and the digits after the decimal point."""

    label: str
    digits: int

    def text(self, value: float | None) -> str:
        """A cell; "-" for a missing value."""
        return "-" if value is None else f"{value:.{self.digits}f}"


class RowFile:
    """The file of --json: a list of rows, also of other benchmarks and other arguments, which are kept.

    Each row of a call has the call's `benchmark` and `arguments`. The rows of an earlier call with the same ones are
    replaced. Raises UsageError if the file exists and is no such list.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.call: Row = {}
        self.rows()

    def rows(self) -> list[Row]:
        """All rows of the file, [] if it does not exist. Raises UsageError."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read ({error.strerror}). Choose another file.") from None
        except (ValueError, RecursionError):  # also a UnicodeDecodeError
            raise UsageError(f"{self.path} is not a valid JSON file. Delete it or choose another file.") from None
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise UsageError(f"{self.path} is not a list of rows. Choose another file.")
        return found

    def write(self, rows: Sequence[DataclassInstance | RowView]) -> None:
        """Replace the rows of this call. Raises UsageError, as `rows`."""
        kept = [row for row in self.rows() if not self.call.items() <= row.items()]
        self._save([*kept, *({**self.call, **plain(row)} for row in rows)])

    def add(self, row: RowView) -> None:
        """Add a row as it is. Raises UsageError, as `rows`."""
        self._save([*self.rows(), row])

    def replace(self, old: Callable[[RowView], bool], rows: Sequence[RowView]) -> None:
        """Add rows as they are, in place of those for which `old` is True. Raises UsageError, as `rows`."""
        self._save([*(row for row in self.rows() if not old(row)), *rows])

    def _save(self, rows: Sequence[RowView]) -> None:
        """Write the file; a stopped run never leaves half of it."""
        part = self.path.with_name(f"{self.path.name}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        part.replace(self.path)


class BenchmarkParser(Parser):
    """The command line of a benchmark. The file of --json knows the other arguments."""

    def parse_args(self, *given: object, **named: object) -> argparse.Namespace:  # type: ignore[override]
        """The arguments. Exits with one line if the file of --json holds no rows."""
        args: argparse.Namespace = super().parse_args(*given, **named)  # type: ignore
        if args.json is not None:
            try:
                args.json = RowFile(args.json)
            except UsageError as error:
                self.error(str(error))
            arguments = {name: value for name, value in vars(args).items() if name not in ("json", "pictures")}
            plain_arguments = json.loads(json.dumps(arguments, default=str))
            args.json.call = {"benchmark": self.prog.rpartition(".")[2], "arguments": plain_arguments}
        return args


def benchmark_parser(name: str, description: str | None, require_json: bool = True) -> BenchmarkParser:
    """The command line of a benchmark, with --json."""
    parser = BenchmarkParser(prog=f"python -m benchmarks.{name}", description=description)
    text = "file for the rows; rows of other benchmarks and arguments in it are kept"
    parser.add_argument("--json", type=Path, required=require_json, metavar="FILE", help=text)
    return parser


def add_model(parser: Parser, n: int) -> None:
    """Add --model and --n, the number of test pictures."""
    parser.add_argument("--model", default=registry.DEFAULT, help="see `python -m inversion models`")
    parser.add_argument("--n", type=positive, default=n, help="number of pictures")


def clock_of(device: torch.device) -> Callable[[], float]:
    """A clock in seconds: processor time of all threads for a CPU, which other work may keep busy, wall time else."""
    return time.process_time if device.type == "cpu" else time.perf_counter


def seeds_of(domain: Domain, source: str, n: int) -> range:
    """Seeds of n test pictures of a key of SOURCES. Raises UsageError if the domain has no out-of-domain pictures."""
    if source == "out-of-domain" and domain.extras is None:
        raise UsageError("The domain of this model has no out-of-domain pictures. Leave out --source out-of-domain.")
    return range(SOURCES[source], SOURCES[source] + n)


def headline_edits(model: Model) -> list[str]:
    """The directions of the model that its domain's tables show. Raises UsageError if there are none."""
    found = [name for name in domain_of(model).headline if name in model.directions]
    if not found:
        raise UsageError(f"{model.name} has no directions. Choose another model.")
    return found


def reconstructed(model: Model, x: Tensor, method: Method, seed: int = 0) -> tuple[Result, Code]:
    """The result of a method on pictures x (B, 3, R, R), and its code. Raises UsageError if it finds no code."""
    *_, result = invert(model, Reconstruct(), x, method, seed=seed, options=RunOptions(budget=3600.0))
    if not isinstance(result, Result) or result.code is None:
        raise UsageError(f"{method.key} finds no code. Choose another method.")
    return result, result.code


def write_rows(file: RowFile | None, rows: Sequence[DataclassInstance | RowView]) -> None:
    """Replace the rows of this call in its file. If the file is None, write nothing."""
    if file is not None:
        file.write(rows)


def plain(row: DataclassInstance | RowView) -> RowView:
    """The fields of a row as JSON stores them."""
    return asdict(row) if is_dataclass(row) else row


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; rows may be shorter than the header."""
    lines = [columns, *rows]
    head, *body = (f"| {' | '.join(map(str, line))} |" for line in lines)
    return "\n".join([head, "|---" * len(columns) + "|", *body])


def table_of(columns: Mapping[str, Callable[[T], object]], rows: Iterable[T]) -> str:
    """A Markdown table of rows. columns: header -> the function that gives a row's cell."""
    return table(list(columns), [[cell(row) for cell in columns.values()] for row in rows])
