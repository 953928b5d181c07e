"""Pivotal tuning (Roich et al., ACM TOG 2022): keep the code, tune a copy of the generator until it fits."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import SettingError, setting
from inversion.losses import Objective
from inversion.methods.base import Events, Loss, Outcome, Problem, Schedule, Stage, descend
from inversion.methods.codes import Code, WPlus
from inversion.methods.embed import draw
from inversion.tasks import Reconstruct

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior

SMALL = 10_000_000  # weights: the embedded generators have fewer, the official ones from 256 pixels up have more
LR_SMALL, LR_OFFICIAL = 4e-3, 3e-4  # a small generator has to move further; 3e-4 is the paper's
# The paper keeps its rate. On held-out faces the decay is worth 0.8 dB, and without the ramp Adam's first steps, as
# large for weights that hardly matter as for those that do, cost more than the next hundred bring back.
SCHEDULE = Schedule(ramp=0.1, decay=0.25)


@dataclass(frozen=True)
class PTI(Stage):
    """Adam on the synthesis weights of the prior's copy, with the code (the pivot) fixed.

    Where the task leaves part of the picture unmeasured, tuning would fill that part with noise: there the locality
    term of the paper (section 3.3) holds the generator at what it was for codes near the pivot.
    """

    key: ClassVar[str] = "pti"
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "refine"
    label: ClassVar[str] = "PTI"

    steps: int = setting(300, "Steps", min=1, max=10_000, step=10)
    lr: float = setting(
        0.0,
        "Learning rate",
        "In units of each tensor's RMS. 0: 0.004 under 10 million weights, 0.0003 (the paper's) above.",
        min=0.0,
        max=0.1,
        step=0.0001,
    )
    locality: str = setting(
        "auto",
        "Locality",
        "Hold the generator in place around the code. auto: where part of the picture is not measured.",
        choices=("auto", "on", "off"),
    )
    locality_weight: float = setting(0.1, "Locality weight", min=0.0, max=100.0, step=0.1)
    locality_reach: float = setting(
        0.5,
        "Locality reach",
        "How far from the code the generator is held, as a part of the way to a random code.",
        min=0.0,
        max=1.0,
        step=0.05,
    )
    locality_codes: int = setting(16, "Locality codes", "How many codes take turns.", min=1, max=256, step=1)
    stop_psnr: float = setting(
        0.0, "Stop at", "Stop once the measurement is met with this PSNR in dB. 0: never.", min=0.0, max=100.0
    )

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior = problem.prior
        if len(problem.y) != 1:
            raise SettingError("pti tunes the generator for one picture at a time")
        with torch.inference_mode(False):
            trained = prior.clone()
        pivot = WPlus(prior.w_avg[None].clone()) if code is None else code
        loss = fitted(pivot, trained, problem.objective)
        if self.locality == "on" or (self.locality == "auto" and problem.task.merges):
            loss = self._held(loss, pivot, trained, problem, rng)
        message = yield from descend(
            self.key,
            loss,
            in_proportion(trained, self.lr or default_lr(prior)),
            self.steps,
            shared=True,
            schedule=SCHEDULE,
            enough=(lambda losses: met(losses, self.stop_psnr)) if self.stop_psnr else None,
        )
        yield tuning_outcome(pivot, prior, trained, message)

    def _held(self, loss: Loss, pivot: Code, trained: Prior, problem: Problem, rng: torch.Generator) -> Loss:
        """The loss plus the distance between tuned and untouched generator at codes near the pivot, one per step.

        The paper draws a new code in every step; codes that take turns are rendered by the untouched one only once.
        """
        prior, model = problem.prior, problem.model
        anchors: list[tuple[Tensor, Objective]] = []
        with torch.no_grad():
            at = pivot.ws(prior)
            for z in draw(rng, (self.locality_codes, 1, prior.z_dim), at):
                ws = torch.lerp(at, prior.mapping(z), self.locality_reach)
                anchors.append((ws, Objective(Reconstruct(), prior.synthesis(ws), model, problem.objective.weights)))
        turns = itertools.cycle(anchors)

        def both() -> tuple[dict[str, Tensor], Tensor]:
            terms, image = loss()
            ws, same = next(turns)
            locality = same(trained.synthesis(ws))["total"]
            return {**terms, "locality": locality, "total": terms["total"] + self.locality_weight * locality}, image

        return both


def met(losses: Mapping[str, float], psnr: float) -> bool:
    """Whether the squared error of the measurement, of values that span 2, is at this PSNR in dB or better."""
    return "pixel" in losses and losses["pixel"] <= 4 * 10 ** (-psnr / 10)


def tuning_outcome(pivot: Code, prior: Prior, trained: Prior, message: str) -> Outcome:
    """What tuning `trained`, a copy of the prior, came to: its picture of the pivot and the weights that changed."""
    before = dict(prior.tunable())
    changed = {n: w.detach().cpu().clone() for n, w in trained.tunable() if not torch.equal(w, before[n])}
    trained.freeze()
    with torch.no_grad():
        return Outcome(pivot, pivot.render(trained), weights=changed, message=message)


def fitted(pivot: Code, trained: Prior, objective: Objective) -> Loss:
    """The loss of what the generator under tuning makes of the pivot."""

    def loss() -> tuple[dict[str, Tensor], Tensor]:
        image = pivot.render(trained)
        return objective(image), image

    return loss


def default_lr(prior: Prior) -> float:
    """Learning rate for a prior of this many synthesis weights."""
    return LR_SMALL if sum(w.numel() for _, w in prior.tunable()) < SMALL else LR_OFFICIAL


def in_proportion(trained: Prior, lr: float) -> list[tuple[list[Tensor], float]]:
    """Groups for `descend`: each tensor with a rate in units of its RMS (1 where it is all zero).

    One rate for all would fit weights of RMS 1. The embedded generator's have 4 in the convolutions and 0.02 in the
    first to-RGB layers, which the same step would ruin.
    """
    return [([w], lr * (w.detach().square().mean().sqrt().item() or 1.0)) for _, w in trained.tunable()]


def tuned(prior: Prior, weights: Mapping[str, Tensor]) -> Prior:
    """A frozen copy of the prior with the weights that tuning returned."""
    copied = prior.clone()
    own = dict(copied.tunable())
    with torch.no_grad():
        for name, weight in weights.items():
            own[name].copy_(weight)
    return copied.freeze()
