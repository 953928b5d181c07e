"""Feeds the hub hostile input: damaged files of every kind that it reads, and wrong calls of the page's API.

``python -m benchmarks.fuzz`` tries all subjects; ``--calls 2000`` or ``--pictures 500`` only the named ones. Everything
happens in a folder that is removed. The inputs of findings are made small and kept in --keep. The same seed makes the
same inputs. Returns 1 if an error was not handled, had no words or took long, or if anything was run or written
elsewhere.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.common import benchmark_parser, table, write_rows
from benchmarks.fuzzing import calls
from benchmarks.fuzzing.attack import PROBLEMS, Report, attack
from benchmarks.fuzzing.watch import Watch, memory
from inversion.common.commands import guarded
from inversion.common.memory import settle
from inversion.common.rows import RowView

# Inputs by default. Those of the page's API are checked in this process, and some of them through the web server.
COUNTS = {
    "pictures": 20_000,
    "masks": 2000,
    "registries": 2000,
    "rows": 2000,
    "results": 1000,
    "codes": 2000,
    "checkpoints": 2000,
    "arguments": 10_000,
    "calls": 500,
}


def whole(text: str) -> int:
    """A whole number, 0 or more. Raises ValueError."""
    number = int(text)
    if number < 0:
        raise ValueError
    return number


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for all files of this process, and for those of the page."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        for inside in ("app", "outside"):
            (folder / inside).mkdir()
        # No call may download, or change the user's own models.
        app = str(folder / "app")
        before = dict(os.environ)
        os.environ |= {"HF_HUB_OFFLINE": "1", "INVERSION_CACHE": app, "GRADIO_TEMP_DIR": app, "TMPDIR": app}
        tempfile.tempdir = None  # read the variable again
        try:
            yield folder
        finally:
            os.environ.clear()
            os.environ |= before
            tempfile.tempdir = None


@contextmanager
def built() -> Iterator[Any]:
    """The page on the built-in model, in this process, not served."""
    from inversion.serving.session import Session
    from ui import build

    session = Session("cpu", budget=20.0)
    try:
        yield build(session)
    finally:
        session.close()


@contextmanager
def served() -> Iterator[str]:
    """The address of the page on the built-in model, in this process."""
    from ui import launch_options

    with built() as page:
        try:
            _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **launch_options())
            yield url
        finally:
            page.close()


def read_files(counts: dict[str, int], folder: Path, watch: Watch, args: argparse.Namespace) -> Iterator[Report]:
    """Reports on the readers of files, and on the validation of arguments."""
    from benchmarks.fuzzing import subjects

    marker = folder / "outside" / "marker"
    with subjects.forked_reader():
        found = subjects.files(folder / "app", marker)
        for name in [name for name in found if counts.get(name)]:
            yield attack(found[name], counts[name], watch, args.seed, args.keep)
    if counts.get("arguments"):
        with built() as page:
            yield attack(subjects.arguments(page), counts["arguments"], watch, args.seed, args.keep)


def summary(reports: Sequence[Report], outside: Sequence[str]) -> str:
    """The figures as a Markdown table, and every finding."""
    columns = (
        "subject",
        "inputs",
        "accepted",
        "refused",
        *PROBLEMS,
        "elsewhere",
        "slowest, s",
        "growth, MB",
        "peak, MB",
    )
    lines = [
        (
            *(one.subject, one.inputs, one.accepted, one.refused, *one.counts.values(), len(one.notes)),
            *(f"{one.seconds:.2f}", f"{one.growth:.0f}", f"{one.peak:.0f}"),
        )
        for one in reports
    ]
    findings = [f"{one.subject}: {key}: {text}" for one in reports for key, text in one.findings.items()]
    notes = sorted({f"{one.subject}: {note}" for one in reports for note in one.notes})
    return "\n".join([table(columns, lines), *findings, *notes, *(f"left outside: {name}" for name in outside)])


def call_page(count: int, watch: Watch, args: argparse.Namespace) -> tuple[list[calls.Outcome], bool]:
    """Call the page through its web server, print the figures, and say whether nothing was found."""
    known = len(watch.notes())
    # The callers have a process of their own: their work must not slow the server that they measure.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool, served() as url:
        pool.submit(calls.warm, url, args.seed).result()
        settle()  # as the app does when it is ready
        before = memory()
        with watch.watching(connections=False):
            outcomes = pool.submit(calls.attack, url, count, args.seed, args.users).result()
        after = memory()
    notes = sorted(set(watch.notes()[known:]))
    lines = [calls.summary(outcomes), f"memory {before:.0f} -> {after:.0f} MB after one good call of each kind", *notes]
    sys.stdout.write("\n".join(lines) + "\n")
    return outcomes, not notes and all(one.kind in ("result", "words") for one in outcomes)


def main(argv: Sequence[str] | None = None) -> int:
    """Try the named subjects, or all. Returns 1 if there is a finding."""
    parser = benchmark_parser("fuzz", __doc__, require_json=False)
    for name, default in COUNTS.items():
        parser.add_argument(f"--{name}", type=whole, metavar="N", help=f"number of {name}; {default} if none is named")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs")
    parser.add_argument("--users", type=int, default=4, help="calls at a time")
    parser.add_argument("--keep", type=Path, default=Path("results/fuzz"), help="folder for the inputs of findings")
    args = parser.parse_args(argv)
    given = {name: getattr(args, name) for name in COUNTS if getattr(args, name) is not None}
    counts, good = given or COUNTS, True
    rows: list[RowView] = []
    with scratch() as folder:
        watch = Watch(folder / "app", folder / "notes")
        reports = list(read_files(counts, folder, watch, args))
        if reports:
            outside = [path.name for path in (folder / "outside").iterdir()]
            sys.stdout.write(summary(reports, outside) + "\n")
            good = not outside and all(report.good for report in reports)
            rows += [asdict(report) for report in reports]
        if counts.get("calls"):
            outcomes, quiet = call_page(counts["calls"], watch, args)
            good &= quiet
            rows += [asdict(one) for one in outcomes]
    write_rows(args.json, rows)
    return int(not good)


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.fuzz", main))
