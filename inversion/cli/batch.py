"""Pictures one after the other: a failure is a row with its reason, and the exit status counts it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from inversion.cli import sources
from inversion.cli.interrupt import StopRequest
from inversion.cli.outputs import STDOUT, Outputs
from inversion.cli.records import dumps
from inversion.common.commands import Parser, UsageError, reason_of, visible
from inversion.common.errors import UserError
from inversion.common.rows import Row

ERRORS = (UserError, OSError)  # of a picture
FAILED = 1  # exit status if a picture of several failed


def add_images(parser: Parser, text: str, *, flag: bool = False) -> None:
    """Add the pictures as arguments or, if `flag`, as --images; and --recursive."""
    found = parser.add_argument(
        "--images" if flag else "images", nargs="+", type=Path, metavar="IMAGE", help=f"{text}; files, folders or both"
    )
    found.required = True
    parser.add_argument("--recursive", action="store_true", help="of a folder, use the pictures in its folders, too")


class Batch:
    """The pictures of a command with their outputs.

    each: results of a picture. A failure of a single picture is an error of the command; of several pictures, it
    becomes a row. Raises UsageError for a folder without pictures and for wrong outputs.
    """

    def __init__(self, args: argparse.Namespace, each: int = 1) -> None:
        self.pictures = sources.expand(args.images, args.recursive)
        self.single = len(self.pictures) == 1 and not args.images[0].is_dir()
        self.outputs = Outputs(args, self.pictures, len(self.pictures) * each > 1)
        self.stop = StopRequest()
        self.failed: list[Path] = []
        self.json = args.json == STDOUT
        self._facts = {"task": getattr(args, "task", None), "model": args.model, "seed": args.seed}

    def report(
        self, run: Callable[[Path], Iterator[Row]], show: Callable[[list[Row]], None], *, as_list: bool = False
    ) -> int:
        """Print the rows of `run` for each picture, also those before an error: as JSON, or by `show`.

        as_list: the JSON is a list, also for a single picture. Returns the exit status: 0, 1 if a picture failed, 128
        and the number of a signal after that signal. Raises the errors of a single picture, and UsageError.
        """
        rows: list[Row] = []
        try:
            for row in self._rows(run):
                rows.append(row)  # noqa: PERF402
        finally:
            if rows and self.json:
                sys.stdout.write(dumps(rows if as_list or not self.single else rows[0]) + "\n")
            elif rows:
                show(rows)
        return self.stop.status or (FAILED if self.failed else 0)

    def _rows(self, run: Callable[[Path], Iterator[Row]]) -> Iterator[Row]:
        with self.stop:
            for i, path in enumerate(self.pictures):
                if not self.single:
                    _say(f"Picture {i + 1} of {len(self.pictures)}: {path}")
                yield from run(path)
                if self.stop.signal is not None:
                    break
        if self.failed and not self.single:
            _say(f"{len(self.failed)} of {len(self.pictures)} pictures failed: {', '.join(map(str, self.failed))}")

    def one_row(self, row: Callable[[Path], Row]) -> Callable[[Path], Iterator[Row]]:
        """A function that gives the only row of a picture, as `report` takes it: a failure is a row, too."""

        def rows(path: Path) -> Iterator[Row]:
            try:
                yield row(path)
            except ERRORS as error:
                yield self.failure(path, error)

        return rows

    def failure(self, path: Path, error: Exception, method: str | None = None) -> Row:
        """The row of a picture that failed. Call it where the error is caught: it raises an error that is no row."""
        row = self.error_row(path, error, method)
        if isinstance(error, UsageError):
            raise error
        self.outputs.record(row, None, shared=not self.single)
        if self.single:
            raise error
        self.failed += [path] if path not in self.failed else []
        return row

    def error_row(self, path: Path, error: Exception, method: str | None = None) -> Row:
        """A row that says why there is no result."""
        row: Row = {"picture": str(path), **self._facts, "method": method, "image": None, "error": reason_of(error)}
        return {**row, "interrupted": False}


def _say(line: str) -> None:
    sys.stderr.write(visible(line) + "\n")
