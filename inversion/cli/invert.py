"""`invert`: one method on pictures."""

from __future__ import annotations

from inversion.cli.common import run_parser
from inversion.cli.outputs import parse
from inversion.cli.runs import guarded_runs


def main(argv: list[str]) -> int:
    """Run the method, print its figures, and save the pictures with --out."""
    parser = run_parser("invert", "Run one method on pictures.")
    parser.add_argument(
        "--method", default="wplus", metavar="M", help="a method, or stages joined by +, as in mean+wplus+pti"
    )
    args = parse(parser, argv)
    return guarded_runs(parser.prog, args, [args.method])
