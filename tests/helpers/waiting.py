"""Waiting for other threads."""

from __future__ import annotations

import time
from collections.abc import Callable

WAIT = 60.0  # seconds after which a test gives up


def until(ready: Callable[[], object]) -> None:
    """Wait for a condition. Fails after WAIT seconds."""
    deadline = time.monotonic() + WAIT
    while not ready():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
