"""Pivotal tuning (Roich et al., ACM TOG 2022): keep the code and tune a copy of the generator."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import SettingError, setting
from inversion.losses import Objective
from inversion.methods.base import (
    PIXELS_HELP,
    Descent,
    Events,
    Groups,
    Loss,
    Outcome,
    Problem,
    Schedule,
    Stage,
    descend,
    memory_setting,
    patience_setting,
)
from inversion.methods.codes import Code, WPlus
from inversion.methods.embed import draw_normal
from inversion.tasks import Reconstruct

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior

SMALL_GENERATOR = 10_000_000  # weights; embedded generators have fewer, official ones from 256 pixels on have more
LR_SMALL, LR_OFFICIAL = 4e-3, 3e-4  # a small generator needs larger changes; 3e-4 is from the paper
# The paper has a constant rate. On held-out faces the decay gains 0.8 dB. Without the ramp, Adam's first steps change
# all weights by the same amount, and the next hundred steps do not compensate for it.
RAMP, DECAY = 0.1, 0.25
UNTUNED = "Tuning came no closer than the code alone, so the generator is unchanged."
DECAY_HELP = "Last part of the steps, in which the rate falls to 0. Long for few steps."


@dataclass(frozen=True)
class PTI(Stage):
    """Adam on the synthesis weights of a copy of the prior, with the code (the pivot) fixed (section 3.2).

    If the task leaves part of the picture unmeasured, tuning would fill that part with noise. The locality term of the
    paper (section 3.3) prevents it: the pictures of codes near the pivot must not change. Raises SettingError for a
    batch.
    """

    key: ClassVar[str] = "pti"
    cost: ClassVar[float] = 1.8
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "refine"
    label: ClassVar[str] = "PTI"
    leaves_domain: ClassVar[bool] = True

    steps: int = setting(300, "Steps", min=1, max=10_000, step=10)
    lr: float = setting(
        0.0,
        "Learning rate",
        "In units of the RMS of each weight tensor. 0: 0.004 for generators under 10 million weights, else the paper's "
        "0.0003.",
        min=0.0,
        max=0.1,
        step=0.0001,
    )
    rate_factor: float = setting(
        1.0, "Rate factor", "Multiplies the learning rate. Larger for few steps.", min=0.1, max=10.0, step=0.05
    )
    decay: float = setting(DECAY, "Decay", DECAY_HELP, min=0.0, max=1.0, step=0.05)
    memory: float = memory_setting()
    pixels: bool = setting(False, "Pixels only", PIXELS_HELP)
    locality: str = setting(
        "auto",
        "Locality",
        "Keep the pictures of nearby codes unchanged. auto: on if part of the picture is not measured.",
        choices=("auto", "on", "off"),
    )
    locality_weight: float = setting(
        0.1, "Locality weight", "Weight of the locality term.", min=0.0, max=100.0, step=0.1
    )
    locality_reach: float = setting(
        0.5,
        "Locality reach",
        "How far the nearby codes are from yours; 1 is a random code.",
        min=0.0,
        max=1.0,
        step=0.05,
    )
    locality_codes: int = setting(
        16, "Locality codes", "Number of nearby codes; one is used in each step.", min=1, max=256, step=1
    )
    stop_psnr: float = setting(
        0.0, "Stop at", "Stop when the PSNR of the measurement reaches this value in dB. 0: never.", min=0.0, max=100.0
    )
    patience: int = patience_setting()

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior = problem.prior
        if len(problem.y) != 1:
            raise SettingError("PTI tunes the generator for one picture at a time.")
        with torch.inference_mode(False):
            trained = prior.clone()
        pivot = WPlus(prior.w_avg[None].clone()) if code is None else code
        problem = problem.on_pixels() if self.pixels else problem
        loss = tuning_loss(pivot, trained, problem.objective)
        if self.locality == "on" or (self.locality == "auto" and problem.task.merges):
            loss = self._with_locality(loss, pivot, trained, problem, rng)
        message = yield from descend(
            self.key,
            loss,
            relative_rates(trained, self.rate_factor * (self.lr or default_lr(prior))),
            Descent(
                self.steps,
                Schedule(RAMP, self.decay),
                shared=True,
                enough=stop_at(self.stop_psnr),
                patience=self.patience,
                memory=self.memory,
            ),
        )
        yield tuning_outcome(pivot, prior, trained, message)

    def start(self, code: Code, prior: Prior) -> Code | None:
        return code

    def _with_locality(self, loss: Loss, pivot: Code, trained: Prior, problem: Problem, rng: torch.Generator) -> Loss:
        """The loss plus the distance between the tuned and the original generator at a code near the pivot.

        The paper draws a new code in every step. Here the steps go through a fixed set of codes, so that the original
        generator renders each code only once.
        """
        prior, model = problem.prior, problem.model
        anchors: list[tuple[Tensor, Objective]] = []
        with torch.no_grad():
            centre = pivot.ws(prior)
            for z in draw_normal(rng, (self.locality_codes, 1, prior.z_dim), centre):
                ws = torch.lerp(centre, prior.mapping(z), self.locality_reach)
                anchors.append((ws, Objective(Reconstruct(), prior.synthesis(ws), model, problem.objective.weights)))
        turns = itertools.cycle(anchors)

        def penalised() -> tuple[dict[str, Tensor], Tensor]:
            terms, image = loss()
            ws, distance = next(turns)
            locality = distance(trained.synthesis(ws))["total"]
            return {**terms, "locality": locality, "total": terms["total"] + self.locality_weight * locality}, image

        return penalised


def stop_at(psnr: float) -> Callable[[Mapping[str, float]], bool] | None:
    """The condition `Descent.enough`: the PSNR of the measurement is at least `psnr` dB. None if `psnr` is 0."""
    return (lambda losses: psnr_reached(losses, psnr)) if psnr else None


def psnr_reached(losses: Mapping[str, float], psnr: float) -> bool:
    """Whether the mean squared error "pixel" of the measurement, in [-1, 1], is a PSNR of at least `psnr` dB."""
    return "pixel" in losses and losses["pixel"] <= 4 * 10 ** (-psnr / 10)


def tuning_outcome(pivot: Code, prior: Prior, trained: Prior, message: str) -> Outcome:
    """The outcome of tuning `trained`, a copy of the prior: its picture of the pivot and the weights that changed.

    message: what else is said of the tuning.
    """
    before = dict(prior.tunable())
    changed = {
        n: w.detach().cpu().clone(memory_format=torch.contiguous_format)
        for n, w in trained.tunable()
        if not torch.equal(w, before[n])
    }
    trained.freeze()
    if not changed:
        message = f"{message} {UNTUNED}".lstrip()
    with torch.no_grad():
        return Outcome(pivot, pivot.render(trained), weights=changed, message=message)


def tuning_loss(pivot: Code, trained: Prior, objective: Objective) -> Loss:
    """The objective of the picture that the tuned generator renders of the pivot."""

    def loss() -> tuple[dict[str, Tensor], Tensor]:
        image = pivot.render(trained)
        return objective(image), image

    return loss


def default_lr(prior: Prior) -> float:
    """The default learning rate, in units of the RMS of a tensor; it depends on the number of synthesis weights."""
    return LR_SMALL if sum(w.numel() for _, w in prior.tunable()) < SMALL_GENERATOR else LR_OFFICIAL


def relative_rates(trained: Prior, lr: float) -> Groups:
    """Groups for `descend`: each tensor with a rate in units of its RMS (in units of 1 if it is all zero).

    A single rate would suit only weights of RMS 1. In the embedded generator the RMS is 4 in the convolutions and 0.02
    in the first to-RGB layers. A step that suits the convolutions would destroy the to-RGB layers.
    """
    return [([w], lr * (w.detach().square().mean().sqrt().item() or 1.0)) for _, w in trained.tunable()]


def tuned(prior: Prior, weights: Mapping[str, Tensor]) -> Prior:
    """A frozen copy of the prior with tuned weights (`Result.weights`). Raises KeyError for an unknown tensor name."""
    copied = prior.clone()
    own = dict(copied.tunable())
    with torch.no_grad():
        for name, weight in weights.items():
            own[name].copy_(weight)
    return copied.freeze()
