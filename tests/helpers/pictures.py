"""Random pictures."""

from __future__ import annotations

import torch
from torch import Tensor


def random_pictures(*shape: int, seed: int = 0) -> Tensor:
    """Uniform numbers in [-1, 1] of this shape, the same every time."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
