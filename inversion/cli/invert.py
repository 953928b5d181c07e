"""`invert`: one method on one picture."""

from __future__ import annotations

from inversion.cli.common import run_methods, run_parser, write_json, write_rows
from inversion.common.commands import guarded


def main(argv: list[str]) -> int:
    """Run the method, print its figures, and save the picture with --out."""
    parser = run_parser("invert", "Run one method on one picture.")
    parser.add_argument(
        "--method", default="wplus", metavar="M", help="a method, or stages joined by +, as in mean+wplus+pti"
    )
    args = parser.parse_args(argv)

    def run() -> None:
        rows = list(run_methods(args, [args.method]))
        if args.json:
            write_json(rows[0])
        else:
            write_rows(rows, args)

    return guarded(parser.prog, run)
