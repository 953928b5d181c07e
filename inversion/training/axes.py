"""Finds the axes of W along which the loss of a generator's own pictures is steep and flat, from gradients.

Adam treats every coordinate of a style alone. Gradients of the loss are concentrated on a few directions of W, which
are the same for most pictures: the eigenvectors of their covariance. Along these, coordinates are nearly independent.
"""

from __future__ import annotations

import sys

import torch
from safetensors.torch import save_file
from torch import Tensor

from inversion.checkpoints import hub
from inversion.generators.statistics import principal_axes
from inversion.losses import Objective
from inversion.model import Model, prior_of
from inversion.tasks import Reconstruct
from inversion.training.export import file_line
from inversion.training.options import AxesOptions, TrainingError

BATCH = 8
DISTANCE = 0.3  # of the codes whose loss is differentiated, in standard deviations of W along its principal axes
EXPONENT = -0.25  # of the variance along an axis, for its scale; -0.5 would make all gradients equal, 0 leaves them
FLOOR = 1e-4  # of the variance, relative to its mean


def gradients(model: Model, count: int, seed: int) -> Tensor:
    """Gradients (count, num_ws, w_dim) of the default loss at random codes near those of their targets, of length 1."""
    prior, rng, found = prior_of(model), torch.Generator().manual_seed(seed), []
    axes, variance = principal_axes(prior)
    for first in range(0, count, BATCH):
        z = torch.randn(min(BATCH, count - first), prior.z_dim, generator=rng).to(prior.w_avg)
        with torch.no_grad():
            ws = prior.mapping(z)
            moved = torch.randn(ws.shape, generator=rng).to(ws) * variance.sqrt() @ axes.t()
            target = prior.synthesis(ws + DISTANCE * moved)
        ws.requires_grad_()
        loss = Objective(Reconstruct(), target, model)(prior.synthesis(ws))["total"]
        (gradient,) = torch.autograd.grad(loss.sum(), ws)
        found.append(gradient / gradient.flatten(1).norm(dim=1)[:, None, None])
    return torch.cat(found)


def scaled_axes(gradient: Tensor) -> Tensor:
    """The axes of gradients (count, L, w_dim), scaled, as columns (L, w_dim, w_dim)."""
    rows = gradient.double()
    variance, axes = torch.linalg.eigh(torch.einsum("bli,blj->lij", rows, rows) / len(rows))
    relative = variance.clamp_min(0) / variance.mean(dim=1, keepdim=True) + FLOOR
    return axes * relative.pow(EXPONENT)[:, None]


def main(options: AxesOptions) -> None:
    """Find the axes of every style, and of one style for all layers, and write them. Raises UserError."""
    model = hub.load(options.model)
    if "w+" not in prior_of(model).spaces:
        raise TrainingError(f"The generator of {model.name} has no styles. Choose another model.")
    found = gradients(model, options.count, options.seed)
    axes = {"wplus": scaled_axes(found), "w": scaled_axes(found.sum(dim=1, keepdim=True))}
    save_file({name: one.half().cpu().contiguous() for name, one in axes.items()}, str(options.out))
    sys.stdout.write(file_line(options.out))
