"""`compare`: several methods on pictures."""

from __future__ import annotations

from inversion.cli.common import run_parser
from inversion.cli.outputs import parse
from inversion.cli.runs import guarded_runs
from inversion.methods import BASIC


def main(argv: list[str]) -> int:
    """Run the methods one after the other, print a table, and save pictures and a sheet with --out."""
    parser = run_parser("compare", "Run several methods on pictures.")
    parser.add_argument(
        "--methods",
        metavar="A,B,C",
        help=f"methods, separated by commas (default: those of {','.join(BASIC)} that the model can run)",
    )
    args = parse(parser, argv)
    default = args.methods is None
    methods = list(BASIC if default else dict.fromkeys(name for name in args.methods.split(",") if name))
    if not methods:
        parser.error("--methods needs at least one method")
    return guarded_runs(parser.prog, args, methods, optional=default, as_list=True)
