"""Directions that are fitted to the attributes of a predictor."""

from __future__ import annotations

import pytest
import torch
from helpers.networks import build_other, build_prior
from torch import Tensor

from inversion.directions import from_tensors, to_tensors
from inversion.editing import (
    edited,
)
from inversion.methods import WPlus
from inversion.model import Model
from inversion.training import bends
from inversion.training import directions as training
from inversion.training.models import NoPredictor


def test_regression_and_boundary_find_the_cause_of_a_score() -> None:
    pytest.importorskip("sklearn")
    rng = torch.Generator().manual_seed(0)
    causes = torch.randn(2000, 2, generator=rng)
    causes[:, 1] += 0.5 * causes[:, 0]
    axes = torch.linalg.qr(torch.randn(12, 2, generator=rng))[0].t()
    styles = (causes @ (axes * torch.tensor([[3.0], [1.0]])) + 0.01 * torch.randn(2000, 12, generator=rng))[:, None]
    for k, rows in enumerate(training.regression(styles, causes)):
        normal = training.boundary(styles, causes[:, k])
        assert rows.norm() == pytest.approx(1, rel=1e-4) and normal.norm() == pytest.approx(1, rel=1e-4)
        assert float((rows[0] * axes[k]).sum()) > 0.99
        read = (styles * normal).sum(dim=(1, 2))
        assert float(torch.corrcoef(torch.stack([read, causes[:, k]]))[0, 1]) > 0.99


def test_a_map_steps_where_a_line_goes_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bends, "STEPS", 500)
    attributes = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    age, colour = attributes.unbind(dim=1)

    def styles(age: Tensor) -> Tensor:  # as hair, whose colour shows until it is grey
        return torch.stack([age, colour * (1 - age.sigmoid()), colour], dim=1)

    known = bends.fit_map(styles(age), attributes)
    truth = styles(age + 0.5) - styles(age)
    line = truth.mean(dim=0)
    step = known.step(styles(age), 0, torch.full_like(age, 0.5))
    inside = age < 0.5
    assert (step - truth)[inside].square().mean() < 0.3 * (line - truth)[inside].square().mean()


@pytest.mark.parametrize("name", ["stylegan2", "in-domain", "pggan"])
def test_directions_are_fitted_to_any_prior(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    prior = build_prior() if name == "stylegan2" else build_other(name)
    monkeypatch.setattr(training, "MIN_READABLE", 0.0)
    monkeypatch.setattr(training, "MIN_RISING_SHARE", 0.5)  # fewer codes rise with an untrained generator
    monkeypatch.setattr(
        training, "IDENTITY_MARGIN", -3.0
    )  # identity follows brightness here, so no margin to other persons is needed
    monkeypatch.setattr(bends, "STEPS", 20)
    model = Model("tiny", prior, prior.resolution, predictor=_Gauge())
    (found,) = training.fit_directions(model, training.draw_samples(model, 200, seed=0))
    assert found.low < 0 < found.high and found.reach[0] < 0 < found.reach[1]
    assert from_tensors(to_tensors([found]), prior, "")[0].name == "brightness"
    code = WPlus(prior.mapping(torch.randn(4, prior.z_dim, generator=torch.Generator().manual_seed(9))))
    moves = [edited(code, prior, {"b": found}, {"b": s}).render(prior) for s in (found.low, 0.0, found.high)]
    dark, middle, bright = (float(x.clamp(-1, 1).mean()) for x in moves)
    assert dark < middle < bright


class _Gauge(torch.nn.Module):
    """Predicts one attribute of a picture, its mean brightness, and an identity that changes with it."""

    names = ("brightness",)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value = x.mean(dim=(1, 2, 3))
        return value[:, None], torch.stack([(40 * value).cos(), (40 * value).sin()], dim=1)


def test_a_reach_is_where_most_codes_rise() -> None:
    places = torch.linspace(-2, 2, 9)
    ramp = places[:, None].expand(-1, 20)
    assert training.rising_stretch(places, ramp, 1.0) == (-2, 2)
    assert training.rising_stretch(places, ramp.clamp(-1, 1), 1.0) == (-1, 1)
    assert training.rising_stretch(places, -(ramp - 1).abs(), 1.0) == (-2, 1)
    assert (
        training.rising_stretch(places, 0 * ramp, 1.0) is None and training.rising_stretch(places, -ramp, 1.0) is None
    )
    some = ramp.clone()
    some[6:, :9] = 0.0  # from 0.5 on almost half of the codes turn back, although the mean still rises
    assert (some.mean(dim=1).diff() > 0).all()
    low, high = training.rising_stretch(places, some, 0.5) or (0.0, 0.0)
    assert low == -2 and 0.4 <= high < 1
    some[6:, 2:] = ramp[6:, 2:]  # a few codes do not stop the others
    assert training.rising_stretch(places, some, 0.5) == (-2, 2)


def test_a_slider_moves_most_codes_and_leaves_the_other_attributes() -> None:
    places = torch.linspace(-2, 2, 9)
    ramp = places[:, None].expand(-1, 20)

    def steady(attribute: Tensor, other: Tensor) -> bool:
        swept = training.Sweep(places, ramp, torch.stack([attribute, other], dim=2), torch.ones_like(ramp))
        return training.moves_alone(swept, (-1.0, 1.5), 0, torch.tensor([1.0, 2.0]))

    assert steady(ramp, 0 * ramp)
    assert steady(ramp, 0.4 * ramp) and not steady(ramp, 0.6 * ramp)  # 0.2 and 0.3 of the wanted change, in deviations
    for turned, kept in ((2, True), (4, False)):  # of 20 codes: those without the attribute
        some = ramp.clone()
        some[:, :turned] *= -0.1
        assert steady(some, 0 * ramp) == kept
    far = ramp.clone()
    far[-1] = -2.0  # beyond the reach
    assert steady(far, 0 * ramp)


@pytest.mark.parametrize(
    ("reach", "fading", "expected"),
    [
        ((-1.0, 1.0), 0.0, (-1.9, 1.9)),  # nine of ten codes reach both ends
        ((-5.0, 1.0), 0.0, (-3.0, 1.9)),
        ((-5.0, 5.0), 0.24, (-2.05, 2.05)),  # 0.5 is reached at 2.08, and ranges end at multiples of 0.05
        ((-1.0, 5.0), 0.8, (-0.6, 0.6)),
    ],
)
def test_a_range_comes_to_the_ends_of_the_reach_and_keeps_the_person(
    reach: tuple[float, float], fading: float, expected: tuple[float, float]
) -> None:
    at = torch.linspace(-1, 1, 21) * 1.125  # 0.9 of them lie below 0.9
    places = torch.linspace(-4, 4, 9)
    strengths = places[:, None] - at
    swept = training.Sweep(places, strengths, strengths[..., None], 1 - fading * strengths.abs())
    assert training.usable_range(swept, at, reach, 0.5) == pytest.approx(expected)


def test_directions_cannot_be_fitted_without_a_predictor(full_model: Model) -> None:
    with pytest.raises(NoPredictor, match="tiny has no predictor"):
        training.draw_samples(full_model, 100, 0)
