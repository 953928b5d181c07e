"""Presets: quick ones and those of the papers, for every method."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from helpers.runs import quick, run
from torch import Tensor

from inversion.checkpoints import registry
from inversion.methods import METHODS, PRESETS, MultiCode, SettingError, W, WPlus, parse_method, preset_of
from inversion.methods.codes import Mixture
from inversion.methods.coordinates import Coordinates
from inversion.model import Model, prior_of
from inversion.serving.costs import relative_cost
from inversion.serving.plans import Plan
from inversion.tasks import Colorize
from inversion.training.axes import gradients, scaled_axes

# Steps and rates of the papers, or of their public code if the papers do not state them. Clone's are not published.
PUBLISHED: dict[str, dict[str, object]] = {
    "w": {"w.steps": 1000, "w.lr": 0.1},
    "wplus": {"wplus.steps": 5000, "wplus.lr": 0.01},
    "projector": {"projector.steps": 1000, "projector.lr": 0.1, "projector.shake": 0.05},
    "hybrid": {"wplus.steps": 500, "wplus.lr": 0.01, "wplus.principal": False},
    "indomain": {"indomain.steps": 100, "indomain.lr": 0.01, "indomain.domain_weight": 2.0},
    "mganprior": {"multicode.steps": 3000, "multicode.lr": 1.0, "multicode.optimiser": "sgd"},
    "restyle": {"restyle.iterations": 5},
    "pulse": {"pulse.steps": 100, "pulse.lr": 0.4, "pulse.eps": 0.001},
    "pti": {"wplus.steps": 450, "wplus.lr": 0.01, "pti.steps": 350, "pti.lr": 0.0003},
    "dip": {"dip.steps": 3000, "dip.lr": 0.01, "dip.network": "published"},
}


@pytest.mark.parametrize("key", METHODS)
def test_every_preset_fits_its_method(key: str) -> None:
    for name in PRESETS:
        changed = METHODS[key].preset(name)
        method = parse_method(key, name)
        assert {setting: method.settings()[setting] for setting in changed} == changed
        assert preset_of(method) == name or not changed
    assert METHODS[key].preset("") == {}
    steps = {name: 7 for name in METHODS[key].settings() if name.endswith(".steps")}
    mine = METHODS[key].changed("quick", steps)  # a given number of steps holds from every start
    assert steps.items() <= mine.items() and not any(name.endswith("_from_mean") for name in mine)
    with pytest.raises(SettingError, match="quick, published"):
        METHODS[key].preset("slow")


@pytest.mark.parametrize("key", PUBLISHED)
def test_published_means_the_numbers_of_the_paper(key: str) -> None:
    settings = parse_method(key, "published").settings()
    assert {name: settings[name] for name in PUBLISHED[key]} == PUBLISHED[key]
    assert not any(settings.get(name) for name in ("mean.encoder", "w.sensitive", "wplus.sensitive"))


def test_quick_never_takes_longer_than_the_defaults_or_the_paper() -> None:
    def cost(key: str, preset: str) -> float:
        return sum(
            steps * relative_cost(label)
            for label, steps in Plan.of(METHODS[key].configured(METHODS[key].preset(preset)), registry.DEFAULT).stages
        )

    for key in METHODS:
        assert cost(key, "quick") <= cost(key, ""), key
        assert cost(key, "quick") <= cost(key, "published") or key in ("pulse", "clone"), key


def test_an_encoder_start_is_taken_where_there_is_an_encoder(model: Model, pictures: Tensor) -> None:
    started = run(model, "mean", pictures[:1], mean__encoder=True)
    assert isinstance(started.code, WPlus) and "pSp" in started.message
    assert torch.equal(started.image, run(model, "psp", pictures[:1]).image)
    without = run(replace(model, encoders={}), "mean", pictures[:1], mean__encoder=True)
    plain = run(model, "mean", pictures[:1])
    assert torch.equal(without.image, plain.image) and without.message == plain.message == ""


def test_coordinates_begin_at_the_start_and_keep_it(model: Model) -> None:
    prior = prior_of(model)
    start = torch.randn(2, prior.num_ws, prior.w_dim, generator=torch.Generator().manual_seed(0))
    axes = scaled_axes(gradients(model, 8, seed=0))
    assert axes.shape == (prior.num_ws, prior.w_dim, prior.w_dim)
    angles = torch.einsum("lij,lik->ljk", axes, axes)
    assert (angles - torch.diag_embed(angles.diagonal(dim1=1, dim2=2))).abs().max() < 1e-3 * angles.max()  # orthogonal
    orthogonal = torch.linalg.qr(torch.randn(prior.w_dim, prior.w_dim))[0]
    for columns in (None, orthogonal, axes.to(start)):
        found = Coordinates.of(start, columns)
        assert torch.equal(found.best(), start) and found.variable.requires_grad
        assert (found.styles() - start).abs().max() < 1e-4


@pytest.mark.parametrize(("method", "kind"), [("w", W), ("wplus", WPlus)])
def test_sensitive_axes_are_used_where_the_model_has_them(
    model: Model, pictures: Tensor, method: str, kind: type
) -> None:
    found = gradients(model, 8, seed=0)
    axes = {"wplus": scaled_axes(found), "w": scaled_axes(found.sum(dim=1, keepdim=True))}
    fitted = replace(model, axes={name: one.to(prior_of(model).w_avg) for name, one in axes.items()})
    settings = {f"{method}__steps": 4, "mean__encoder": True}
    along = run(fitted, method, pictures[:1], **settings, **{f"{method}__sensitive": True})
    fallback = run(model, method, pictures[:1], **settings, **{f"{method}__sensitive": True})
    plain = run(fitted, method, pictures[:1], **settings)
    assert isinstance(along.code, kind)
    assert min(along.curves[f"{method}.total"]) < along.curves[f"{method}.total"][0]
    assert not torch.equal(along.image, fallback.image) and not torch.equal(fallback.image, plain.image)


def test_codes_near_the_start_are_mixed_unless_the_start_is_the_mean(model: Model, pictures: Tensor) -> None:
    near = {"multicode__nearby": 0.1, "multicode__steps": 2, "multicode__steps_from_mean": 3}
    close, far = (
        run(model, "mganprior", pictures[:1], mean__encoder=True, **{**near, "multicode__nearby": distance})
        for distance in (0.1, 1.0)
    )
    assert isinstance(close.code, Mixture) and isinstance(far.code, Mixture) and close.steps == 2
    assert close.code.heads.std(dim=1).mean() < far.code.heads.std(dim=1).mean()
    pixels = run(model, "mganprior", pictures[:1], mean__encoder=True, multicode__pixels=True, **near)
    assert {name for name in pixels.curves if "multicode" in name} == {"multicode.total", "multicode.pixel"}
    from_mean = run(model, "mganprior", pictures[:1], **near)
    assert isinstance(from_mean.code, MultiCode) and from_mean.steps == 3


@pytest.mark.parametrize("key", METHODS)
def test_the_number_of_steps_is_known_before_a_run_and_depends_on_its_start(
    key: str, model: Model, pictures: Tensor
) -> None:
    known, found = METHODS[key].settings(), set()
    both = {name.replace(".", "__"): 3 for name in known if name.endswith(".steps_from_mean")}
    starts = [{"mean__encoder": True}, {"mean__encoder": False}] if "mean.encoder" in known else [{}]
    for start, encoders in itertools.product(starts, (model.encoders, {})):
        method, one = quick(key, **both, **start), replace(model, encoders=encoders)
        if method.unavailable(one) is None:
            updates = run(one, method, pictures[:1]).steps
            assert updates == sum(n for stage, n in method.expected_steps(bool(encoders)) if stage.kind != "embed")
            found.add(updates)
    assert len(found) == (2 if both and "mean.encoder" in known else 1)


def test_an_encoder_reads_the_measurement_of_any_task(model: Model, pictures: Tensor) -> None:
    settings = {"wplus__steps": 2, "wplus__steps_from_mean": 3}
    y = Colorize().A(pictures[:1])
    assert run(model, "wplus", y, Colorize(), mean__encoder=True, **settings).steps == 2
