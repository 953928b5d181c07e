"""Runs from a given code: a method that optimises one starts with exactly its picture, or says why it cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers.codes import codes_of
from helpers.runs import finish, quick, run, same_result
from torch import Tensor

from inversion.generators import StyleGAN2
from inversion.methods import METHODS, STAGES, Method, Result, SettingError, W, WPlus
from inversion.methods.codes import CODES, Code
from inversion.methods.run import RunOptions, invert
from inversion.model import Model
from inversion.tasks import Reconstruct

KINDS = [*CODES, "wplus with noise"]
NEVER = {"encoder", "psp", "e4e", "restyle", "dip", "pulse"}  # one pass, no code, or only codes on its sphere


def without_steps(method: Method) -> Method:
    """The method with 0 steps in every stage."""
    stages = [replace(stage, steps=0) if hasattr(stage, "steps") else stage for stage in method.stages]
    return replace(method, stages=tuple(stages))


def started(model: Model, method: Method, code: Code, y: Tensor) -> Result:
    return finish(invert(model, Reconstruct(), y, method, options=RunOptions(start=code)))[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", METHODS)
def test_a_start_with_0_steps_is_its_picture_or_is_refused(
    key: str, kind: str, model: Model, noisy_prior: StyleGAN2, pictures: Tensor
) -> None:
    noisy = replace(model, prior=noisy_prior)
    code = codes_of(noisy_prior)[kind]
    try:
        result = started(noisy, without_steps(METHODS[key]), code, pictures[:1])
    except SettingError as refusal:
        text = str(refusal)
        assert "cannot start from" in text and text.count(". ") == 1 and text.endswith(".")
        named = [word.strip(" .") for word in text.rpartition(":")[2].split(",")]
        assert "Choose" in text and (":" not in text or set(named) <= {*METHODS.keys() - NEVER, "keep", "mean+pti"})
    else:
        assert key not in NEVER
        assert torch.equal(result.image, code.render(noisy_prior))
        assert torch.equal(result.code.render(noisy_prior), code.render(noisy_prior))  # type: ignore[union-attr]


STARTS = {
    "z": {"z"},
    "w": {"z", "w"},
    "wplus": {"z", "w", "wplus", "wplus with noise"},
    "projector": {"z", "w"},
    "hybrid": {"z", "w", "wplus", "wplus with noise"},
    "indomain": {"z", "w", "wplus"},
    "mganprior": {"multicode"},
    "pti": {"z", "w", "wplus", "wplus with noise"},
    "clone": {"z", "w", "wplus", "wplus with noise"},
    "keep": set(KINDS),
    "mean+pti": set(KINDS),
    "mean+clone": set(KINDS),
}


@pytest.mark.parametrize("key", STARTS)
def test_which_codes_a_method_starts_from(key: str, model: Model, noisy_prior: StyleGAN2) -> None:
    stage = quick(key).from_start().stages[0]
    assert {kind for kind, code in codes_of(noisy_prior).items() if stage.start(code, noisy_prior)} == STARTS[key]
    assert METHODS.keys() - NEVER <= STARTS.keys()


@pytest.mark.parametrize("stage", [key for key, kind in STAGES.items() if kind.kind == "embed"])
def test_a_start_replaces_the_embed_stage(stage: str, model: Model, pictures: Tensor) -> None:
    code = WPlus(torch.randn(1, model.prior.num_ws, model.prior.w_dim))  # type: ignore[union-attr]
    one, other = (started(model, quick(key), code, pictures[:1]) for key in (f"{stage}+wplus", "wplus"))
    assert torch.equal(one.image, other.image) and "wplus.pixel" in one.curves
    assert one.recipe["stages"] == ["wplus"]


def test_a_start_at_the_mean_is_the_usual_run(model: Model, pictures: Tensor) -> None:
    assert model.prior is not None
    mean = WPlus(model.prior.w_avg[None].clone())
    one, usual = started(model, quick("wplus"), mean, pictures[:1]), run(model, "wplus", pictures[:1])
    assert same_result(replace(one, recipe={}), replace(usual, recipe={}))


def test_equal_styles_are_a_code_in_w(model: Model, pictures: Tensor) -> None:
    """NVIDIA's projected_w.npz holds one style, repeated for every layer."""
    assert model.prior is not None
    style = torch.randn(1, 1, model.prior.w_dim)
    repeated = WPlus(style.repeat(1, model.prior.num_ws, 1))
    for key in ("w", "projector"):
        result = started(model, without_steps(METHODS[key]), repeated, pictures[:1])
        assert torch.equal(result.image, W(style[:, 0]).render(model.prior))


def test_a_code_with_maps_goes_on_in_the_projector(model: Model, noisy_prior: StyleGAN2, pictures: Tensor) -> None:
    """rosinality's projector saves a style and its noise maps."""
    noisy = replace(model, prior=noisy_prior)
    first = run(noisy, "projector", pictures[:1])
    assert isinstance(first.code, WPlus) and first.code.noise
    again = started(noisy, without_steps(METHODS["projector"]), first.code, pictures[:1])
    assert torch.equal(again.image, first.image)
    with pytest.raises(SettingError, match="with noise maps. Choose one of: wplus"):
        started(noisy, quick("projector", projector__noise=False), first.code, pictures[:1])


def test_the_result_of_every_method_starts_it_again(model: Model, pictures: Tensor) -> None:
    for key in STARTS:
        first = run(model, key, pictures[:1])
        assert first.code is not None
        again = started(model, without_steps(quick(key)), first.code, pictures[:1])
        assert torch.equal(again.code.render(model.prior), first.code.render(model.prior))  # type: ignore[union-attr, arg-type]


def test_one_start_serves_every_picture_of_a_batch(model: Model, pictures: Tensor) -> None:
    assert model.prior is not None
    code = codes_of(model.prior)["wplus"]
    both = started(model, quick("wplus"), code, pictures[:2])
    alone = started(model, quick("wplus"), code, pictures[1:2])
    assert len(both.image) == 2 and (both.image[1] - alone.image[0]).abs().max() < 1e-4
    three = WPlus(torch.cat([codes_of(model.prior)["wplus"].ws(model.prior)] * 3))
    with pytest.raises(SettingError, match="3 codes for 2 pictures"):
        started(model, quick("wplus"), three, pictures[:2])
