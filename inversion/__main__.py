"""`python -m inversion COMMAND ...`: the package on the command line."""

from __future__ import annotations

import importlib
import io
import sys

from inversion.common.lazy import defer
from inversion.common.memory import keep_freed_memory

# Command -> (module with main(argv), description). Only the chosen one is imported, so that it starts quickly.
COMMANDS: dict[str, tuple[str, str]] = {
    "models": ("inversion.cli.models", "list the models that can be loaded"),
    "invert": ("inversion.cli.invert", "run one method on pictures"),
    "compare": ("inversion.cli.compare", "run several methods on pictures"),
    "grid": ("inversion.cli.grid", "vary methods, settings, seeds or pictures: a cell for each combination"),
    "batch": ("inversion.cli.batch_command", "run methods on many pictures and write a report; resumes"),
    "translate": ("inversion.cli.translate", "turn a sketch, a label map or a turned face into pictures"),
    "analyse": ("inversion.cli.analyse", "check an effect that a paper describes on pictures"),
    "edit": ("inversion.cli.edit", "invert a picture and move it along directions"),
    "combine": ("inversion.cli.combine", "interpolate, mix or blend two pictures"),
    "convert": ("inversion.cli.convert", "list the networks in a checkpoint and write them as safetensors"),
    "train": ("inversion.training.cli", "train the embedded networks"),
    "parity": ("inversion.parity", "check the networks against stored outputs of the official ones"),
}


def main(argv: list[str]) -> int:
    """Exit status of the command in argv[0]: 0, 2 with one line on stderr, or 130 after Ctrl-C."""
    allow_every_character()
    if argv and argv[0] in ("-h", "--help"):
        lines = [f"  {name:11}{text}\n" for name, (_, text) in COMMANDS.items()]
        sys.stdout.write("usage: python -m inversion COMMAND ... (more: COMMAND --help)\n\n" + "".join(lines))
        return 0
    if not argv or argv[0] not in COMMANDS:
        got = f"unknown command {argv[0]!r}" if argv else "no command"
        sys.stderr.write(f"python -m inversion: {got}: choose from {', '.join(COMMANDS)}\n")
        return 2
    keep_freed_memory()
    defer("torch")  # so that a wrong argument is refused before torch is loaded
    try:
        module = importlib.import_module(COMMANDS[argv[0]][0])
        return module.main(argv[1:]) or 0
    except KeyboardInterrupt:
        sys.stderr.write(f"\npython -m inversion {argv[0]}: interrupted\n")
        return 130


def allow_every_character() -> None:
    """Let stdout and stderr escape the characters that the console cannot show, as those of Windows have few."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run() -> int:
    """The console script `inversion`: the same commands."""
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run())
