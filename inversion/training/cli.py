"""``python -m inversion train WHAT``: draws the faces and trains what the repository ships."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

STAGES: dict[str, tuple[str, str]] = {
    "faces": ("inversion.training.faces", "draw the training faces into a file"),
    "pairs": ("inversion.training.pairs", "draw what the translations learn from into a file"),
    "generator": ("inversion.training.generator", "teach a StyleGAN2 the renderer's pictures"),
    "overlooked": ("inversion.training.overlooked", "teach it the factors that it overlooked"),
    "adversarial": ("inversion.training.adversarial", "sharpen it against a discriminator"),
    "predictor": ("inversion.training.predictor", "teach the predictor attributes and identity"),
    "encoder": ("inversion.training.encoder", "teach an encoder to invert a generator"),
    "directions": ("inversion.training.directions", "fit directions for editing to the predictor's attributes"),
    "export": ("inversion.training.export", "write what a run trained as shipped weights"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Hand the rest of the command line to the stage it names. Exit 2 for an unknown one."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] not in STAGES:
        lines = [f"  {name:<12} {text}" for name, (_, text) in STAGES.items()]
        asked_for_help = bool(args) and args[0] in ("-h", "--help")
        out = sys.stdout if asked_for_help else sys.stderr
        out.write("usage: python -m inversion train WHAT ...\n" + "\n".join(lines) + "\n")
        return 0 if asked_for_help else 2
    importlib.import_module(STAGES[args[0]][0]).main(args[1:])
    return 0
