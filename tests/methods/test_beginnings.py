"""Runs that go on from earlier ones: the same bits with less work."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers.runs import finish, quick, same_result
from helpers.tasks import example_task
from torch import Tensor

from inversion.losses import LossWeights
from inversion.methods import METHODS, Method, Result, Step
from inversion.methods.beginnings import Beginnings
from inversion.methods.codes import WPlus
from inversion.methods.run import RunOptions, invert
from inversion.model import Model, ModelOptions
from inversion.tasks import TASKS, Reconstruct

ITERATIVE = [key for key, method in METHODS.items() if any(stage.kind != "embed" for stage in method.stages)]


def made(model: Model, y: Tensor, method: Method, beginnings: Beginnings) -> tuple[list[Step], Result]:
    """A run that may go on from earlier ones."""
    return finish(invert(model, Reconstruct(), y, method, options=RunOptions(beginnings=beginnings)))


@pytest.mark.parametrize("key", ITERATIVE)
def test_a_run_that_was_made_before_comes_at_once_with_the_same_bits(key: str, model: Model, pictures: Tensor) -> None:
    beginnings = Beginnings()
    steps, first = made(model, pictures[:1], quick(key), beginnings)
    assert first.spent == 0 and all(step.spent == 0 for step in steps)
    (step,), again = made(model, pictures[:1], quick(key), beginnings)
    assert same_result(first, again) and again.steps == first.steps
    assert step.image is not None and step.spent > 0 and step.index == step.total == steps[-1].index
    assert step.losses == steps[-1].losses and step.stage == steps[-1].stage
    assert again.spent == step.spent <= again.seconds and "earlier run" in again.message


def test_methods_share_their_first_stages(model: Model, pictures: Tensor) -> None:
    tuning = [key for key, method in METHODS.items() if method.stages[-1].kind == "refine"]
    tuning = [key for key in tuning if len(METHODS[key].stages) > 1]
    assert len(tuning) >= 2
    beginnings = Beginnings()
    for key in tuning:
        steps, shared = made(model, pictures[:1], quick(key), beginnings)
        _, alone = finish(invert(model, Reconstruct(), pictures[:1], quick(key)))
        assert same_result(shared, alone)
        assert (steps[0].spent > 0) == (key != tuning[0])
    (_, *rest), _ = made(model, pictures[:1], quick("wplus"), beginnings)
    assert rest == [], "W+ is the beginning of all of them"


def test_everything_that_changes_a_result_makes_another_run(model: Model, pictures: Tensor) -> None:
    y, method, beginnings = pictures[:1], quick("w"), Beginnings()
    _, first = made(model, y, method, beginnings)
    assert first.code is not None and model.prior is not None
    start = WPlus(first.code.ws(model.prior))

    def taken(model: Model = model, y: Tensor = y, method: Method = method, seed: int = 0, **options: object) -> bool:
        given = RunOptions(beginnings=beginnings, **options)  # type: ignore[arg-type]
        return finish(invert(model, Reconstruct(), y, method, seed, given))[1].spent > 0

    assert taken() and taken(budget=60.0)
    assert not taken(y=pictures[1:2]) and not taken(seed=1)
    assert not taken(method=quick("w", w__steps=5)) and not taken(weights=LossWeights(pixel=2.0))
    assert not taken(method=quick("wplus")) and taken(method=quick("wplus"))
    assert not taken(method=quick("wplus"), start=start)
    for changed in (
        replace(model, name="other"),
        replace(model, sha256="1" * 64),
        replace(model, options=ModelOptions(label=0)),
        replace(model, encoders={}),
    ):
        assert not taken(model=changed)
    for name in TASKS:
        task = example_task(name)
        of_task = task.measure(y, torch.Generator().manual_seed(0))
        _, result = finish(invert(model, task, of_task, method, options=RunOptions(beginnings=beginnings)))
        assert (result.spent > 0) == isinstance(task, Reconstruct), name


def test_a_run_that_was_cut_short_is_no_beginning(model: Model, pictures: Tensor) -> None:
    beginnings = Beginnings()
    events = invert(model, Reconstruct(), pictures[:1], quick("wplus"), options=RunOptions(beginnings=beginnings))
    next(events)
    while not isinstance(events.send(True), Result):
        pass
    assert len(beginnings) == 0


def test_memory_and_time_are_bounded(model: Model, pictures: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    beginnings = Beginnings(expiry=10, clock=lambda: now)
    made(model, pictures[:1], quick("w"), beginnings)
    now = 9.0
    assert made(model, pictures[:1], quick("w"), beginnings)[1].spent > 0
    now = 18.0
    made(model, pictures[:1], quick("wplus"), beginnings)
    assert len(beginnings) == 2, "use starts the time again"
    now = 20.0
    beginnings.prune()
    assert len(beginnings) == 1
    now = 29.0
    beginnings.prune()
    assert len(beginnings) == 0
    one = Beginnings(limit=20_000)  # bytes: one picture of 32 x 32 pixels and its code
    for key in ("w", "wplus", "w"):
        assert made(model, pictures[:1], quick(key), one)[1].spent == 0
    assert len(one) == 1
    assert len(Beginnings(limit=0)) == 0
    monkeypatch.setattr("inversion.methods.beginnings.MOST", 1)
    few = Beginnings()
    for key in ("w", "wplus", "w"):
        assert made(model, pictures[:1], quick(key), few)[1].spent == 0
    assert len(few) == 1
