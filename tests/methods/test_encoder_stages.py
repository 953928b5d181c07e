"""Stages that start from an encoder."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers.runs import finish, quick, run
from torch import Tensor, nn

from inversion.encoders import InDomain
from inversion.encoders.restyle import corrections
from inversion.generators import StyleGAN2
from inversion.losses import Objective
from inversion.methods import STAGES, Method, WPlus
from inversion.methods.run import RunOptions, invert
from inversion.model import Model
from inversion.tasks import Reconstruct, Superres


@pytest.mark.parametrize("key", ["encoder", "guided", "psp", "e4e"])
def test_encoders_read_pinv_at_their_own_size(key: str, model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
    small = InDomain((6, 8, 8), prior.num_ws, prior.w_dim).eval().requires_grad_(False)
    assert small.size == 16
    name = STAGES[key].encoder_role  # type: ignore[attr-defined]
    task = Superres(4)
    result = run(replace(model, encoders={name: small}), Method(key, key, (STAGES[key](),)), task.A(pictures), task)
    assert isinstance(result.code, WPlus)
    expected = small(nn.functional.avg_pool2d(task.pinv(task.A(pictures)), 2))
    torch.testing.assert_close(result.code.rows, expected)


def test_restyle_shows_every_pass_and_keeps_the_best(model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
    method = quick("restyle", restyle__iterations=4)
    steps, result = finish(invert(model, Reconstruct(), pictures, method, options=RunOptions(preview_every=0)))
    assert [step.index for step in steps] == [1, 2, 3, 4] and all(step.image is not None for step in steps)
    objective = Objective(Reconstruct(), pictures, model)
    passes = list(corrections(model.encoders["restyle"], prior, pictures, 4))  # type: ignore[arg-type]
    losses = torch.stack([objective(image)["total"] for _, image in passes])
    assert isinstance(result.code, WPlus)
    for i, best in enumerate(losses.argmin(dim=0).tolist()):
        torch.testing.assert_close(result.code.rows[i], passes[best][0][i])
