"""`models`: list the registered files and your own, check the available ones, download one, or remove yours."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

from inversion.checkpoints import fetch, own
from inversion.checkpoints.registry import Entry, registry
from inversion.cli.common import write_json, write_table
from inversion.common.commands import Parser, UsageError, guarded
from inversion.common.rows import Row

if TYPE_CHECKING:
    from tqdm import tqdm

COLUMNS = ["name", "kind", "resolution", "domain", "size", "cached", "grade", "licence", "from"]


def main(argv: list[str]) -> int:
    """List the registry, check the available files (exit status 1 if one is wrong), or download one."""
    parser = Parser(
        prog="python -m inversion models", description="List the models that can be loaded.", allow_abbrev=False
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--check", action="store_true", help="check the hashes of all available files; exit status 1 if one is wrong"
    )
    action.add_argument("--pull", metavar="NAME", help="download a file, or replace a damaged one")
    action.add_argument("--remove", metavar="NAME", help="remove a file of yours, and everything that belongs to it")
    parser.add_argument("--json", action="store_true", help="print only JSON on stdout")
    args = parser.parse_args(argv)
    wrong: list[str] = []

    def run() -> None:
        if args.remove is not None:
            sys.stdout.write("".join(f"removed: {name}\n" for name in own.remove_file(args.remove)))
            return
        entries = registry()
        shown = list(entries.values()) if args.pull is None else [_pull(args.pull, entries)]
        rows = [_row(entry, entries) for entry in shown]
        if args.check:
            rows = [{**row, "state": fetch.verify(entries[row["name"]])} for row in rows]
            wrong.extend(row["name"] for row in rows if row["state"] not in ("ok", "not cached"))
        _write(rows, args)

    return guarded(parser.prog, run) or int(bool(wrong))


def _write(rows: list[Row], args: argparse.Namespace) -> None:
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


def _row(entry: Entry, entries: dict[str, Entry]) -> Row:
    """The entry with its origin, path, size, and the networks that belong to it."""
    path = fetch.cached(entry)
    size = fetch.size_of(entry)
    return {
        **asdict(entry),
        "from": _origin(entry),
        "with": ", ".join(e.role or e.kind for e in entries.values() if e.generator == entry.name),
        "cached": path is not None,
        "path": None if path is None else str(path),
        "bytes": size,
        "size": None if size is None else f"{size / 1e6:.1f} MB",
    }


def _origin(entry: Entry) -> str:
    """Where the entry's file comes from."""
    if entry.own:
        return "yours"
    return entry.repo_id or ("embedded" if entry.file is not None else "manual download")


def _pull(name: str, entries: dict[str, Entry]) -> Entry:
    """Download the file of an entry, with a progress bar on stderr. Raises HubError if it is not available."""
    if name not in entries:
        raise UsageError(f"--pull: unknown entry {name!r}: see `python -m inversion models`")
    from tqdm import tqdm

    with ExitStack() as stack:
        bars: list[tqdm] = []

        def progress(done: int, total: int) -> None:
            if not bars:  # not before the first byte, so that an error is the only line
                bars.append(stack.enter_context(tqdm(desc=name, unit="B", unit_scale=True, file=sys.stderr)))
            bars[0].total = total or None
            bars[0].update(done - bars[0].n)

        fetch.fetch(entries[name], progress, renew=True)
    return entries[name]
