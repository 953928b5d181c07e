"""The lane of a Space on ZeroGPU."""

from __future__ import annotations

from inversion.serving.lane import Lane
from inversion.serving.runs import LaneError
from inversion.serving.zero import ZeroLane


def lanes(device: str, dtype: str, count: int | None = None) -> list[Lane]:
    """Lanes that ask for a GPU for each run; ZeroGPU decides which one. Raises LaneError without `spaces`."""
    try:
        import spaces
    except ImportError:
        raise LaneError("--engine zero needs the package spaces, which a Space on ZeroGPU has.") from None
    return [ZeroLane(spaces.GPU, dtype) for _ in range(count or 1)]
