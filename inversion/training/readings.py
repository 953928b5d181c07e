"""Random codes of a generator, and the predictor's readings of their pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from inversion.directions import as_fitted
from inversion.training.models import networks_of

if TYPE_CHECKING:
    from inversion.model import Model

BATCH = 50


@dataclass(frozen=True)
class Samples:
    """Random codes of a generator and the predictor's readings of their pictures."""

    styles: Tensor  # (n, 1 or num_ws, w_dim)
    attributes: Tensor  # (n, K)
    identities: Tensor  # (n, D), unit length

    def first(self, count: int) -> Samples:
        """The first of them."""
        return Samples(self.styles[:count], self.attributes[:count], self.identities[:count])


@torch.no_grad()
def read_pictures(model: Model, ws: Tensor) -> tuple[Tensor, Tensor]:
    """Attributes (B, K) and identities (B, D) in the pictures of styles (B, num_ws, w_dim). Raises NoPredictor."""
    prior, predictor = networks_of(model)
    return predictor.heads(prior.synthesis(ws).clamp(-1, 1))


@torch.no_grad()
def draw_samples(model: Model, count: int, seed: int) -> Samples:
    """Draw `count` random codes from the seed and read their pictures. Raises NoPredictor."""
    prior, _ = networks_of(model)
    rng = torch.Generator().manual_seed(seed)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for start in range(0, count, BATCH):
        z = torch.randn(min(BATCH, count - start), prior.z_dim, generator=rng)
        ws = prior.mapping(z.to(prior.w_avg))
        parts.append((as_fitted(prior, ws).clone(), *read_pictures(model, ws)))
    styles, attributes, identities = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    return Samples(styles, attributes, identities)
