"""All directions of a model: fitted ones, and those found without labels (SeFa, GANSpace)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from inversion.common.devices import float64
from inversion.directions.base import SAMPLES, Direction, Layers, deviation_along, random_styles, style_range
from inversion.synthetic import DOMAINS

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior
    from inversion.model import Model

COUNT = 10  # directions that SeFa and GANSpace offer


def directions_of(model: Model, layers: Layers | None = None) -> dict[str, Direction]:
    """All directions of a model by name: first those of no factor of its domain, which a user gave.

    Then come the domain's `sliders`, its other factors, SeFa and GANSpace.

    layers: the range of styles that SeFa analyses, None for all. Empty for a model without a generator.
    """
    if model.prior is None:
        return {}
    domain = DOMAINS.get(model.domain)
    factors = () if domain is None else (*domain.sliders, *domain.names)
    order = {name: i for i, name in enumerate(dict.fromkeys(factors))}
    attributes = sorted(model.directions.values(), key=lambda direction: order.get(direction.name, -1))
    found = (*attributes, *_unlabelled(model.prior, layers))
    return {direction.name: direction for direction in found}


@lru_cache(maxsize=4)  # an entry keeps its prior in memory
def _unlabelled(prior: Prior, layers: Layers | None) -> tuple[Direction, ...]:
    return (*sefa(prior, COUNT, layers), *ganspace(prior, COUNT))


def sefa(prior: Prior, count: int, layers: Layers | None = None) -> list[Direction]:
    """SeFa (Shen and Zhou 2021, eq. 7): eigenvectors of A^T A, largest first, A the stacked modulation weights.

    The weights of every output have unit norm, as in the official code. layers: the range of styles whose layers count,
    None for all. Raises SettingError for a range that the prior lacks.
    """
    first, last = style_range(layers, prior)
    with torch.no_grad():
        chosen = [weight for row, weight in prior.modulations() if first <= row <= last]
        stacked = torch.nn.functional.normalize(float64(torch.cat(chosen)), dim=1)  # (outputs, w_dim)
        _, vectors = torch.linalg.eigh(stacked.t() @ stacked)  # the smallest eigenvalue first
        rows = [_oriented(v.float().to(prior.w_avg))[None] for v in vectors.t().flip(0)[:count]]
        styles = random_styles(prior, SAMPLES)
        return [
            Direction(f"sefa_{i}", f"SeFa {i}", "sefa", row, deviation_along(styles, row))
            for i, row in enumerate(rows, 1)
        ]


def ganspace(prior: Prior, count: int) -> list[Direction]:
    """GANSpace (Harkonen et al. 2020): principal components of the styles of random codes, largest first."""
    with torch.no_grad():
        flat = random_styles(prior, SAMPLES).flatten(1)
        flat = flat[: max(2 * count, SAMPLES // (flat.shape[1] // prior.w_dim))]  # keeps the cost of the SVD constant
        _, sizes, components = torch.linalg.svd(flat - flat.mean(dim=0), full_matrices=False)
        spreads = (sizes / (len(flat) - 1) ** 0.5).tolist()
        rows = [_oriented(vector).view(-1, prior.w_dim) for vector in components[:count]]
        return [
            Direction(f"ganspace_{i}", f"GANSpace {i}", "ganspace", row, spreads[i - 1])
            for i, row in enumerate(rows, 1)
        ]


def _oriented(vector: Tensor) -> Tensor:
    """The vector or its opposite, so that the largest entry is positive: decompositions leave the sign open."""
    return vector * vector[vector.abs().argmax()].sign()
