"""Latent codes: rendering, moving, and the algebra of several codes."""

from __future__ import annotations

import pytest
import torch

from inversion.generators import StyleGAN2
from inversion.methods import MultiCode, W, WPlus, Z


def codes(prior: StyleGAN2) -> list[Z | W | WPlus | MultiCode]:
    rng = torch.Generator().manual_seed(0)
    k = 3
    return [
        Z(torch.randn(2, prior.z_dim, generator=rng)),
        W(torch.randn(2, prior.w_dim, generator=rng)),
        WPlus(torch.randn(2, prior.num_ws, prior.w_dim, generator=rng)),
        MultiCode(
            torch.randn(2, 3, prior.z_dim, generator=rng),
            torch.randn(2, 3, prior.channels(k), generator=rng),
            torch.randn(2, prior.num_ws, prior.w_dim, generator=rng),
            k,
        ),
    ]


@pytest.mark.parametrize("index", range(4))
def test_codes_render_and_move(index: int, prior: StyleGAN2) -> None:
    code = codes(prior)[index]
    assert code.render(prior).shape == (2, 3, 32, 32)
    assert code.ws(prior).shape == (2, prior.num_ws, prior.w_dim)
    assert all(len(t) == 2 for t in code.tensors().values())
    direction = torch.ones(prior.z_dim if code.space == "z" else prior.w_dim)
    assert not torch.equal(code.moved(direction, 1.0).render(prior), code.render(prior))
    assert torch.equal(code.moved(direction, 0.0).render(prior), code.render(prior))


@pytest.mark.parametrize("layer", [1, 2, 3, 5, 7])
def test_one_code_of_weight_one_is_the_plain_generator(layer: int, prior: StyleGAN2) -> None:
    """Eq. 3 of the paper with N = 1, alpha = 1, and the code's own styles after the split."""
    z = torch.randn(2, prior.z_dim, generator=torch.Generator().manual_seed(1))
    multi = MultiCode(z[:, None], torch.ones(2, 1, prior.channels(layer)), prior.mapping(z), layer)
    assert (multi.render(prior) - Z(z).render(prior)).abs().max() < 1e-5


def test_multicode_is_linear_in_its_importance_before_the_split(prior: StyleGAN2) -> None:
    """N equal codes with alpha = 1/N are one code with alpha = 1."""
    z = torch.randn(1, 1, prior.z_dim, generator=torch.Generator().manual_seed(1))
    rows, C = prior.mapping(z[0]), prior.channels(3)
    one = MultiCode(z, torch.ones(1, 1, C), rows, 3)
    five = MultiCode(z.expand(1, 5, -1), torch.full((1, 5, C), 0.2), rows, 3)
    assert (one.render(prior) - five.render(prior)).abs().max() < 1e-5
