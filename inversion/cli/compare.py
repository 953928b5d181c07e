"""`compare`: several methods on one picture."""

from __future__ import annotations

from inversion.cli.common import guarded, run_methods, run_parser, write_json, write_rows
from inversion.methods import BASIC


def main(argv: list[str]) -> int:
    """Run the methods one after the other, print a table, and keep pictures and a sheet with --out."""
    parser = run_parser("compare", "Run several methods on one picture.")
    parser.add_argument("--methods", default=",".join(BASIC), metavar="A,B,C", help="methods, separated by commas")
    args = parser.parse_args(argv)
    methods = list(dict.fromkeys(name for name in args.methods.split(",") if name))
    if not methods:
        parser.error("--methods wants at least one method")

    def run() -> None:
        rows = run_methods(args, methods)
        if args.json:
            write_json(rows)
        else:
            write_rows(rows, args)

    return guarded(parser.prog, run)
