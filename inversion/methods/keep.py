"""Keeps a code as it is: to show or edit one that was saved, and to join its picture with others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.methods.base import Events, Outcome, Problem, Stage
from inversion.methods.codes import Code, WPlus

if TYPE_CHECKING:
    from inversion.generators.base import Prior


@dataclass(frozen=True)
class KeepCode(Stage):
    """Renders the code of the stage before, or the start of the run, without an optimisation."""

    key: ClassVar[str] = "keep"
    cost: ClassVar[float] = 0.4
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "Keep the code"

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior = problem.prior
        kept = WPlus(prior.w_avg[None].repeat(len(problem.y), 1, 1)) if code is None else code
        with torch.no_grad():
            yield Outcome(kept, kept.render(prior))

    def start(self, code: Code, prior: Prior) -> Code | None:
        return code
