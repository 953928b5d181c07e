"""The optimisation loop that all stages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from inversion.methods import Step
from inversion.methods.base import Descent, Loss, Schedule, descend


def quadratic(x: Tensor, target: Tensor) -> Loss:
    """The squared distance of x to the target."""

    def loss() -> tuple[dict[str, Tensor], Tensor]:
        total = (x - target).square().flatten(1).sum(dim=1)
        return {"total": total}, x.view(len(x), 1, 1, -1)

    return loss


def run_loop(loop: Iterator[Step]) -> tuple[list[Step], str]:
    """All steps of the loop, and the message that it returns."""
    steps = []
    while True:
        try:
            steps.append(next(loop))
        except StopIteration as stop:
            return steps, stop.value


def loss_never_below(least: float, loss: Loss) -> Loss:
    """A loss that cannot fall below `least`."""

    def clamped() -> tuple[dict[str, Tensor], Tensor]:
        terms, image = loss()
        return {"total": terms["total"].clamp_min(least)}, image

    return clamped


class TestLoop:
    def test_each_picture_keeps_its_own_best_iterate(self) -> None:
        target = torch.tensor([[0.0], [1.0]])
        x = torch.tensor([[0.1], [-4.0]]).requires_grad_(True)
        # The rate is much too large for the first picture and right for the second.
        run_loop(descend("s", quadratic(x, target), [([x], 1.0)], Descent(5)))
        assert x[0].item() == pytest.approx(0.1) and abs(x[1].item() - 1) < 0.5

    def test_last_iterate_counts(self) -> None:
        x = torch.tensor([[4.0]]).requires_grad_(True)
        steps, message = run_loop(descend("s", quadratic(x, torch.zeros(1, 1)), [([x], 0.5)], Descent(2)))
        assert [step.index for step in steps] == [0, 1, 2] and message == ""
        assert x.item() == pytest.approx(3.0, abs=0.01)

    @pytest.mark.parametrize("shared", [False, True])
    def test_nan_ends_the_loop_with_the_best_iterate(self, shared: bool) -> None:
        x = torch.tensor([[4.0]]).requires_grad_(True)
        seen: list[float] = []

        def loss() -> tuple[dict[str, Tensor], Tensor]:
            seen.append(x.item())
            total = x.square().sum(dim=1) * (float("nan") if len(seen) == 3 else 1)
            return {"total": total}, x.view(1, 1, 1, 1)

        steps, message = run_loop(descend("s", loss, [([x], 0.5)], Descent(100, shared=shared)))
        assert len(steps) == 2 and "step 2" in message
        assert x.item() == seen[1]

    def test_one_picture_s_nan_leaves_the_others_alone(self) -> None:
        x = torch.tensor([[4.0], [4.0]]).requires_grad_(True)
        weight = torch.tensor([float("nan"), 1.0])

        def loss() -> tuple[dict[str, Tensor], Tensor]:
            return {"total": x.square().sum(dim=1) * weight}, x.view(2, 1, 1, 1)

        run_loop(descend("s", loss, [([x], 0.5)], Descent(4)))
        assert x[0].item() == 4.0 and x[1].item() < 3.0

    def test_sending_true_ends_the_loop(self) -> None:
        x = torch.tensor([[4.0]]).requires_grad_(True)
        loop = descend("s", quadratic(x, torch.zeros(1, 1)), [([x], 0.5)], Descent(100))
        next(loop)
        with pytest.raises(StopIteration):
            loop.send(True)

    def test_ends_when_enough_is_true(self) -> None:
        x = torch.tensor([[4.0]]).requires_grad_(True)
        loop = descend(
            "s", quadratic(x, torch.zeros(1, 1)), [([x], 0.5)], Descent(100, enough=lambda t: t["total"] < 5)
        )
        steps, _ = run_loop(loop)
        assert steps[-1].losses["total"] < 5 and len(steps) < 10

    def test_a_plateau_ends_the_loop_with_the_best_iterate_and_says_so(self) -> None:
        x = torch.tensor([[3.0], [0.5]]).requires_grad_(True)
        loop = quadratic(x, torch.zeros(2, 1))
        steps, message = run_loop(descend("s", loss_never_below(1.0, loop), [([x], 0.5)], Descent(100, patience=7)))
        last = next(step.index for step in steps if step.losses["total"] == 1.0)
        assert steps[-1].index == last + 7 and f"step {last + 7} of 100: no improvement over 7 steps" in message
        patient, message = run_loop(descend("s", loss_never_below(1.0, loop), [([x], 0.5)], Descent(30)))
        assert patient[-1].index == 30 and message == ""

    def test_every_group_has_its_rate_and_the_schedule_scales_it(self) -> None:
        schedule = Schedule(ramp=0.1, decay=0.5)
        factors = [schedule(i, 100) for i in range(100)]
        assert factors[0] < 0.2 and factors[20] == 1 and factors[75] == pytest.approx(0.5) and factors[99] < 0.01
        assert all(a <= b for a, b in zip(factors[:10], factors[1:11], strict=True))
        a, b = (torch.zeros(1, 1).requires_grad_(True) for _ in range(2))

        def loss() -> tuple[dict[str, Tensor], Tensor]:
            total = (a + b - 10).square().sum(dim=1)
            return {"total": total}, a.view(1, 1, 1, 1)

        run_loop(descend("s", loss, [([a], 0.1), ([b], 0.3)], Descent(1)))
        assert b.item() == pytest.approx(3 * a.item(), rel=1e-3)


def test_an_iterate_without_rank_counts_until_one_has_a_rank() -> None:
    x = torch.tensor([[4.0]]).requires_grad_(True)
    ranks: Iterator[float] = iter([torch.nan, torch.nan, 5.0, torch.nan, 7.0])
    seen: list[float] = []

    def loss() -> tuple[dict[str, Tensor], Tensor]:
        seen.append(x.item())
        return {"total": x.square().sum(dim=1), "rank": torch.tensor([next(ranks)])}, x.view(1, 1, 1, 1)

    steps = list(descend("s", loss, [([x], 0.5)], Descent(4)))
    assert x.item() == seen[2] and all("rank" not in step.losses for step in steps)


def test_without_ranks_the_last_iterate_is_kept() -> None:
    x = torch.tensor([[4.0]]).requires_grad_(True)

    def loss() -> tuple[dict[str, Tensor], Tensor]:
        return {"total": x.square().sum(dim=1), "rank": torch.tensor([torch.nan])}, x.view(1, 1, 1, 1)

    list(descend("s", loss, [([x], 0.5)], Descent(3)))
    assert x.item() == pytest.approx(2.5, abs=0.05)
