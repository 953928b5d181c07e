"""Statistics of the styles of random codes in W: their spread and their principal axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from inversion.common.devices import float64

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior

AXES_DRAWN = 4096  # random codes behind the principal axes of W


def spread(prior: Prior) -> float:
    """Standard deviation of a style's entries over random z: the unit of learning rates in W and W+.

    It differs between priors by a factor of ten. In this unit, one learning rate suits all of them.
    """
    z = torch.randn(512, prior.z_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return prior.mapping(z.to(prior.w_avg)).var(dim=0).mean().sqrt().item()


def principal_axes(prior: Prior) -> tuple[Tensor, Tensor]:
    """The principal axes of W, columns of an orthogonal matrix (w_dim, w_dim), and W's variance (w_dim,) along each.

    The axis of the largest variance comes last.
    """
    z = torch.randn(AXES_DRAWN, prior.z_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        w = float64(prior.mapping(z.to(prior.w_avg))[:, 0])
        variance, axes = torch.linalg.eigh(torch.cov(w.t()))
        return axes.to(prior.w_avg), variance.clamp_min(0).to(prior.w_avg)
