"""Where a run starts when no encoder says it: the mean style, or the best of some random codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import setting
from inversion.methods.base import Events, Outcome, Problem, Stage, Step
from inversion.methods.codes import Code, WPlus, Z

if TYPE_CHECKING:
    from torch import Tensor

    pass

BATCH = 8  # candidates rendered at once


@dataclass(frozen=True)
class MeanLatent(Stage):
    """Start at w_avg, the mean of many mapped z: the prior's average picture."""

    key: ClassVar[str] = "mean"
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "embed"
    label: ClassVar[str] = "Mean latent"

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y = problem.prior, problem.y
        start = WPlus(prior.w_avg[None].repeat(len(y), 1, 1))
        with torch.no_grad():
            image = start.render(prior)
        yield Outcome(start, image)


@dataclass(frozen=True)
class RandomLatent(Stage):
    """Draw z from N(0, I) several times and start at the one whose picture is nearest to the measurement."""

    key: ClassVar[str] = "random"
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "embed"
    label: ClassVar[str] = "Random latent"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "z"})

    candidates: int = setting(32, "Candidates", "How many random codes to choose from.", min=1, max=1024, step=1)

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y = problem.prior, problem.y
        drawn = draw(rng, (self.candidates, prior.z_dim), y)
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


def draw(rng: torch.Generator, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """N(0, 1) numbers, drawn on the CPU whatever the device.

    Stages draw once and give every picture of a batch the same start: so a result depends on nobody's place in a batch.
    """
    return torch.randn(shape, generator=rng).to(device=like.device)
