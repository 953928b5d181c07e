"""The picture under construction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


class Canvas:
    """Picture and label planes under construction, painted back to front; the first class is the background."""

    def __init__(self, background: Tensor, labels: Tensor, classes: Sequence[str]) -> None:
        self.rgb = background  # (B, 3, H, W) in [0, 1]
        self.rows = dict(zip(classes, labels[:, :, None, None], strict=True))  # name -> (K, 1, 1)
        # (B, K, H, W): the label rows of the visible parts, mixed by coverage
        self.planes = self.rows[classes[0]].expand(len(background), -1, *background.shape[2:])

    def paint(self, alpha: Tensor, colour: Tensor, name: str | None = None) -> None:
        """Lay a colour (B, 3, H or 1, W or 1) over the picture with coverage alpha (B, H, W).

        ``name`` is the class of the painted part; None leaves the class below it.
        """
        self.rgb = torch.lerp(self.rgb, colour.expand_as(self.rgb), alpha[:, None])
        if name is not None and self.planes.shape[1]:
            self.planes = torch.lerp(self.planes, self.rows[name].expand_as(self.planes), alpha[:, None])
