"""Quality tables of all methods: inversion, restoration, interpolation and edits, translations, tuning.

``python -m benchmarks.quality --json results/quality.json`` computes the missing rows and prints the tables. It also
writes `quality.md`, `quality.csv`, the pictures and sheets of them, beside the file. Rows that exist for the same code,
settings, weights and pictures are reused, so an interrupted run can be continued. ``--cached`` computes nothing and
marks older rows. ``--into docs/results.md README.md`` writes the tables into documents, between two comments.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.cases import HOLES
from benchmarks.common import SOURCES, add_model, benchmark_parser
from benchmarks.tables import TABLES, Bench, Job, Made, report
from benchmarks.tables.base import DEFAULTS
from benchmarks.tables.cache import Cache
from inversion.common.commands import UsageError, add_device, guarded, positive
from inversion.methods import PRESETS

PROG = "python -m benchmarks.quality"
PLACES = ("tables", "short table")  # that a document may have
BEGIN, END = "<!-- {} of benchmarks.quality -->", "<!-- end -->"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = benchmark_parser("quality", __doc__)
    add_model(parser, n=32)
    parser.add_argument("--tables", default=",".join(TABLES), help=f"separated by commas; default: {','.join(TABLES)}")
    parser.add_argument(
        "--methods", help="separated by commas, instead of each table's own; measured: the input itself"
    )
    parser.add_argument("--preset", default="quick", choices=(*PRESETS, DEFAULTS), help="settings of the methods")
    parser.add_argument("--source", default="held-out", choices=(*SOURCES, "photo"), help="the kind of test pictures")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="stage.field=VALUE")
    parser.add_argument("--tasks", help="of the restoration, separated by commas; default: all")
    parser.add_argument("--factors", nargs="*", type=positive, default=[4, 8, 16], help="of super-resolution")
    parser.add_argument("--holes", nargs="*", choices=list(HOLES), default=list(HOLES), help="of inpainting")
    parser.add_argument("--sigmas", nargs="*", type=float, default=[0.1, 0.3], help="noise of denoising")
    parser.add_argument("--seed", type=int, default=0)
    add_device(parser)
    parser.add_argument("--processes", type=positive, default=1, help="that compute at the same time")
    parser.add_argument("--cached", action="store_true", help="compute nothing, mark older rows")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures; default: beside the file of --json")
    parser.add_argument("--into", type=Path, nargs="*", default=[], metavar="FILE.md", help="documents to update")
    args = parser.parse_args(argv)
    unknown = [name for name in args.tables.split(",") if name not in TABLES]
    if unknown:
        parser.error(f"There is no table {unknown[0]!r}. Choose from: {', '.join(TABLES)}.")
    if not all("=" in text for text in args.settings):
        parser.error("--set needs stage.field=VALUE.")
    return args


def jobs_of(bench: Bench) -> list[Job]:
    """The jobs of a call, those of each table in their order. Methods that the model cannot run are named on stderr."""
    jobs = [job for name in bench.args.tables.split(",") for job in TABLES[name].jobs(bench)]
    for key, reason in bench.missing.items():
        sys.stderr.write(f"{key} is left out: {reason}\n")
    return jobs


def computed(args: argparse.Namespace, jobs: Sequence[Job], todo: Sequence[int]) -> Iterator[tuple[int, list[Made]]]:
    """The rows of the jobs with these numbers, as they are finished."""
    if args.processes == 1:
        yield from ((i, jobs[i].compute()) for i in todo)
        return
    with multiprocessing.get_context("spawn").Pool(args.processes, _open, (args,)) as pool:
        yield from pool.imap_unordered(_compute, todo)


_JOBS: list[Job] = []  # of a worker


def _open(args: argparse.Namespace) -> None:
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // args.processes))
    _JOBS.extend(jobs_of(Bench.of(args)))


def _compute(index: int) -> tuple[int, list[Made]]:
    return index, _JOBS[index].compute()


def fill(args: argparse.Namespace) -> None:
    """Compute the missing rows, print the tables, and write them beside the rows."""
    folder = args.json.path.parent
    bench, cache = Bench.of(args), Cache(args.json, args.pictures or folder / "pictures")
    jobs = jobs_of(bench)
    todo = [] if args.cached else [i for i, job in enumerate(jobs) if not cache.is_fresh(job)]
    for i, made in tqdm(computed(args, jobs, todo), total=len(todo), disable=None):
        cache.put(jobs[i], made)
    rows = [row for job in jobs for row in cache.rows(job)]
    truths = {case.name: case.picture for case in bench.cases(args.n)}
    text = report.markdown(rows, bench.model, truths, cache.picture)
    sys.stdout.write(text + "\n")
    args.json.path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    report.write_csv(args.json.path.with_suffix(".csv"), rows)
    report.write_sheets(folder / "sheets", rows, truths, cache.picture)
    for path in args.into:
        replace_tables(path, dict(zip(PLACES, (text, report.short(rows)), strict=True)))


def replace_tables(path: Path, texts: Mapping[str, str]) -> None:
    """Write texts into their places of a document, between two comments. Raises UsageError if it has none of them."""
    whole, found = path.read_text(encoding="utf-8"), False
    for place, text in texts.items():
        before, begin, rest = whole.partition(BEGIN.format(place))
        _, end, after = rest.partition(END)
        if begin and end:
            whole, found = f"{before}{begin}\n\n{text}\n\n{end}{after}", True
    if not found:
        raise UsageError(
            f"{path} has no place for tables. Write two lines into it: {BEGIN.format(PLACES[0])} and {END}."
        )
    path.write_text(whole, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Compute the tables. Returns the exit status: 0, or 2 with one line on stderr."""
    args = parse(argv)
    return guarded(PROG, lambda: fill(args))


if __name__ == "__main__":
    raise SystemExit(main())
