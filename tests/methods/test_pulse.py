"""PULSE: codes on the sphere, noise maps, tolerance."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers.networks import build_prior
from helpers.runs import run
from torch import Tensor

from inversion.generators import StyleGAN2
from inversion.methods import WPlus
from inversion.methods.sphere import StyleGaussian, one_cycle_drop
from inversion.model import Model


def test_pulse_never_leaves_the_sphere(model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
    result = run(model, "pulse", pictures)
    assert isinstance(result.code, WPlus)
    v = StyleGaussian.of(prior).inverse(result.code.rows)
    torch.testing.assert_close(v.square().mean(dim=2), torch.ones(v.shape[:2]), rtol=1e-3, atol=1e-3)
    assert (v[:, :1] - v[:, 1:]).abs().amax(dim=2).min() > 0.1 and "pulse.cross" in result.curves
    tied = run(model, "pulse", pictures[:1], pulse__tied=True)
    assert isinstance(tied.code, WPlus) and (tied.code.rows == tied.code.rows[:, :1]).all()
    assert "pulse.cross" not in tied.curves


def test_pulse_optimises_the_first_noise_maps(model: Model, pictures: Tensor) -> None:
    prior = build_prior(noise=True)
    for name, strength in prior.named_parameters():
        if name.endswith("noise_strength"):
            strength.fill_(0.5)
    noisy = replace(model, prior=prior)
    few, none = (run(noisy, "pulse", pictures[:1], pulse__noise_maps=n).code for n in (2, 0))
    assert isinstance(few, WPlus) and isinstance(none, WPlus)
    # The starts are equal, so maps that differ were optimised.
    moved = [not torch.equal(a, b) for a, b in zip(few.noise, none.noise, strict=True)]
    assert moved == [True, True] + [False] * (len(moved) - 2)
    assert not few.noise[-1].any()


def test_pulse_reports_an_error_above_the_tolerance(model: Model, pictures: Tensor) -> None:
    assert "tolerance of 0.002" in run(model, "pulse", pictures[:1], pulse__eps=0.002).message
    # A pixel error below the tolerance counts as the tolerance.
    flat = run(model, "pulse", pictures[:1], pulse__eps=0.1, pulse__cross=0.0)
    counted = torch.tensor(flat.curves["pulse.total"]) - 0.1 * torch.tensor(flat.curves["pulse.perceptual"])
    counted -= 0.1 * torch.tensor(flat.curves["pulse.pyramid"])
    torch.testing.assert_close(counted, torch.tensor(flat.curves["pulse.pixel"]).clamp_min(0.4))


def test_pulse_starts_from_a_code(model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
    space = StyleGaussian.of(prior)
    ws = space.styles(torch.randn(2, prior.num_ws, prior.w_dim))
    torch.testing.assert_close(space.styles(space.inverse(ws)), ws)
    starts = [run(model, f"{start}pulse", pictures[:1]).curves["pulse.total"][0] for start in ("", "psp+", "e4e+")]
    assert len(set(starts)) == 3


def test_the_gaussian_has_the_moments_of_the_mapping(prior: StyleGAN2) -> None:
    rng = torch.Generator().manual_seed(5)
    mapped = prior.mapping(torch.randn(4096, prior.z_dim, generator=rng))[:, 0]
    made = StyleGaussian.of(prior).styles(torch.randn(4096, 1, prior.w_dim, generator=rng))[:, 0]
    assert (made.mean(dim=0) - mapped.mean(dim=0)).abs().max() < 0.2 * mapped.std()
    assert (made.std(dim=0) / mapped.std(dim=0)).log().abs().max() < 0.35


def test_the_rate_rises_to_its_peak_then_falls_to_almost_zero() -> None:
    factors = [one_cycle_drop(i, 100) for i in range(101)]
    assert factors[0] == pytest.approx(0.1) and factors[45] == pytest.approx(1.0)
    assert factors[90] == pytest.approx(0.1) and factors[100] == pytest.approx(0.001)
