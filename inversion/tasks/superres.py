"""Super-resolution: only a smaller version of the picture is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch

from inversion.common.settings import setting
from inversion.tasks.base import Task, TaskError, range_factor, scale_into_range

if TYPE_CHECKING:
    from torch import Tensor

ITERATIONS = 10  # of back-projection
MAX_FACTOR = 64


@dataclass(frozen=True)
class Superres(Task):
    """A(x) = mean over blocks of factor x factor pixels, (B, 3, R / factor, R / factor).

    Raises TaskError unless the factor is a whole number from 2 to 64, and in A unless it divides R.
    """

    name: ClassVar[str] = "superres"
    label: ClassVar[str] = "Super-resolution"
    description: ClassVar[str] = "Enlarge a small picture. Scaled down again, the result equals the input."
    merges: ClassVar[bool] = True
    encoder_role: ClassVar[str] = "superres"

    factor: int = setting(
        4, "Factor", "How many times larger the result is.", min=2, max=MAX_FACTOR, step=1, menu=(2, 4, 8, 16)
    )

    def __post_init__(self) -> None:
        if isinstance(self.factor, bool) or not isinstance(self.factor, int) or not 2 <= self.factor <= MAX_FACTOR:
            raise TaskError(f"factor must be a whole number between 2 and {MAX_FACTOR}, not {self.factor}.")

    def fitted(self, side: int, resolution: int) -> tuple[Task, str]:
        """With the nearest factor that divides `resolution`, so that the small picture is scaled as little as it can.

        The factor stays if it fits, and for pictures that are not smaller than the result.
        """
        if side >= resolution or side == self.measured_size(resolution):
            return self, ""
        factors = [factor for factor in range(2, MAX_FACTOR + 1) if resolution % factor == 0]
        nearest = min(factors, key=lambda factor: abs(math.log(side * factor / resolution)))
        if nearest == self.factor:
            return self, ""
        sides = f"the input has {side} pixels a side and the result {resolution}"
        return replace(self, factor=nearest), f"The factor is {nearest} instead of {self.factor}: {sides}."

    def measured_size(self, resolution: int) -> int:
        if resolution % self.factor:
            raise TaskError(f"The factor {self.factor} does not divide the {resolution} pixels of the generator.")
        return resolution // self.factor

    def A(self, x: Tensor) -> Tensor:
        self.measured_size(x.shape[-1])
        return torch.nn.functional.avg_pool2d(x, self.factor)

    def read(self, picture: Tensor) -> Tensor:
        return picture

    def pinv(self, y: Tensor) -> Tensor:
        return self._repeat(y)

    def without_method(self, y: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(y, scale_factor=self.factor, mode="bicubic").clamp(-1, 1)

    def merge(self, x: Tensor, y: Tensor) -> Tensor:
        """The detail of x within each block plus the measured mean of the block, scaled by one factor per block.

        Before that, back-projection (Irani and Peleg 1991) moves x towards the measurement, so that no blocks show.
        """
        base = self._repeat(y).clamp(-1, 1)
        inside = x.clamp(-1, 1)  # values out of range would lower the contrast of their whole block
        for _ in range(ITERATIONS):
            inside = inside + torch.nn.functional.interpolate(
                y - self.A(inside), scale_factor=self.factor, mode="bicubic"
            )
        inside = inside.clamp(-1, 1)
        detail = inside - self._repeat(self.A(inside))
        t = -torch.nn.functional.max_pool2d(-range_factor(base, detail), self.factor)  # the smallest t of each block
        return scale_into_range(base, detail, self._repeat(t))

    def _repeat(self, y: Tensor) -> Tensor:
        return y.repeat_interleave(self.factor, dim=-1).repeat_interleave(self.factor, dim=-2)
