"""Every method on generators of other architectures."""

from __future__ import annotations

import pytest
import torch
from helpers.runs import quick, run
from helpers.tasks import example_task
from torch import Tensor

from inversion.common.settings import SettingError
from inversion.generators import Prior
from inversion.methods import METHODS, Z, tuned
from inversion.model import Model
from inversion.tasks import TASKS

OTHERS = ["pggan", "stylegan", "in-domain"]
Z_ONLY = {"z", "encoder", "hybrid", "mganprior", "psp", "e4e", "restyle", "pulse", "dip"}
OFFERED = {"pggan": Z_ONLY, "stylegan": set(METHODS), "in-domain": set(METHODS) - {"w", "projector"}}


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in OTHERS for key in METHODS])
def test_presets_run_on_every_task_of_every_architecture(
    name: str, key: str, other_models: dict[str, Model], pictures: Tensor
) -> None:
    model = other_models[name]
    if key not in OFFERED[name]:
        assert "offers no W" in str(METHODS[key].unavailable(model))
        return
    method = quick(key)
    method = method.configured(
        {s: 1 for s in method.settings() if s.endswith((".steps", ".candidates", ".iterations"))}
    )
    for task_name in TASKS:
        task = example_task(task_name)
        y = task.measure(pictures[:1], torch.Generator().manual_seed(0))
        result = run(model, method, y, task)
        assert result.image.shape == pictures[:1].shape and result.image.isfinite().all()
        if task.merges:
            assert (task.A(result.image) - y).abs().max() <= 1e-5


@pytest.mark.parametrize("key", ["encoder", "pulse"])
def test_a_z_keeps_its_usual_length_if_there_are_no_styles(
    key: str, other_models: dict[str, Model], pictures: Tensor
) -> None:
    result = run(other_models["pggan"], key, pictures)
    assert isinstance(result.code, Z)
    torch.testing.assert_close(result.code.z.square().mean(dim=1), torch.ones(len(pictures)))


def test_hybrid_improves_the_encoders_z_if_there_are_no_styles(
    other_models: dict[str, Model], pictures: Tensor
) -> None:
    model = other_models["pggan"]
    start, end = run(model, "encoder", pictures), run(model, "hybrid", pictures)
    assert isinstance(start.code, Z) and isinstance(end.code, Z)
    assert (end.image - pictures).square().mean() < (start.image - pictures).square().mean()
    with pytest.raises(SettingError, match="no noise inputs"):
        run(model, METHODS["hybrid"].configured({"wplus.noise": True}), pictures)


@pytest.mark.parametrize("text", ["random+z+pti", "encoder+z+clone", "pulse+pti", "mganprior+clone"])
def test_a_prior_without_styles_is_tuned_too(text: str, other_models: dict[str, Model], pictures: Tensor) -> None:
    model = other_models["pggan"]
    result = run(model, text, pictures[:1])
    assert isinstance(model.prior, Prior) and result.code is not None and result.weights
    assert torch.equal(result.code.render(tuned(model.prior, result.weights)), result.image)
