"""Training commands and the files of their runs."""

from __future__ import annotations

import json
from pathlib import Path

from inversion.training import cli


def train(command: str, *arguments: object) -> None:
    """Run a training command. Raises UserError."""
    cli.start(command, [str(argument) for argument in arguments])


def read_log(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
