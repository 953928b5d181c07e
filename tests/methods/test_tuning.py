"""Stages that tune the generator: PTI and Clone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers.runs import finish, quick, run
from torch import Tensor

from inversion.generators import StyleGAN2
from inversion.losses import LossWeights
from inversion.methods import Method, Result, SettingError, WPlus, tuned
from inversion.methods.clone import Clone
from inversion.methods.pti import PTI, UNTUNED, default_lr
from inversion.methods.run import RunOptions, invert
from inversion.model import Model
from inversion.tasks import Colorize, Reconstruct, Task


class TestPTI:
    def run(self, model: Model, task: Task, y: Tensor, **changes: object) -> Result:
        return finish(invert(model, task, y, quick("pti", **changes)))[1]

    def test_returns_the_changed_weights_on_the_cpu(self, model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
        result = self.run(model, Reconstruct(), pictures[:1])
        assert result.weights is not None
        tunable = dict(prior.tunable())
        assert result.weights and set(result.weights) <= set(tunable)
        assert all(w.device.type == "cpu" and not torch.equal(w, tunable[k]) for k, w in result.weights.items())
        assert not any(name.startswith("dense") for name in result.weights)

    def test_looks_at_the_pixels_alone_if_asked_to(self, model: Model, pictures: Tensor) -> None:
        result = self.run(model, Reconstruct(), pictures[:1], pti__pixels=True, pti__memory=0.95)
        assert {name for name in result.curves if name.startswith("pti.")} == {"pti.total", "pti.pixel"}
        assert result.curves["pti.total"] == result.curves["pti.pixel"]

    def test_locality_is_on_if_part_of_the_picture_is_not_measured(self, model: Model, pictures: Tensor) -> None:
        grey = Colorize()
        assert "pti.locality" in self.run(model, grey, grey.A(pictures[:1])).curves
        assert "pti.locality" not in self.run(model, Reconstruct(), pictures[:1]).curves
        assert "pti.locality" in self.run(model, Reconstruct(), pictures[:1], pti__locality="on").curves
        assert "pti.locality" not in self.run(model, grey, grey.A(pictures[:1]), pti__locality="off").curves

    def test_locality_looks_at_what_the_loss_looks_at(self, model: Model, pictures: Tensor) -> None:
        y, method = Colorize().A(pictures[:1]), quick("mean+pti", pti__pixels=True)
        runs = [
            finish(invert(model, Colorize(), y, method, options=RunOptions(weights=LossWeights(perceptual=weight))))[1]
            for weight in (0.1, 5.0)
        ]
        assert runs[0].curves["pti.locality"] == runs[1].curves["pti.locality"]

    def test_locality_keeps_other_pictures(self, model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
        moved = []
        z = torch.randn(8, prior.z_dim, generator=torch.Generator().manual_seed(9))
        for weight in (0.0, 2.0):
            result = self.run(
                model, Reconstruct(), pictures[:1], pti__steps=20, pti__locality="on", pti__locality_weight=weight
            )
            assert result.weights is not None
            moved.append((tuned(prior, result.weights)(z) - prior(z)).square().mean().item())
        assert moved[1] < 0.7 * moved[0]

    def test_stops_at_the_requested_psnr(self, model: Model, pictures: Tensor) -> None:
        result = self.run(model, Reconstruct(), pictures[:1], pti__steps=50, pti__stop_psnr=1.0)
        assert len(result.curves["pti.total"]) == 1

    def test_takes_one_picture(self, model: Model, pictures: Tensor) -> None:
        with pytest.raises(SettingError, match="one picture"):
            self.run(model, Reconstruct(), pictures)

    def test_tunes_any_kind_of_code(self, model: Model, prior: StyleGAN2, pictures: Tensor) -> None:
        for key in ("random+z+pti", "mganprior+pti", "w+pti"):
            _, result = finish(invert(model, Reconstruct(), pictures[:1], quick(key)))
            assert result.weights and result.code is not None
            assert torch.equal(result.code.render(tuned(prior, result.weights)), result.image)

    def test_small_generators_have_a_higher_rate(self, prior: StyleGAN2) -> None:
        assert default_lr(prior) > default_lr(StyleGAN2(256)) == 3e-4


@pytest.mark.parametrize("key", ["pti", "clone"])
def test_a_generator_that_no_step_improved_is_said_to_be_unchanged(key: str, model: Model, pictures: Tensor) -> None:
    for enough in (1.0, 0.0):  # a PSNR that the code alone has, and none
        result = run(model, key, pictures[:1], **{f"{key}__stop_psnr": enough})
        assert (UNTUNED in result.message) == (not result.weights) == bool(enough)


def test_pti_alone_starts_at_the_mean(model: Model, pictures: Tensor) -> None:
    _, result = finish(invert(model, Reconstruct(), pictures[:1], Method("pti", "PTI", (PTI(steps=1),))))
    assert isinstance(result.code, WPlus)


def clone_run(model: Model, y: Tensor, task: Task | None = None, seed: int = 0, **settings: object) -> Result:
    chosen = {"batch": 2, "steps": 4, **settings}
    method = Method("c", "c", (Clone(),)).configured({f"clone.{name}": value for name, value in chosen.items()})
    return finish(invert(model, task or Reconstruct(), y, method, seed=seed))[1]


class TestClone:
    def test_the_local_term_counts_with_its_probability(self, model: Model, pictures: Tensor) -> None:
        """The indicator 1_p: the picture counts in random steps with probability p, and is evaluated after the last."""
        curves = {p: clone_run(model, pictures[:1], steps=12, probability=p).curves for p in (0.0, 0.5, 1.0)}
        local = {p: len(found["clone.pyramid"]) for p, found in curves.items()}
        assert local[0.0] == 1 and local[1.0] == 13 and 3 <= local[0.5] <= 11
        assert [len(found["clone.adversarial"]) for found in curves.values()] == [4] * 3  # steps 0, 4, 8 and 12
        paper = clone_run(model, pictures[:1], steps=12, cohesion="adversarial").curves
        assert len(paper["clone.adversarial"]) == 13  # without the samples term it counts in every step

    def test_total_is_the_paper_s_sum(self, model: Model, pictures: Tensor) -> None:
        weights = {"probability": 1.0, "local_weight": 0.3, "adversarial_weight": 0.5, "preservation_weight": 2}
        curves = clone_run(model, pictures[:1], **weights).curves
        total, fit, score, game, moved = (
            torch.tensor(curves[f"clone.{name}"])
            for name in ("total", "pyramid", "local", "adversarial", "preservation")
        )
        alone = fit + 2.0 * moved
        torch.testing.assert_close(total[1:4], alone[1:4])
        # The adversarial terms count in every fourth step, four times as much.
        torch.testing.assert_close(total[::4], alone[::4] + 4 * (0.3 * score + 0.5 * game))
        paper = clone_run(model, pictures[:1], cohesion="adversarial", **weights).curves
        total, fit, score, game = (
            torch.tensor(paper[f"clone.{name}"]) for name in ("total", "pyramid", "local", "adversarial")
        )
        torch.testing.assert_close(total, fit + 0.3 * score + 0.5 * game)
        assert "clone.preservation" not in paper

    @pytest.mark.parametrize("cohesion", ["samples", "auto"])
    def test_random_samples_move_less_than_with_pti(
        self, cohesion: str, model: Model, prior: StyleGAN2, pictures: Tensor
    ) -> None:
        z = torch.randn(16, prior.z_dim, generator=torch.Generator().manual_seed(9))

        def moved(text: str, **changes: object) -> float:
            weights = run(model, text, pictures[:1], **changes).weights
            assert weights
            return (tuned(prior, weights)(z) - prior(z)).square().mean().item()

        # Not with the adversarial term alone: this discriminator is untrained and moves the samples at random.
        clone = {"clone__cohesion": cohesion, "clone__lr": 3e-3}
        assert moved("w+clone", clone__steps=12, **clone) < 0.7 * moved("w+pti", pti__steps=12, pti__lr=3e-3)

    def test_the_discriminator_learns_against_the_generator(self, model: Model, pictures: Tensor) -> None:
        """With a fixed generator, the copy of the discriminator learns to tell its samples from real pictures."""

        def unlike(n: int, rng: torch.Generator) -> Tensor:
            return torch.rand(n, 3, 32, 32, generator=rng)  # unlike the pictures of the prior

        other = replace(model, pictures=unlike)
        curve = clone_run(
            other, pictures[:1], steps=20, lr=0.02, adversarial_weight=0, preservation_weight=0, probability=0
        ).curves
        fooled = curve["clone.adversarial"]
        assert fooled[-1] > 1.5 * fooled[0]

    def test_without_pictures_the_samples_are_preserved(self, model: Model, pictures: Tensor) -> None:
        bare = replace(model, pictures=None)
        result = clone_run(bare, pictures[:1])
        assert "no pictures" in result.message and result.weights
        assert (
            result.curves["clone.preservation"][0] < 1e-4 and "clone.adversarial" not in result.curves
        )  # nothing has moved yet
        assert clone_run(bare, pictures[:1], cohesion="samples").message == ""
        with pytest.raises(SettingError, match="no pictures"):
            clone_run(bare, pictures[:1], cohesion="adversarial")

    @pytest.mark.parametrize("task", [Reconstruct(), Colorize()])
    def test_an_incomplete_measurement_is_not_shown_as_real(self, task: Task, model: Model, pictures: Tensor) -> None:
        asked: list[int] = []

        def stream(n: int, rng: torch.Generator) -> Tensor:
            asked.append(n)
            return pictures[:n]

        clone_run(replace(model, pictures=stream), task.A(pictures[:1]), task, steps=8, probability=1.0, batch=3)
        assert asked == [3 if task.merges else 2] * 2  # in steps 0 and 4; the third real picture is y itself

    def test_stops_at_the_requested_psnr(self, model: Model, pictures: Tensor) -> None:
        result = clone_run(model, pictures[:1], probability=1.0, stop_psnr=1.0)
        assert len(result.curves["clone.total"]) == 1
