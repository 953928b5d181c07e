"""Directions: steps in the space of styles that change one attribute, and how they are measured.

A style is the output of the mapping for a z. A generator without a mapping (PGGAN) has one style, the normalised z, so
that directions work for all generators and, by `Code.shifted`, for all codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import torch

from inversion.common.settings import SettingError
from inversion.synthetic import DOMAINS, words_of

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.directions.bends import Bend
    from inversion.generators.base import Prior

SAMPLES = 4000  # random styles behind GANSpace and deviations
MAX_STRENGTH = 3.0  # end of a slider whose range was not measured, and the largest end, as in InterFaceGAN and SeFa

Layers = tuple[int, int]  # first and last style of a range, both included

EVERYWHERE = (-float("inf"), float("inf"))


class DirectionCard(TypedDict):
    """The data of a slider."""

    name: str
    label: str
    group: str
    low: float
    high: float
    unit: str


@dataclass(frozen=True, eq=False)
class Direction:
    """One slider. Strengths are in standard deviations of random codes; low <= 0 <= high is the usable range."""

    name: str
    label: str
    group: str  # attributes, sefa or ganspace
    rows: Tensor  # (1 or num_ws, w_dim) of unit length as a whole; a single row is used for all styles
    deviation: float  # standard deviation of random codes along the rows
    low: float = -MAX_STRENGTH
    high: float = MAX_STRENGTH
    normal: Tensor | None = None  # as rows: unit normal of the boundary between codes with and without the attribute
    reach: tuple[float, float] = EVERYWHERE  # range of random codes along the direction, in deviations from the mean
    bend: Bend | None = None  # moves of a slider follow it instead of the straight line

    def step(self) -> Tensor:
        """The change of the styles at strength 1 along the straight line, (1 or num_ws, w_dim)."""
        return self.rows * self.deviation

    def shift(self, offsets: Tensor, strength: Tensor) -> Tensor:
        """The change (B, 1 or num_ws, w_dim) of styles for a strength (B, 1, 1).

        offsets (B, num_ws, w_dim): the styles minus the mean style.
        """
        return strength * self.step().to(offsets) if self.bend is None else self.bend.step(offsets, strength)

    def card(self) -> DirectionCard:
        """The data of its slider."""
        return {
            "name": self.name,
            "label": self.label,
            "group": self.group,
            "low": self.low,
            "high": self.high,
            "unit": "standard deviations of random codes",
        }


def conditioned(direction: Tensor, normals: Sequence[Tensor]) -> Tensor:
    """Conditional manipulation (InterFaceGAN, Shen et al. 2020): the direction without its part along the normals.

    All have one shape, and the result has the length of the direction. With the normals as rows of N:
    d - N^T (N N^T)^-1 N d.
    """
    N = torch.stack([normal.flatten() for normal in normals])  # (n, D)
    flat = direction.flatten()
    rest = flat - N.t() @ torch.linalg.lstsq(N @ N.t(), (N @ flat)[:, None]).solution[:, 0]
    return (rest * (flat.norm() / rest.norm().clamp_min(1e-12))).view_as(direction)


def style_range(layers: Layers | None, prior: Prior) -> Layers:
    """First and last style of a range; None means all styles. Raises SettingError if the prior has fewer styles."""
    first, last = (0, prior.num_ws - 1) if layers is None else layers
    if not 0 <= first <= last < prior.num_ws:
        raise SettingError(f"Layers {first}-{last} do not exist. This generator's styles are 0-{prior.num_ws - 1}.")
    return first, last


def random_styles(prior: Prior, count: int, seed: int = 0) -> Tensor:
    """Styles of `count` random z, (count, 1 or num_ws, w_dim): one row if all styles of a code are equal."""
    z = torch.randn(count, prior.z_dim, generator=torch.Generator().manual_seed(seed))
    return as_fitted(prior, prior.mapping(z.to(prior.w_avg)))


def as_fitted(prior: Prior, ws: Tensor) -> Tensor:
    """Styles (B, num_ws, w_dim) of random codes in the shape of directions, (B, 1 or num_ws, w_dim)."""
    if "w+" not in prior.spaces:  # the style is a z, whose length has no effect
        from inversion.generators.ops import pixel_norm

        return pixel_norm(ws.transpose(1, 2)).transpose(1, 2)
    return ws[:, :1] if "w" in prior.spaces else ws


def deviation_along(styles: Tensor, rows: Tensor) -> float:
    """Standard deviation of styles (n, R, w_dim) along a unit direction (1 or R, w_dim)."""
    return float((styles * rows).sum(dim=2).std(dim=0).square().mean().sqrt())


def attribute_label(name: str, domain: str) -> str:
    """An attribute in words, as its domain labels it. domain: a key of DOMAINS, or any other."""
    labels = DOMAINS[domain].labels if domain in DOMAINS else {}
    return labels.get(name, words_of(name))
