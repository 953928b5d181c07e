"""Pictures of models that were opened from official files."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers import foreign
from inversion.checkpoints.layouts import search
from inversion.model import Model


def picture(model: Model) -> Tensor:
    """A picture of the model, after a check of its shape and range."""
    assert model.prior is not None
    z = torch.randn(1, model.prior.z_dim, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        x = model.prior.synthesis(model.prior.mapping(z))
    assert x.shape == (1, 3, model.resolution, model.resolution) and bool(x.isfinite().all()) and float(x.std()) > 0
    return x


def expected(layout: str, like: Model) -> Tensor:
    """The same picture of the generator as the layout's own reader makes it."""
    (prior,) = (found.build() for found in search.networks(foreign.checkpoint(layout)) if found.kind == "generator")
    return picture(Model("direct", prior.freeze(torch.float32), like.resolution))  # type: ignore[operator]


def same(a: Tensor, b: Tensor) -> None:
    """Check that tensors are equal, except for rounding, which depends on their alignment in memory."""
    torch.testing.assert_close(a, b, rtol=0, atol=1e-4 * float(b.abs().max()))
