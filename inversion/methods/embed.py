"""Starting points that need no encoder: the mean style, or the best of several random codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import setting
from inversion.methods.base import Events, Outcome, Problem, Stage, Step
from inversion.methods.codes import Code, WPlus, Z
from inversion.methods.encode import start_stage

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior

FROM_MEAN_HELP = "Used instead if the start is the mean, which is far from most pictures. 0: as many as above."
BATCH = 8  # candidates that are rendered at once


@dataclass(frozen=True)
class MeanLatent(Stage):
    """Start at w_avg, the mean of many mapped z. Its picture is the average picture of the prior.

    With `encoder`, start at an encoder's code instead, for every task: fewer steps are enough from there.
    """

    key: ClassVar[str] = "mean"
    cost: ClassVar[float] = 0.4
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "embed"
    label: ClassVar[str] = "Mean latent"

    encoder: bool = setting(False, "Encoder start", "Start at an encoder's code, if the model has one.")

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y = problem.prior, problem.y
        stage = start_stage(problem) if self.encoder else None
        with torch.no_grad():
            rows = prior.w_avg[None].repeat(len(y), 1, 1) if stage is None else stage.read(problem).ws(prior)
            start = WPlus(rows)
            image = start.render(prior)
        yield Outcome(start, image, message="" if stage is None else f"Started at the code of {stage.label}.")


def at_mean(code: Code | None, prior: Prior) -> bool:
    """Whether an optimisation starts at the mean, far from the measurement."""
    return code is None or bool((code.ws(prior) == prior.w_avg).all())


@dataclass(frozen=True)
class RandomLatent(Stage):
    """Draw several z from N(0, I) and start at the one whose picture is closest to the measurement."""

    key: ClassVar[str] = "random"
    cost: ClassVar[float] = 8.0
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "embed"
    label: ClassVar[str] = "Random latent"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "z"})

    candidates: int = setting(
        32, "Candidates", "Number of random codes; the best one is the starting point.", min=1, max=1024, step=1
    )

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y = problem.prior, problem.y
        drawn = draw_normal(rng, (self.candidates, prior.z_dim), y)
        losses: list[Tensor] = []  # (B,) per candidate
        for start in range(0, self.candidates, BATCH):
            with torch.no_grad():
                images = prior.synthesis(prior.mapping(drawn[start : start + BATCH]))
                losses += [problem.objective(image.expand(len(y), -1, -1, -1))["total"] for image in images[:, None]]
            lowest = torch.stack(losses).amin(dim=0).mean().item()
            stop = yield Step(self.key, len(losses), self.candidates, {"total": lowest})
            if stop:
                break
        z = drawn[torch.stack(losses).argmin(dim=0)]  # (B, z_dim)
        with torch.no_grad():
            image = Z(z).render(prior)
        yield Outcome(Z(z), image)


def draw_normal(rng: torch.Generator, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Samples of N(0, 1) on the device of `like`; drawn on the CPU, so that a seed gives the same on every device.

    Stages draw once for the whole batch, so that the result of a picture does not depend on its place in the batch.
    """
    return torch.randn(shape, generator=rng).to(device=like.device)
