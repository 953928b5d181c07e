"""``python -m inversion train COMMAND``: draws training data and trains the networks that the repository ships."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from inversion.common.commands import guarded
from inversion.training import options


@dataclass(frozen=True)
class Command:
    """A training command. The module is imported when the command runs; its `main` takes the options."""

    module: str  # of inversion.training
    options: type[options.Options]
    help: str


COMMANDS: dict[str, Command] = {
    "pictures": Command("pictures", options.PictureFileOptions, "draw training pictures into a file"),
    "pairs": Command("pairs", options.PairFileOptions, "draw training pairs for the translations into a file"),
    "generator": Command("generator", options.DistillationOptions, "train a generator on rendered pictures"),
    "neglected": Command("neglected", options.NeglectedOptions, "train a generator on factors that it neglects"),
    "adversarial": Command("adversarial", options.AdversarialOptions, "train a generator against a discriminator"),
    "predictor": Command("predictor", options.PredictorOptions, "train the predictor of attributes and identity"),
    "encoder": Command("encoder", options.EncoderCommandOptions, "train an encoder to invert a generator"),
    "directions": Command("directions", options.DirectionsOptions, "fit editing directions to attributes"),
    "axes": Command("axes", options.AxesOptions, "find the axes of W along which few steps are enough"),
    "framing": Command("framing", options.FramingOptions, "fit the weights that frame faces without a network"),
    "export": Command("export", options.ExportOptions, "write the networks of a run as shipped weights"),
}


def start(name: str, argv: Sequence[str]) -> None:
    """Run a command with its arguments. Raises UserError, or OSError for a file that cannot be read or written."""
    command = COMMANDS[name]
    chosen = options.parse(name, command.options, argv)
    importlib.import_module(f"inversion.training.{command.module}").main(chosen)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a training command. Exit status 0, or 2 with the reason in one line on stderr."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] not in COMMANDS:
        lines = [f"  {name:<12} {command.help}" for name, command in COMMANDS.items()]
        asked_for_help = bool(args) and args[0] in ("-h", "--help")
        out = sys.stdout if asked_for_help else sys.stderr
        out.write("usage: python -m inversion train COMMAND ...\n" + "\n".join(lines) + "\n")
        return 0 if asked_for_help else 2
    return guarded(f"python -m inversion train {args[0]}", lambda: start(args[0], args[1:]))
