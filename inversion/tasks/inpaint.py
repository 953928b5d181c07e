"""Inpainting: the pixels outside the hole are measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from inversion.common import settings
from inversion.tasks.base import Task, TaskError

if TYPE_CHECKING:
    from torch import Tensor

ROUNDS = 20  # of relaxing at every scale; more change nothing that is seen


@dataclass(frozen=True, eq=False)  # a tensor has no truth value to compare by
class Inpaint(Task):
    """A(x) = x * mask, mask (1 or B, 1, R, R) with 1 = known, 0 = hole."""

    name: ClassVar[str] = "inpaint"
    label: ClassVar[str] = "Inpainting"
    description: ClassVar[str] = "Fill the hole; the pixels around it stay as they are."
    merges: ClassVar[bool] = True
    leaves_holes: ClassVar[bool] = True

    mask: Tensor = settings.mask("Mask", "White marks the hole.", white=0)

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
        """y outside the hole; inside, x and what it differs by at the rim, smoothly continued, so that no seam is seen.

        That is seamless cloning (Perez et al. 2003, eq. 4): it keeps the gradients of x in the hole.
        """
        known = self.mask.to(x).expand(len(x), -1, -1, -1)
        inside = x.clamp(-1, 1)
        return torch.where(known > 0, y, (inside + continued(y - inside, known)).clamp(-1, 1))

    def parameters(self) -> dict[str, Any]:
        return {"hole": round(1 - float(self.mask.mean()), 4)}


def continued(d: Tensor, known: Tensor) -> Tensor:
    """d (B, C, H, W) where known (B, 1, H, W) is 1; elsewhere a membrane that hangs on it, from coarse to fine."""
    height, width = d.shape[-2:]
    if height == width == 1:
        return d
    half = ((height + 1) // 2, (width + 1) // 2)
    cover = torch.nn.functional.adaptive_avg_pool2d(known, half)
    mean = torch.nn.functional.adaptive_avg_pool2d(d * known, half) / cover.clamp_min(torch.finfo(d.dtype).tiny)
    coarse = continued(mean, (cover > 0).to(d))
    v = torch.where(known > 0, d, torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear"))
    for _ in range(ROUNDS):
        around = torch.nn.functional.pad(v, [1, 1, 1, 1], mode="replicate")
        rows, columns = around[..., :, 1:-1], around[..., 1:-1, :]
        mean = (rows[..., :-2, :] + rows[..., 2:, :] + columns[..., :-2] + columns[..., 2:]) / 4
        v = torch.where(known > 0, d, mean)
    return v
