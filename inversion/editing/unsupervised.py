"""All directions of a model: its own, and those found without labels (SeFa, GANSpace)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from inversion.directions import SAMPLES, Direction, Layers, deviation_along, random_styles, style_range

if TYPE_CHECKING:
    from inversion.generators.base import Prior
    from inversion.model import Model

COUNT = 10  # directions that SeFa and GANSpace offer
# Sliders that most people look for, in this order; the others follow.
FIRST = (
    "yaw",
    "pitch",
    "age",
    "smile",
    "glasses",
    "beard",
    "hair_length",
    "hair_colour",
    "skin_tone",
    "nose_width",
    "light_azimuth",
    "mouth_open",
)


def directions_of(model: Model, layers: Layers | None = None) -> dict[str, Direction]:
    """All directions of a model by name: its own, those that most people look for first, then SeFa's and GANSpace's.

    layers: the styles that SeFa looks at. Empty for a model without a generator.
    """
    if model.prior is None:
        return {}
    place = {name: i for i, name in enumerate(FIRST)}
    own = sorted(model.directions.values(), key=lambda direction: place.get(direction.name, len(FIRST)))
    found = (*own, *_unsupervised(model.prior, layers))
    return {direction.name: direction for direction in found}


@lru_cache(maxsize=4)  # an entry keeps its prior in memory
def _unsupervised(prior: Prior, layers: Layers | None) -> tuple[Direction, ...]:
    return (*sefa(prior, COUNT, layers), *ganspace(prior, COUNT))


@torch.no_grad()
def sefa(prior: Prior, count: int, layers: Layers | None = None) -> list[Direction]:
    """SeFa (Shen and Zhou 2021): eigenvectors of A^T A, largest first, A the layers' modulation weights stacked.

    The weights of every output have unit norm, as in the official code. layers: the styles that count, None for all.
    """
    first, last = style_range(layers, prior)
    chosen = [weight for row, weight in prior.modulations() if first <= row <= last]
    stacked = F.normalize(torch.cat(chosen).double(), dim=1)  # (outputs, w_dim)
    _, vectors = torch.linalg.eigh(stacked.t() @ stacked)  # the smallest eigenvalue first
    rows = [_pointed(v.float())[None] for v in vectors.t().flip(0)[:count]]
    styles = random_styles(prior, SAMPLES)
    return [
        Direction(f"sefa_{i}", f"SeFa {i}", "sefa", row, deviation_along(styles, row)) for i, row in enumerate(rows, 1)
    ]


@torch.no_grad()
def ganspace(prior: Prior, count: int) -> list[Direction]:
    """GANSpace (Harkonen et al. 2020): principal components of the styles of random codes, the largest first."""
    flat = random_styles(prior, SAMPLES).flatten(1)
    flat = flat[: max(2 * count, SAMPLES // (flat.shape[1] // prior.w_dim))]  # the decomposition's cost stays the same
    _, sizes, components = torch.linalg.svd(flat - flat.mean(dim=0), full_matrices=False)
    spreads = (sizes / (len(flat) - 1) ** 0.5).tolist()
    return [
        Direction(f"ganspace_{i}", f"GANSpace {i}", "ganspace", _pointed(vector).view(-1, prior.w_dim), spreads[i - 1])
        for i, vector in enumerate(components[:count], 1)
    ]


def _pointed(vector: Tensor) -> Tensor:
    """The vector or its opposite, so that its largest entry is positive: decompositions leave the sign open."""
    return vector * vector[vector.abs().argmax()].sign()
