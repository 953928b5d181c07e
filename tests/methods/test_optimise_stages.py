"""Stages that optimise one code: noise maps, projector, In-Domain."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers.runs import finish, quick, run
from torch import Tensor

from inversion.generators import StyleGAN2
from inversion.methods import SettingError, WPlus
from inversion.methods.run import invert
from inversion.model import Model
from inversion.tasks import Reconstruct


def test_noise_maps_are_optimised_only_if_there_are_any(model: Model, noisy_prior: StyleGAN2, pictures: Tensor) -> None:
    method = quick("wplus", wplus__noise=True)
    with pytest.raises(SettingError, match="noise"):
        finish(invert(model, Reconstruct(), pictures[:1], method))
    noisy = replace(model, prior=noisy_prior)
    _, result = finish(invert(noisy, Reconstruct(), pictures[:1], method))
    assert isinstance(result.code, WPlus) and len(result.code.noise) == noisy_prior.num_layers
    assert "wplus.noise" in result.curves


def test_projector_optimises_one_style_and_the_noise_maps(
    model: Model, noisy_prior: StyleGAN2, pictures: Tensor
) -> None:
    assert isinstance(plain := run(model, "projector", pictures[:1]).code, WPlus) and plain.noise == ()
    code = run(replace(model, prior=noisy_prior), "projector", pictures[:2]).code
    assert isinstance(code, WPlus) and (code.rows == code.rows[:, :1]).all()
    assert [m.shape[2:] for m in code.noise] == list(noisy_prior.noise_shapes)
    for m in code.noise:
        assert m.mean(dim=(1, 2, 3)).abs().max() < 1e-5 and (m.square().mean(dim=(1, 2, 3)) - 1).abs().max() < 1e-4
    off = run(replace(model, prior=noisy_prior), "projector", pictures[:1], projector__noise=False).code
    assert isinstance(off, WPlus) and off.noise == ()


def test_projector_adds_noise_in_three_quarters_of_the_steps(model: Model, pictures: Tensor) -> None:
    """In the last quarter the loss is that of the code; before, noise is added to the code."""
    curves = [
        run(model, "projector", pictures[:1], projector__steps=8, projector__shake=shake, projector__lr=1e-4).curves
        for shake in (0.0, 1.0)
    ]
    plain, noisy = (torch.tensor(c["projector.total"]) for c in curves)
    assert ((plain - noisy).abs() > 0.02).tolist() == [True] * 6 + [False] * 3


def test_the_domain_weight_keeps_the_code_close_to_the_encoder_s(
    model: Model, prior: StyleGAN2, pictures: Tensor
) -> None:
    encoder = model.encoders["indomain"]
    apart = []
    for weight in (0.0, 2.0, 50.0):
        result = run(
            model, "indomain", pictures[:1], indomain__steps=15, indomain__lr=0.1, indomain__domain_weight=weight
        )
        assert isinstance(result.code, WPlus)
        apart.append((result.code.rows - encoder(result.image)).square().mean().item())
    assert apart[0] > 1.05 * apart[1] > 1.1 * apart[2]
