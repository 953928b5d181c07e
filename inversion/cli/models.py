"""`models`: what may be loaded."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from inversion import hub
from inversion.cli.common import Parser, guarded, write_json, write_table


def main(argv: list[str]) -> int:
    """Print the registered generators, and with --json every field of them."""
    parser = Parser(
        prog="python -m inversion models", description="List the models that can be loaded.", allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else on stdout")
    args = parser.parse_args(argv)

    def run() -> None:
        entries = hub.registry()
        rows = [_row(entry, entries) for entry in entries.values() if entry.kind == "generator"]
        if args.json:
            write_json(rows)
        else:
            write_table(rows, ["name", "resolution", "domain", "architecture", "from", "with", "licence"])

    return guarded(parser.prog, run)


def _row(entry: hub.Entry, entries: dict[str, hub.Entry]) -> dict[str, Any]:
    """The entry with where it comes from and which other networks belong to it."""
    others = ", ".join(e.kind for e in entries.values() if e.generator == entry.name)
    return {**asdict(entry), "from": entry.repo_id or "embedded", "with": others}
