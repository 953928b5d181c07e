"""Laws of every measurement operator, over the registry."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from helpers.tasks import example_mask, example_task
from torch import Tensor

from inversion.common.settings import kind_of
from inversion.tasks import (
    APPLICATIONS,
    TASKS,
    Colorize,
    Denoise,
    Inpaint,
    Superres,
    TaskError,
    make_task,
    task_class,
)

SIZES = [(1, 32), (4, 32), (1, 256), (4, 256)]


def random(batch: int, resolution: int, seed: int, spread: float = 1.0) -> Tensor:
    x = torch.rand(batch, 3, resolution, resolution, generator=torch.Generator().manual_seed(seed))
    return spread * (2 * x - 1)


def photo_like(batch: int, resolution: int) -> Tensor:
    """Random pictures with black and white areas, which leave no room for detail."""
    x = random(batch, resolution, 0)
    x[..., : resolution // 4, :] = 1
    x[..., -resolution // 4 :, :] = -1
    return x


@pytest.mark.parametrize(("batch", "resolution"), SIZES)
@pytest.mark.parametrize("name", TASKS)
class TestLaws:
    def test_autograd_gives_the_adjoint(self, name: str, batch: int, resolution: int) -> None:
        task = example_task(name, resolution)
        u = random(batch, resolution, 1).double().requires_grad_(True)
        y = task.A(u)
        v = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        (adjoint,) = torch.autograd.grad(y, u, v)
        probe = random(batch, resolution, 3).double()
        assert torch.allclose((task.A(probe) * v).sum(), (probe * adjoint).sum(), rtol=1e-6, atol=1e-3)

    def test_pinv_is_a_picture_with_that_measurement(self, name: str, batch: int, resolution: int) -> None:
        task = example_task(name, resolution)
        y = task.A(photo_like(batch, resolution))
        assert task.pinv(y).shape == (batch, 3, resolution, resolution)
        assert (task.A(task.pinv(y)) - y).abs().max() <= 1e-5

    def test_merge_keeps_the_measured_part_and_the_range(self, name: str, batch: int, resolution: int) -> None:
        task = example_task(name, resolution)
        y = task.A(photo_like(batch, resolution))
        wild = random(batch, resolution, 4, spread=1.5)  # generators overshoot
        merged = task.merge(wild, y)
        if not task.merges:
            assert torch.equal(merged, wild)
            return
        assert (task.A(merged) - y).abs().max() <= 1e-5
        assert merged.abs().max() <= 1

    def test_merge_of_the_truth_is_the_truth(self, name: str, batch: int, resolution: int) -> None:
        task, x = example_task(name, resolution), photo_like(batch, resolution)
        assert (task.merge(x, task.A(x)) - x).abs().max() <= 1e-5

    def test_gradient_reaches_every_part_that_is_measured(self, name: str, batch: int, resolution: int) -> None:
        task = example_task(name, resolution)
        x = random(batch, resolution, 5).requires_grad_(True)
        task.pinv(task.A(x)).square().sum().backward()
        assert x.grad is not None
        reached = (x.grad != 0).float().mean().item()
        assert reached > 0.99 - (task.hole_share or 0)


@pytest.mark.parametrize("name", [*TASKS, *APPLICATIONS])
def test_a_task_describes_itself_and_its_fields(name: str) -> None:
    kind = task_class(name)
    assert {"name", "label", "description", "__doc__"} <= set(vars(kind)) and kind.name == name
    assert not str(kind.__doc__).startswith(f"{kind.__name__}(")  # the docstring that dataclass generates
    assert kind.label and kind.description.endswith(".")
    for spec in fields(kind):
        assert spec.metadata["label"] and spec.metadata["help"].endswith("."), spec.name
        if kind_of(spec) == "number":
            assert "choices" in spec.metadata or {"min", "max"} <= set(spec.metadata), spec.name


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.merges])
def test_merged_pictures_keep_the_measured_part_in_8_bits(name: str) -> None:
    task = example_task(name, 64)
    y = task.A((photo_like(1, 64) * 127.5).round() / 127.5)
    merged = task.merge(random(1, 64, 6, spread=1.2), y)
    stored = ((merged + 1) * 127.5).round() / 127.5 - 1
    assert (task.A(stored) - y).abs().max() <= 1 / 255 + 1e-6


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.merges])
def test_merging_leaves_no_seam_if_a_result_has_another_tint(name: str) -> None:
    task, x = example_task(name, 64), random(1, 64, 7, spread=0.7)
    assert (task.merge(x + 0.2, task.A(x)) - x).abs().max() <= 1e-3


@pytest.mark.parametrize("name", TASKS)
def test_a_measured_picture_is_read_as_the_measurement(name: str) -> None:
    task = example_task(name, 32)
    x = photo_like(1, 32)
    size = task.measured_size(32)
    measured = task.A(x) if size < 32 else task.pinv(task.A(x))
    assert measured.shape[-1] == size
    assert (task.read(measured) - task.A(x)).abs().max() <= 1e-5


def test_the_seed_determines_the_noise() -> None:
    task, x = Denoise(0.2), torch.zeros(1, 3, 64, 64)
    y = task.measure(x, torch.Generator().manual_seed(1))
    assert torch.equal(y, task.measure(x, torch.Generator().manual_seed(1)))
    assert not torch.equal(y, task.measure(x, torch.Generator().manual_seed(2)))
    assert abs(y.std().item() - 0.2) < 0.01


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: make_task("upscale"), "Unknown task"),
        (lambda: make_task("inpaint"), "needs a mask"),
        (lambda: Superres(1), "between 2 and 64"),
        (lambda: Superres(5).A(torch.zeros(1, 3, 32, 32)), "does not divide"),
        (lambda: Denoise(2.0), "between 0 and 1"),
        (lambda: Denoise(float("nan")), "between 0 and 1"),
        (lambda: Inpaint(torch.ones(1, 1, 8, 8)), "marks no hole"),
        (lambda: Inpaint(torch.zeros(1, 1, 8, 8)), "whole picture"),
        (lambda: Inpaint(torch.full((1, 1, 8, 8), 0.5)), "only 1"),
        (lambda: Inpaint(torch.ones(8, 8)), "shape"),
        (lambda: Inpaint(example_mask(16)).measured_size(32), "16 pixels wide"),
    ],
)
def test_bad_parameters_are_refused_with_a_reason(make: object, says: str) -> None:
    assert callable(make)
    with pytest.raises(TaskError, match=says):
        make()


def test_luma_weights_are_those_of_grey_pictures() -> None:
    assert torch.allclose(Colorize().A(torch.tensor([1.0, -1.0, 0.5]).view(1, 3, 1, 1)), torch.tensor(-0.231))
