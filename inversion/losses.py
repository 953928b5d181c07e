"""The objective of methods: a distance between the measurement of a picture and the given measurement."""

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
SMALLEST_LEVEL = 8  # pixels; smaller levels hold almost no information


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of the objective; 0 leaves a term out. Raises ValueError if a weight is negative or nan."""

    pixel: float = field(default=1.0, metadata={"label": "Pixel", "min": 0.0, "max": 10.0, "step": 0.1})
    pyramid: float = field(default=0.1, metadata={"label": "Laplacian pyramid", "min": 0.0, "max": 10.0, "step": 0.05})
    perceptual: float = field(default=0.1, metadata={"label": "Perceptual", "min": 0.0, "max": 10.0, "step": 0.05})
    identity: float = field(default=0.0, metadata={"label": "Identity", "min": 0.0, "max": 10.0, "step": 0.05})

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"the weight {name} must be a finite number, at least 0, not {value}")


PIXELS = LossWeights(pixel=1.0, pyramid=0.0, perceptual=0.0)


class Objective:
    """Distance between A(x) and y. Perceptual and identity networks compare the pictures pinv(A(x)) and pinv(y).

    y (B, ...): the measurement, on the model's device. weights: the default is `LossWeights()`. `perceptual_name`: the
    network of the perceptual term, or "none". Identity: 1 - the cosine of the embeddings (pSp, Richardson et al. 2021,
    eq. 4), left out if the model has no network for it.
    """

    def __init__(self, task: Task, y: Tensor, model: Model, weights: LossWeights | None = None) -> None:
        self.task, self.y = task, y
        self.weights = weights or LossWeights()
        self._perceptual = model.perceptual_loss if self.weights.perceptual else None
        self.perceptual_name = "none" if self._perceptual is None else self._perceptual.name
        self._target: list[Tensor] = []
        if self._perceptual is not None:
            with torch.no_grad():
                self._target = self._perceptual.features(task.pinv(y))
        self._embed = model.embed if self.weights.identity else None
        if self._embed is not None:
            with torch.no_grad():
                self._person = self._embed(task.pinv(y))

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """Unweighted terms (B,) of pictures x (B, 3, R, R) in about [-1, 1], and their weighted sum "total".

        The penalty of the task is weighted by the task.

        The terms of a picture do not depend on the other pictures of the batch.
        """
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
        if self._embed is not None:
            terms["identity"] = 1 - (self._embed(self.task.pinv(measured)) * self._person).sum(dim=1)
        total = residual.new_zeros(residual.shape[0])
        for name, value in terms.items():
            total = total + getattr(self.weights, name) * value
        penalty = self.task.penalty(x)
        if penalty is not None:
            terms["penalty"], total = penalty, total + penalty
        return {"total": total, **terms}


def pixel(residual: Tensor) -> Tensor:
    """Mean squared error (B,), given the difference (B, C, H, W) of two measurements in [-1, 1]."""
    return residual.square().flatten(1).mean(dim=1)


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """R1 (Mescheder et al. 2018, eq. 9): squared norm (B,) of the gradient of the logits at real samples (B, ...)."""
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1)


def geodesic_cross(rows: Tensor) -> Tensor:
    """GEOCROSS (B,) of styles (B, num_ws, w_dim): the distance between the rows of a picture on the sphere (PULSE).

    Mean over all pairs of the squared angle 2 atan2(|a - b|, |a + b|), times w_dim / 8 (Menon et al. 2020).
    """
    a, b = rows[:, :, None], rows[:, None]
    apart = ((a - b).square().sum(dim=3) + 1e-9).sqrt()  # 1e-9: a finite gradient for equal rows
    together = ((a + b).square().sum(dim=3) + 1e-9).sqrt()
    angle = 2 * torch.atan2(apart, together)
    return angle.square().mean(dim=(1, 2)) * rows.shape[2] / 8


def pyramid(residual: Tensor) -> Tensor:
    """L1 distance (B,) of two Laplacian pyramids, given the difference (B, C, H, W) of the two pictures.

    The pyramid (Burt and Adelson 1983) is linear, so the pyramid of the difference is enough. The distance is the mean
    absolute value of each level, summed over the levels and the low-pass residual.
    """
    B, C = residual.shape[:2]
    low = residual.reshape(B * C, 1, *residual.shape[2:])  # (B C, 1, H, W)
    taps = residual.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = torch.outer(taps, taps).view(1, 1, 5, 5)
    total = residual.new_zeros(B)
    for _ in range(_levels(*residual.shape[2:])):
        # Zero padding suits a difference: outside the pictures it is zero.
        smaller = torch.nn.functional.conv2d(low, kernel, stride=2, padding=2)
        odd = [(size + 1) % 2 for size in low.shape[2:]]
        band = low - torch.nn.functional.conv_transpose2d(smaller, 4 * kernel, stride=2, padding=2, output_padding=odd)
        total = total + band.abs().reshape(B, -1).mean(dim=1)
        low = smaller
    return total + low.abs().reshape(B, -1).mean(dim=1)


def _levels(height: int, width: int) -> int:
    """How many times a picture can be halved until its smaller side falls below SMALLEST_LEVEL."""
    return max(0, min(MAX_LEVELS - 1, (min(height, width) // SMALLEST_LEVEL).bit_length() - 1))
