"""Inpainting: the pixels outside the hole are measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from inversion.tasks.base import Task, TaskError


@dataclass(frozen=True, eq=False)  # a tensor has no truth value to compare by
class Inpaint(Task):
    """A(x) = x * mask, mask (1 or B, 1, R, R) with 1 = known, 0 = hole."""

    name: ClassVar[str] = "inpaint"
    label: ClassVar[str] = "Inpainting"
    description: ClassVar[str] = "Fill the hole; the pixels around it stay as they are."
    merges: ClassVar[bool] = True

    mask: Tensor = field(metadata={"label": "Mask", "help": "White marks the hole."})

    def __post_init__(self) -> None:
        if self.mask.ndim != 4 or self.mask.shape[1] != 1:
            raise TaskError(f"a mask has the shape (1 or B, 1, R, R), not {tuple(self.mask.shape)}")
        if not bool(((self.mask == 0) | (self.mask == 1)).all()):
            raise TaskError("a mask holds 1 for known pixels and 0 for the hole, nothing between")
        known = self.mask.flatten(1).mean(dim=1)
        if bool((known == 1).any()):
            raise TaskError("the mask marks no hole: paint over the part to fill")
        if bool((known == 0).any()):
            raise TaskError("the mask covers the whole picture: leave some of it to fill from")

    def measured_size(self, resolution: int) -> int:
        if self.mask.shape[-2:] != (resolution, resolution):
            raise TaskError(f"the mask is {self.mask.shape[-1]} pixels wide, the generator's pictures {resolution}")
        return resolution

    def A(self, x: Tensor) -> Tensor:
        return x * self.mask.to(x)

    def pinv(self, y: Tensor) -> Tensor:
        return y

    def merge(self, x: Tensor, y: Tensor) -> Tensor:
        """x in the hole, y outside. In the hole nothing is measured, so x is simply kept inside the range there."""
        known = self.mask.to(x)
        return y * known + x.clamp(-1, 1) * (1 - known)

    def parameters(self) -> dict[str, Any]:
        return {"hole": round(1 - float(self.mask.mean()), 4)}
