"""Denoising: the measurement is the picture plus Gaussian noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from inversion.common.settings import setting
from inversion.tasks.base import Task, TaskError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Denoise(Task):
    """A(x) = x, and y = x + sigma * N(0, 1). Nothing is merged, because y holds the noise.

    Raises TaskError unless 0 <= sigma <= 1.
    """

    name: ClassVar[str] = "denoise"
    label: ClassVar[str] = "Denoising"
    description: ClassVar[str] = "Remove noise from a picture."

    sigma: float = setting(
        0.1,
        "Noise",
        "How strong the noise is: its standard deviation, if black is -1 and white is 1.",
        min=0.0,
        max=1.0,
        step=0.01,
    )

    def __post_init__(self) -> None:
        if not 0 <= self.sigma <= 1:
            raise TaskError(f"sigma must be between 0 and 1, not {self.sigma}.")

    def A(self, x: Tensor) -> Tensor:
        return x

    def pinv(self, y: Tensor) -> Tensor:
        return y

    def measure(self, x: Tensor, rng: torch.Generator) -> Tensor:
        # Drawn on the CPU, so that a seed gives the same noise on every device.
        return x + self.sigma * torch.randn(x.shape, generator=rng).to(x)
