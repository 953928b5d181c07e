"""`batch`: methods on many pictures, with a report. A batch that was ended at any moment goes on where it stood.

DIR/rows/KEY.json is written after its picture and in one step, so it exists only for a complete result. KEY is a hash
of the picture's file and of everything that the result depends on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

import numpy as np

from inversion import images
from inversion.checkpoints.registry import registry
from inversion.cli import report
from inversion.cli.batch import ERRORS, add_images
from inversion.cli.codes import write_files
from inversion.cli.common import add_run, write_notes, write_table
from inversion.cli.html import data_address
from inversion.cli.lanes import LanePool, Outcome, add_engine, lanes_of
from inversion.cli.outputs import parse
from inversion.cli.own import choose_model, options_of
from inversion.cli.records import dumps, replace_rows
from inversion.cli.report import Entry
from inversion.cli.runs import Runs
from inversion.cli.sources import matching
from inversion.common.commands import Parser, UsageError, guarded, visible
from inversion.common.names import safe_name, write_whole
from inversion.common.rows import Row
from inversion.methods import BASIC, parse_method
from inversion.metrics import METRICS
from inversion.serving.runs import Finished, Ready, Request
from inversion.tasks import task_class

LIST = ".txt"  # ending of a file that lists pictures
WRITE_SECONDS = 20.0  # between two versions of the report while the batch goes on
NAME_BYTES = 100  # of the parts of a file's name before the digits of its key
DETERMINING = ("task", "align", "face", "measured", "seed", "budget", "dtype")  # flags that decide the result
FORMAT = 1  # of the rows; a change of it makes all results anew


def main(argv: list[str]) -> int:
    """Run the methods on all pictures, and write pictures, codes, rows and the report to the folder --out."""
    parser = Parser(
        prog="python -m inversion batch",
        description="Run methods on many pictures and write a report. The same command again goes on where it stood.",
        allow_abbrev=False,
    )
    add_images(parser, "the input pictures, or a .txt file with a path in each line", flag=True)
    add_run(parser)
    add_engine(parser)
    parser.add_argument(
        "--methods", metavar="A,B,C", help=f"default: those of {','.join(BASIC)} that the model can run"
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="the folder of the results: report.html, rows.csv, rows.json, and pictures/ with the codes beside them; "
        "tuned generators are not kept",
    )
    parser.set_defaults(json=None, csv=None, overwrite=False, names=())
    args = parse(parser, argv)
    default = args.methods is None
    methods = list(BASIC if default else dict.fromkeys(name for name in args.methods.split(",") if name))
    if not methods:
        parser.error("--methods needs at least one method")

    def run() -> int:
        args.images = [path for given in args.images for path in _listed(given)]
        choose_model(args)
        return BatchRuns(args, Runs(args, methods, optional=default)).report()

    return guarded(parser.prog, run)


def _listed(path: Path) -> list[Path]:
    """The paths in a list, relative to its folder, without empty lines and comments (#). Any other path is returned."""
    if path.suffix.lower() != LIST or not path.is_file():
        return [path]
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    found = [path.parent / line for line in lines if line and not line.startswith("#")]
    if not found:
        raise UsageError(f"The list {path} has no pictures. Write the path of a picture in each line.")
    return found


@dataclass
class Begun:
    """The methods of a picture: keys, results of earlier commands, requests of missing results, runs that go on."""

    keys: dict[str, str]
    known: dict[str, Entry | None]
    requests: dict[str, Request] = field(default_factory=dict)
    runs: dict[str, Future[Outcome]] = field(default_factory=dict)


class BatchRuns:
    """The runs of a batch in the folder args.out, with the results that earlier commands have left there.

    Raises UsageError if args.out is no folder.
    """

    def __init__(self, args: argparse.Namespace, runs: Runs) -> None:
        self.args, self.runs, self.folder = args, runs, Path(args.out)
        self._paths = [*runs.batch.pictures, None]
        self._begun: dict[Path, Begun] = {}
        lanes = lanes_of(args)
        runs.lane = lanes[0]
        several = len(lanes) > 1
        self._pool = LanePool(lanes, runs.batch.stop, lambda notes: write_notes(notes, set())) if several else None
        self.entries: list[Entry] = []
        self.kept = 0  # results of earlier commands
        self._written = time.monotonic()
        if self.runs.batch.outputs.folder is None:
            raise UsageError(f"--out {args.out} must be a folder.")

    def report(self) -> int:
        """Do the runs that are missing, and write the report. Returns the exit status; raises UserError."""
        try:
            status = self.runs.batch.report(self._picture, lambda _: None)
        finally:
            if self._pool is not None:
                self._pool.close()
            if self.entries:
                self._write()
        self._show()
        return status

    def _picture(self, path: Path) -> Iterator[Row]:
        """The rows of a picture, in the order of the methods."""
        for entry in self._entries(path):
            self.entries.append(entry)
            yield dict(entry.row)
        if time.monotonic() - self._written > WRITE_SECONDS:
            self._write()

    def _entries(self, path: Path) -> Iterator[Entry]:
        try:
            begun = self._begun.pop(path, None) or self._begin(path)
        except ERRORS as error:
            yield self._failure(path, error)
            return
        after = self._paths[self._paths.index(path) + 1]
        if self._pool is not None and after is not None:
            with suppress(*ERRORS):  # they are told in its turn
                self._begun[after] = self._begin(after)
        for method, entry in begun.known.items():
            if entry is not None:
                self.kept += 1
                yield Entry({**entry.row, "picture": str(path)}, entry.pictures)
            elif method in begun.requests:
                try:
                    yield self._run(path, method, begun)
                except ERRORS as error:
                    yield self._failure(path, error, method)
            if self.runs.batch.stop.signal is not None:
                return

    def _begin(self, path: Path) -> Begun:
        """Look for the results of a picture, and begin the missing runs if there are several lanes. Raises ERRORS."""
        keys = {method: self._key(path, method) for method in self.runs.settings}
        begun = Begun(keys, {method: self._saved(key) for method, key in keys.items()})
        if not all(begun.known.values()):
            missing = [request for request in self.runs.requests(path) if begun.known[request.method] is None]
            begun.requests = {request.method: request for request in missing}
        if self._pool is not None:
            begun.runs = {method: self._pool.begin(request) for method, request in begun.requests.items()}
        return begun

    def _failure(self, path: Path, error: Exception, method: str | None = None) -> Entry:
        """The row of a picture or run that failed. It is tried again by the next command."""
        batch = self.runs.batch
        if isinstance(error, UsageError):
            raise error
        batch.failed += [path] if path not in batch.failed else []
        row = batch.error_row(path, error, method)
        sys.stderr.write(visible(f"{path}: {row['error']}") + "\n")
        return Entry({**row, "message": ""})

    def _run(self, path: Path, method: str, begun: Begun) -> Entry:
        """Do a run and save its picture, its code and, if it was not interrupted, its row."""
        stop, request, key = self.runs.batch.stop, begun.requests[method], begun.keys[method]
        with stop.postponed():
            ready, finished = begun.runs[method].result() if method in begun.runs else self.runs.run(request)
            interrupted = stop.signal is not None
            stem = safe_name(f"{path.stem}_{request.task}_{request.method}", NAME_BYTES)
            file = self.folder / "pictures" / f"{stem}_{key[:12]}.png"
            file.parent.mkdir(exist_ok=True)
            write_whole(file, partial(images.write_png, array=finished.image))
            paths = write_files(file, self._pool or self.runs.lane, request, finished, tuned=False)
            row: Row = {**finished.row, "picture": str(path), "message": finished.message, "error": ""}
            row |= {"interrupted": interrupted, "key": key, "image": self._relative(str(file))}
            row |= {name: self._relative(one) for name, one in paths.items()}
            entry = Entry(row, _thumbnails(ready, finished))
            if not interrupted:
                text = dumps({"row": row, "pictures": entry.pictures}).encode("utf-8")
                self._file(key).parent.mkdir(exist_ok=True)
                write_whole(self._file(key), partial(Path.write_bytes, data=text))
        return entry

    def _relative(self, path: str | None) -> str | None:
        """A path in the folder of the results, which may be moved; with slashes, as in a link."""
        return None if path is None else Path(path).relative_to(self.folder).as_posix()

    def _file(self, key: str) -> Path:
        return self.folder / "rows" / f"{key}.json"

    def _saved(self, key: str) -> Entry | None:
        """The result of an earlier command, None if it or its picture is missing or damaged."""
        try:
            saved = json.loads(self._file(key).read_text(encoding="utf-8"))
            entry = Entry(saved["row"], saved["pictures"])
            return entry if (self.folder / entry.row["image"]).is_file() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _key(self, path: Path, method: str) -> str:
        """A hash of everything that a result depends on. Raises BadImage and OSError."""
        args, inputs = self.args, {}
        for spec in fields(task_class(args.task)):
            value = getattr(args, spec.name, None)
            inputs[spec.name] = _digest(matching(value, path)) if isinstance(value, Path) else value
            inputs[f"invert_{spec.name}"] = getattr(args, f"invert_{spec.name}", False)
        parsed = parse_method(method).configured(self.runs.settings[method])
        entry = registry()[args.model]
        values = {name: getattr(args, name) for name in DETERMINING}
        values |= {"method": method, "settings": parsed.settings(), "inputs": inputs, "options": options_of(args)}
        values |= {"model": [entry.name, entry.sha256], "picture": _digest(path), "format": FORMAT}
        values["start"] = None if self.runs.start is None else self.runs.start.digest
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]

    def _write(self) -> None:
        """Write the report and the rows that exist so far. Raises OSError."""
        rows = [dict(entry.row) for entry in self.entries]
        for name in ("rows.json", "rows.csv"):
            replace_rows(self.folder / name, rows)
        args, pictures = self.args, len(self.runs.batch.pictures)
        known = {entry.row["picture"] for entry in self.entries}
        count = f"{pictures} pictures" if len(known) == pictures else f"{len(known)} of {pictures} pictures"
        facts = [count, f"model {args.model}", f"seed {args.seed}"]
        task = task_class(args.task)
        facts += [f"{spec.name} {getattr(args, spec.name)}" for spec in fields(task) if getattr(args, spec.name, None)]
        labels = {method: parse_method(method).label for method in self._methods()}
        text = report.page(f"Batch: {task.label}", facts, self.entries, labels)
        data = text.encode("utf-8", "backslashreplace")
        write_whole(self.folder / "report.html", partial(Path.write_bytes, data=data))
        self._written = time.monotonic()

    def _methods(self) -> list[str]:
        """The methods with a row, in their order; all if there is none."""
        seen = {entry.row["method"] for entry in self.entries}
        return [method for method in self.runs.settings if method in seen] or list(self.runs.settings)

    def _show(self) -> None:
        """Print the means of each method, and where the report is."""
        lines = []
        for method in self._methods():
            rows = [entry.row for entry in self.entries if entry.row["method"] == method and not entry.row["error"]]
            lines.append({"method": method, "rows": len(rows), **report.means(rows)})
        known = [name for name in METRICS if any(name in line for line in lines)]
        write_table(lines, ["method", "rows", *known, "seconds"])
        kept = f" Rows of earlier commands: {self.kept}." if self.kept else ""
        sys.stdout.write(visible(f"Report: {self.folder / 'report.html'}.{kept}") + "\n")


def _digest(path: Path) -> str:
    """The hash of a file. Raises OSError."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _thumbnails(ready: Ready, finished: Finished) -> dict[str, str]:
    """Small pictures of a run for the report: the original, the input if it differs, and the result."""
    arrays: dict[str, np.ndarray] = {} if ready.truth is None else {"original": ready.truth}
    if ready.truth is None or not np.array_equal(ready.truth, ready.measured):
        arrays["input"] = ready.measured
    return {name: data_address(array) for name, array in {**arrays, "result": finished.image}.items()}
