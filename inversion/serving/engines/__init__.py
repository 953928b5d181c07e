"""Engines: where the lanes of a session compute. All give the same events and answers."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inversion.serving.lane import Lane

# Name -> module with `lanes(device, dtype, count)`, imported at its first use: count None means its default.
ENGINES = {
    "local": "inversion.serving.engines.local",
    "ray": "inversion.serving.engines.ray_lanes",
    "zero": "inversion.serving.engines.zero",
}


def lanes(engine: str, device: str, dtype: str, count: int | None = None) -> list[Lane]:
    """The lanes of an engine. count: their number, None for the engine's default. Raises UserError."""
    make: Callable[[str, str, int | None], list[Lane]] = importlib.import_module(ENGINES[engine]).lanes
    return make(device, dtype, count)
