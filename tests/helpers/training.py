"""Files of training runs."""

from __future__ import annotations

import json
from pathlib import Path


def read_log(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
