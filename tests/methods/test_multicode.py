"""mGANprior: the split of the generator, the number of codes, and their mixture."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.runs import finish, quick, run
from helpers.tasks import example_mask, example_task
from torch import Tensor

from inversion.generators import PGGAN, StyleGAN2
from inversion.methods import Method, MultiCode, SettingError
from inversion.methods.multicode import OptimiseMultiCode, default_size
from inversion.methods.run import invert
from inversion.model import Model
from inversion.tasks import Colorize, Denoise, Inpaint, Reconstruct, Superres


def test_multicode_split_by_task_size_or_layer(prior: StyleGAN2) -> None:
    stage = OptimiseMultiCode()
    assert prior.size(stage.split(prior, Reconstruct())) == 32
    assert prior.size(stage.split(prior, Denoise())) == 16
    assert stage.split(prior, Denoise()) == 5  # the last convolution at 16 pixels
    assert replace(stage, size=8).split(prior, Reconstruct()) == 3
    assert replace(stage, size=8, layer=6).split(prior, Reconstruct()) == 6
    with pytest.raises(SettingError, match="at most 32"):
        replace(stage, size=64).split(prior, Reconstruct())
    with pytest.raises(SettingError, match="at most 7"):
        replace(stage, layer=8).split(prior, Reconstruct())


def test_multicode_sgd_is_an_option(model: Model, pictures: Tensor) -> None:
    method = quick("mganprior", multicode__optimiser="sgd", multicode__lr=1.0)
    _, result = finish(invert(model, Reconstruct(), pictures[:1], method))
    assert min(result.curves["multicode.total"]) < result.curves["multicode.total"][0]


@pytest.mark.parametrize(
    ("name", "layer", "codes"),
    [("reconstruct", 8, 20), ("colorize", 6, 20), ("superres", 6, 20), ("inpaint", 4, 30), ("denoise", 6, 20)],
)
def test_multicode_takes_the_paper_s_layers_and_numbers(
    name: str, layer: int, codes: int, other_models: dict[str, Model], pictures: Tensor
) -> None:
    """Gu et al. 2020: number of convolutions before the split of a PGGAN of 1024 pixels and of codes, by task."""
    task, stage = example_task(name), OptimiseMultiCode(steps=1)
    published = PGGAN(1024, 4, {4 << i: 1 for i in range(9)})
    assert stage.split(published, example_task(name, 1024)) == layer
    result = run(other_models["pggan"], Method("m", "m", (stage,)), task.A(pictures[:1]), task)
    assert isinstance(result.code, MultiCode) and result.code.z.shape[1] == codes


@pytest.mark.parametrize(("factor", "size"), [(2, 16), (8, 8), (16, 4), (32, 4)])
def test_the_mixed_features_are_coarser_than_the_measurement(factor: int, size: int) -> None:
    """The paper uses 16 pixels (x16 at 1024 pixels). For a small picture that would be as fine as the measurement."""
    prior = PGGAN(128, 4, dict.fromkeys((4, 8, 16, 32, 64, 128), 2))
    assert default_size(prior, Superres(factor)) == size
    assert prior.size(OptimiseMultiCode().split(prior, Superres(factor))) == size
    for task in (Inpaint(example_mask(128)), Colorize()):
        assert default_size(prior, task) == 4  # holes and colours come from the smallest map


def test_multicode_without_channel_importance_is_a_plain_mean(model: Model, pictures: Tensor) -> None:
    plain = run(model, "mganprior", pictures[:1], multicode__importance=False)
    assert isinstance(plain.code, MultiCode) and (plain.code.alpha == 1 / 3).all()
