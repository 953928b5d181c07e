"""Inpainting: only the pixels outside the hole are measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from inversion.common import settings
from inversion.common.devices import float64, resized_mean
from inversion.common.settings import SettingValue
from inversion.tasks.base import Task, TaskError

if TYPE_CHECKING:
    from torch import Tensor

ITERATIONS = 20  # of smoothing per scale; more have no visible effect


@dataclass(frozen=True, eq=False)  # tensors do not compare to a single bool
class Inpaint(Task):
    """A(x) = x * mask, mask (1 or B, 1, R, R) with 1 = known, 0 = hole. Raises TaskError for any other mask."""

    name: ClassVar[str] = "inpaint"
    label: ClassVar[str] = "Inpainting"
    description: ClassVar[str] = "Fill a hole. The pixels around it stay the same."
    merges: ClassVar[bool] = True
    leaves_holes: ClassVar[bool] = True
    encoder_role: ClassVar[str] = "inpaint"

    mask: Tensor = settings.mask("Mask", "White marks the hole.", white=0, source="hole")

    def __post_init__(self) -> None:
        if self.mask.ndim != 4 or self.mask.shape[1] != 1:
            raise TaskError(f"A mask must have the shape (1 or B, 1, R, R), not {tuple(self.mask.shape)}.")
        if not bool(((self.mask == 0) | (self.mask == 1)).all()):
            raise TaskError("A mask must hold only 1 (known) and 0 (hole).")
        known = self.mask.flatten(1).mean(dim=1)
        if bool((known == 1).any()):
            raise TaskError("The mask marks no hole in the part of the picture that is used. Paint over it there.")
        if bool((known == 0).any()):
            raise TaskError("The mask covers the whole picture, or the part that is used. Leave a part unpainted.")

    def measured_size(self, resolution: int) -> int:
        if self.mask.shape[-2:] != (resolution, resolution):
            raise TaskError(
                f"The mask is {self.mask.shape[-1]} pixels wide, but the pictures of the generator are {resolution}."
            )
        return resolution

    def A(self, x: Tensor) -> Tensor:
        return x * self.mask.to(x)

    def pinv(self, y: Tensor) -> Tensor:
        return y

    def merge(self, x: Tensor, y: Tensor) -> Tensor:
        """y outside the hole; inside, x plus a smooth correction that removes the seam at the border of the hole.

        This is seamless cloning (Perez et al. 2003, eq. 4): the gradients of x in the hole stay.
        """
        known = self.mask.to(x).expand(len(x), -1, -1, -1)
        inside = x.clamp(-1, 1)
        return torch.where(known > 0, y, (inside + fill_smoothly(y - inside, known)).clamp(-1, 1))

    @property
    def hole_share(self) -> float:
        return round(1 - float(float64(self.mask).mean()), 6)

    def remarks(self) -> list[str]:
        percent = 100 * self.hole_share
        found = [f"The hole covers {percent:.{0 if percent >= 1 else 1}f} % of the picture."]
        if percent > 50:
            found.append("This is more than half: if it is the wrong part, invert the mask.")
        return found

    def parameters(self) -> dict[str, SettingValue]:
        return {"hole_share": self.hole_share}


def fill_smoothly(d: Tensor, known: Tensor) -> Tensor:
    """d (B, C, H, W) where known (B, 1, H, W) is 1; elsewhere a smooth interpolation (Laplace), from coarse to fine."""
    height, width = d.shape[-2:]
    if height == width == 1:
        return d
    half = ((height + 1) // 2, (width + 1) // 2)
    cover = resized_mean(known, half)
    mean = resized_mean(d * known, half) / cover.clamp_min(torch.finfo(d.dtype).tiny)
    coarse = fill_smoothly(mean, (cover > 0).to(d))
    v = torch.where(known > 0, d, torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear"))
    for _ in range(ITERATIONS):
        around = torch.nn.functional.pad(v, [1, 1, 1, 1], mode="replicate")
        rows, columns = around[..., :, 1:-1], around[..., 1:-1, :]
        mean = (rows[..., :-2, :] + rows[..., 2:, :] + columns[..., :-2] + columns[..., 2:]) / 4
        v = torch.where(known > 0, d, mean)
    return v
