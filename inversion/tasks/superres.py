"""Super-resolution: the shrunk picture is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from inversion.common.settings import setting
from inversion.tasks.base import Task, TaskError, range_factor, scale_into_range

if TYPE_CHECKING:
    from torch import Tensor

ROUNDS = 10  # of back-projection


@dataclass(frozen=True)
class Superres(Task):
    """A(x) = mean over blocks of factor x factor pixels, (B, 3, R / factor, R / factor)."""

    name: ClassVar[str] = "superres"
    label: ClassVar[str] = "Super-resolution"
    description: ClassVar[str] = "Enlarge a small picture; shrunk again, the result is the small one."
    merges: ClassVar[bool] = True

    factor: int = setting(
        4, "Factor", "How many times larger the result is.", min=2, max=64, step=1, menu=(2, 4, 8, 16)
    )

    def __post_init__(self) -> None:
        if isinstance(self.factor, bool) or not isinstance(self.factor, int) or not 2 <= self.factor <= 64:
            raise TaskError(f"factor must be a whole number between 2 and 64, not {self.factor}")

    def measured_size(self, resolution: int) -> int:
        if resolution % self.factor:
            raise TaskError(f"factor {self.factor} does not divide the generator's {resolution} pixels")
        return resolution // self.factor

    def A(self, x: Tensor) -> Tensor:
        self.measured_size(x.shape[-1])
        return torch.nn.functional.avg_pool2d(x, self.factor)

    def read(self, picture: Tensor) -> Tensor:
        return picture

    def pinv(self, y: Tensor) -> Tensor:
        return self._spread(y)

    def merge(self, x: Tensor, y: Tensor) -> Tensor:
        """The detail of x inside each block on its measured mean; one factor per block, which keeps the mean.

        First x moves smoothly towards the measurement (back-projection, Irani and Peleg 1991): blocks would be seen.
        """
        base = self._spread(y).clamp(-1, 1)
        inside = x.clamp(-1, 1)  # overshoot of the generator would cost the whole block its contrast
        for _ in range(ROUNDS):
            inside = inside + torch.nn.functional.interpolate(
                y - self.A(inside), scale_factor=self.factor, mode="bicubic"
            )
        inside = inside.clamp(-1, 1)
        detail = inside - self._spread(self.A(inside))
        t = -torch.nn.functional.max_pool2d(-range_factor(base, detail), self.factor)  # the smallest t of each block
        return scale_into_range(base, detail, self._spread(t))

    def _spread(self, y: Tensor) -> Tensor:
        return y.repeat_interleave(self.factor, dim=-1).repeat_interleave(self.factor, dim=-2)
