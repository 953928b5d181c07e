"""What a method minimises: a distance between the measurement of a picture and the measurement that was given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.model import Model
    from inversion.tasks.base import Task

MAX_LEVELS = 6  # as in Clone (Feng et al. 2022); smaller pictures have fewer
SMALLEST_LEVEL = 8  # pixels: below this a level holds next to nothing


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts; 0 leaves it out."""

    pixel: float = field(default=1.0, metadata={"label": "Pixel", "min": 0.0, "max": 10.0, "step": 0.1})
    pyramid: float = field(default=0.1, metadata={"label": "Laplacian pyramid", "min": 0.0, "max": 10.0, "step": 0.05})
    perceptual: float = field(default=0.1, metadata={"label": "Perceptual", "min": 0.0, "max": 10.0, "step": 0.05})

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"the weight {name} must be a number from 0 up, not {value}")


class Objective:
    """Distance between A(x) and y. Perceptual networks judge pinv(A(x)) against pinv(y), whole pictures."""

    def __init__(self, task: Task, y: Tensor, model: Model, weights: LossWeights | None = None) -> None:
        self.task, self.y = task, y
        self.weights = weights or LossWeights()
        self._perceptual = model.perceptual_loss if self.weights.perceptual else None
        self.perceptual_name = "none" if self._perceptual is None else self._perceptual.name
        self._target: list[Tensor] = []
        if self._perceptual is not None:
            with torch.no_grad():
                self._target = self._perceptual.features(task.pinv(y))

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """Terms (B,) of pictures x (B, 3, R, R), unweighted, and their weighted sum "total"; no term mixes pictures."""
        measured = self.task.A(x)
        residual = measured - self.y
        terms: dict[str, Tensor] = {}
        if self.weights.pixel:
            terms["pixel"] = pixel(residual)
        if self.weights.pyramid:
            terms["pyramid"] = pyramid(residual)
        if self._perceptual is not None:
            features = self._perceptual.features(self.task.pinv(measured))
            terms["perceptual"] = self._perceptual.distance(features, self._target)
        total = residual.new_zeros(residual.shape[0])
        for name, value in terms.items():
            total = total + getattr(self.weights, name) * value
        return {"total": total, **terms}


def pixel(residual: Tensor) -> Tensor:
    """Mean squared error (B,) of a difference (B, C, H, W) of measurements in [-1, 1]."""
    return residual.square().flatten(1).mean(dim=1)


def gradient_penalty(judge: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """R1 (Mescheder et al. 2018): squared norm (B,) of the logits' gradient at real samples (B, ...)."""
    real = real.detach().requires_grad_()
    (slope,) = torch.autograd.grad(judge(real).sum(), real, create_graph=True)
    return slope.square().flatten(1).sum(dim=1)


def geodesic_cross(rows: Tensor) -> Tensor:
    """PULSE's GEOCROSS (B,) of styles (B, num_ws, w_dim): how far the rows of a picture lie apart on the sphere.

    Angle 2 atan2(|a - b|, |a + b|) between any two, squared, a mean over all pairs, times w_dim / 8.
    """
    a, b = rows[:, :, None], rows[:, None]
    apart = ((a - b).square().sum(dim=3) + 1e-9).sqrt()  # its root keeps the gradient of equal rows finite
    together = ((a + b).square().sum(dim=3) + 1e-9).sqrt()
    angle = 2 * torch.atan2(apart, together)
    return angle.square().mean(dim=(1, 2)) * rows.shape[2] / 8


def pyramid(residual: Tensor) -> Tensor:
    """L1 distance (B,) of two Laplacian pyramids, given the difference (B, C, H, W) of the two pictures.

    The pyramid (Burt and Adelson 1983) is linear, so the difference of two pyramids is the pyramid of the difference:
    half the work. Per level the mean absolute value, summed over levels and the low-pass rest.
    """
    B, C = residual.shape[:2]
    low = residual.reshape(B * C, 1, *residual.shape[2:])  # (B C, 1, H, W)
    taps = residual.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = torch.outer(taps, taps).view(1, 1, 5, 5)
    total = residual.new_zeros(B)
    for _ in range(_levels(*residual.shape[2:])):
        # Zero padding is right for a difference: outside the picture the two agree.
        smaller = torch.nn.functional.conv2d(low, kernel, stride=2, padding=2)
        odd = [(size + 1) % 2 for size in low.shape[2:]]
        band = low - torch.nn.functional.conv_transpose2d(smaller, 4 * kernel, stride=2, padding=2, output_padding=odd)
        total = total + band.abs().reshape(B, -1).mean(dim=1)
        low = smaller
    return total + low.abs().reshape(B, -1).mean(dim=1)


def _levels(height: int, width: int) -> int:
    """How many times a picture can be halved before its smaller side falls below SMALLEST_LEVEL."""
    return max(0, min(MAX_LEVELS - 1, (min(height, width) // SMALLEST_LEVEL).bit_length() - 1))
