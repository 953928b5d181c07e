"""`compare`: several methods on one picture."""

from __future__ import annotations

from inversion.cli.common import run_methods, run_parser, write_json, write_rows
from inversion.common.commands import guarded
from inversion.common.rows import Row
from inversion.methods import BASIC


def main(argv: list[str]) -> int:
    """Run the methods one after the other, print a table, and save pictures and a sheet with --out."""
    parser = run_parser("compare", "Run several methods on one picture.")
    parser.add_argument(
        "--methods",
        metavar="A,B,C",
        help=f"methods, separated by commas (default: those of {','.join(BASIC)} that the model can run)",
    )
    args = parser.parse_args(argv)
    default = args.methods is None
    methods = list(BASIC if default else dict.fromkeys(name for name in args.methods.split(",") if name))
    if not methods:
        parser.error("--methods needs at least one method")

    def run() -> None:
        rows: list[Row] = []
        try:
            for row in run_methods(args, methods, optional=default):
                rows.append(row)
        finally:  # if a method fails, the rows before it are printed
            if rows and args.json:
                write_json(rows)
            elif rows:
                write_rows(rows, args)

    return guarded(parser.prog, run)
