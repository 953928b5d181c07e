"""`python -m inversion parity DIR`: checks that our networks compute the outputs of the published networks.

DIR holds golden cases: inputs and outputs of the original code on reproducible pseudo-weights. The command prints one
line per case. Its exit status is 1 if a case fails, 2 if there are no cases.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from inversion.common.commands import Parser, UsageError, add_device, guarded


def main(argv: list[str]) -> int:
    """Check every `.npz` file in a folder: one line per file on stdout, and on stderr why a case cannot be run."""
    parser = Parser(prog="python -m inversion parity", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of golden cases")
    parser.add_argument("--manifests", metavar="DIR2", type=Path, help="names and shapes of weights")
    add_device(parser, default="cpu", dtype=False)
    args = parser.parse_args(argv)
    failed: list[str] = []
    return guarded(parser.prog, lambda: failed.extend(_failures(args))) or int(bool(failed))


def _failures(args: argparse.Namespace) -> list[str]:
    """Run the cases. Returns the names of those that fail. Raises UsageError if there is nothing to run."""
    paths = sorted(args.folder.glob("*.npz"))
    if not paths:
        raise UsageError(f"There is no .npz file in {args.folder}. Choose a folder of golden cases.")
    from inversion.checkpoints.hub import find_device
    from inversion.generators import StateDictError
    from inversion.parity.cases import CaseError, Difference
    from inversion.parity.fill import Filler
    from inversion.parity.runners import CACHED_WEIGHTS, MANIFESTS, check

    device = str(find_device(args.device))
    failed, fill = [], Filler(CACHED_WEIGHTS)
    for path in paths:
        try:
            worst = check(path, args.manifests or MANIFESTS, device, fill)
        except (CaseError, StateDictError) as error:
            sys.stderr.write(f"{path.stem}: {error}\n")
            worst = Difference(float("nan"), float("nan"), ok=False)
        if not worst.ok:
            failed.append(path.stem)
        verdict = "ok" if worst.ok else "FAIL"
        sys.stdout.write(f"{path.stem} max_abs={worst.max_abs:.2e} scaled={worst.scaled:.2e} {verdict}\n")
        sys.stdout.flush()
    return failed
