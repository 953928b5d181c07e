"""`models`: what may be loaded, what of it is at hand; downloads and checks it."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from inversion.checkpoints import fetch
from inversion.checkpoints.registry import Entry, registry
from inversion.cli.common import Parser, UsageError, guarded, write_json, write_table

COLUMNS = ["name", "kind", "resolution", "domain", "size", "cached", "grade", "licence", "from"]


def main(argv: list[str]) -> int:
    """Print the registry, check what is cached (exit status 1 if anything is wrong), or download one entry."""
    parser = Parser(
        prog="python -m inversion models", description="List the models that can be loaded.", allow_abbrev=False
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--check", action="store_true", help="hash everything at hand; exit status 1 if anything is wrong"
    )
    what.add_argument("--pull", metavar="NAME", help="download the entry's file, also in place of a damaged one")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else on stdout")
    args = parser.parse_args(argv)
    wrong: list[str] = []

    def run() -> None:
        entries = registry()
        shown = list(entries.values()) if args.pull is None else [_pull(args.pull, entries)]
        rows = [_row(entry, entries) for entry in shown]
        if args.check:
            rows = [{**row, "state": fetch.verify(entries[row["name"]])} for row in rows]
            wrong.extend(row["name"] for row in rows if row["state"] not in ("ok", "not cached"))
        _write(rows, args)

    return guarded(parser.prog, run) or int(bool(wrong))


def _write(rows: list[dict[str, Any]], args: argparse.Namespace) -> None:
    if args.json:
        write_json(rows)
    elif args.check:
        write_table([row for row in rows if row["state"] != "not cached"], ["name", "size", "state"])
    elif args.pull is not None:
        sys.stdout.write(f"{rows[0]['path']}\n")
    else:
        shown = [
            {**row, "resolution": row["resolution"] or "", "cached": "yes" if row["cached"] else ""} for row in rows
        ]
        write_table(shown, COLUMNS)


def _row(entry: Entry, entries: dict[str, Entry]) -> dict[str, Any]:
    """The entry with where it comes from, where it lies, its size, and which other networks belong to it."""
    path = fetch.cached(entry)
    size = fetch.size_of(entry)
    return {
        **asdict(entry),
        "from": entry.repo_id or ("embedded" if entry.file is not None else "by hand"),
        "with": ", ".join(e.role or e.kind for e in entries.values() if e.generator == entry.name),
        "cached": path is not None,
        "path": None if path is None else str(path),
        "bytes": size,
        "size": None if size is None else f"{size / 1e6:.1f} MB",
    }


def _pull(name: str, entries: dict[str, Entry]) -> Entry:
    """Download an entry's file with a bar on stderr. HubError says why it cannot be had."""
    if name not in entries:
        raise UsageError(f"--pull: unknown entry {name!r}: see `python -m inversion models`")
    with ExitStack() as stack:
        bars: list[tqdm] = []

        def progress(done: int, total: int) -> None:
            if not bars:  # not before the first byte: a refusal is one line
                bars.append(stack.enter_context(tqdm(desc=name, unit="B", unit_scale=True, file=sys.stderr)))
            bars[0].total = total or None
            bars[0].update(done - bars[0].n)

        fetch.fetch(entries[name], progress, renew=True)
    return entries[name]
