"""Colourisation: only the luminance is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from inversion.tasks.base import Task, scale_into_range

if TYPE_CHECKING:
    from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG and mGANprior


@dataclass(frozen=True)
class Colorize(Task):
    """A(x) = 0.299 R + 0.587 G + 0.114 B, (B, 1, R, R)."""

    name: ClassVar[str] = "colorize"
    label: ClassVar[str] = "Colourisation"
    description: ClassVar[str] = "Add colour to a grey picture. The brightness stays the same."
    merges: ClassVar[bool] = True

    def A(self, x: Tensor) -> Tensor:
        return x.mul(x.new_tensor(LUMA).view(3, 1, 1)).sum(dim=1, keepdim=True)

    def pinv(self, y: Tensor) -> Tensor:
        return y.expand(-1, 3, -1, -1)

    def merge(self, x: Tensor, y: Tensor) -> Tensor:
        """The chroma of x with the luminance y. Colours that exceed the range are scaled towards grey."""
        return scale_into_range(self.pinv(y).clamp(-1, 1), x - self.A(x))
