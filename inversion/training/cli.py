"""``python -m inversion train COMMAND``: draws training data and trains the networks that the repository ships."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from inversion.common.commands import guarded

# Command -> (module with main(argv), help). Modules are imported when called.
COMMANDS: dict[str, tuple[str, str]] = {
    "faces": ("inversion.training.faces", "draw training pictures into a file"),
    "pairs": ("inversion.training.pairs", "draw training pairs for the translations into a file"),
    "generator": ("inversion.training.generator", "train a generator on rendered pictures"),
    "overlooked": ("inversion.training.overlooked", "teach a generator the factors that it overlooked"),
    "adversarial": ("inversion.training.adversarial", "adversarial training of a generator"),
    "predictor": ("inversion.training.predictor", "teach the predictor attributes and identity"),
    "encoder": ("inversion.training.encoder", "teach an encoder to invert a generator"),
    "directions": ("inversion.training.directions", "fit editing directions to the predictor's attributes"),
    "framing": ("inversion.training.framing", "fit the weights that frame faces without a network"),
    "export": ("inversion.training.export", "write the networks of a run as shipped weights"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a training command. Exit status 0, or 2 with the reason in one line on stderr."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] not in COMMANDS:
        lines = [f"  {name:<12} {text}" for name, (_, text) in COMMANDS.items()]
        asked_for_help = bool(args) and args[0] in ("-h", "--help")
        out = sys.stdout if asked_for_help else sys.stderr
        out.write("usage: python -m inversion train COMMAND ...\n" + "\n".join(lines) + "\n")
        return 0 if asked_for_help else 2

    def run() -> None:
        importlib.import_module(COMMANDS[args[0]][0]).main(args[1:])

    return guarded(f"python -m inversion train {args[0]}", run)
