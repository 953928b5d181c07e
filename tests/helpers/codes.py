"""One code of each kind that a generator can render."""

from __future__ import annotations

import torch

from inversion.generators import Prior
from inversion.methods.codes import CODES, Code, Mixture, MultiCode, W, WPlus, Z


def codes_of(prior: Prior, layer: int = 3) -> dict[str, Code]:
    """A seeded code of each of `CODES` that fits the prior, and "wplus with noise" if it takes noise maps."""
    rng = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=rng)

    rows = draw(1, prior.num_ws, prior.w_dim)
    alpha = draw(1, 2, prior.channels(layer))
    made: dict[str, Code] = {
        "z": Z(draw(1, prior.z_dim)),
        "w": W(draw(1, prior.w_dim)),
        "wplus": WPlus(rows),
        "multicode": MultiCode(draw(1, 2, prior.z_dim), alpha, rows, layer),
        "mixture": Mixture(draw(1, 2, prior.num_ws, prior.w_dim), alpha, rows, layer),
    }
    assert made.keys() == CODES.keys()
    if prior.noise_shapes:
        made["wplus with noise"] = WPlus(rows, tuple(draw(1, 1, *shape) for shape in prior.noise_shapes))
    return made
