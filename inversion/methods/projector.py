"""StyleGAN2's projector (Karras et al. 2020, appendix D): one style and the noise maps, searched for under noise."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import setting
from inversion.generators.statistics import spread
from inversion.methods.base import Events, Loss, Problem, Stage, descend
from inversion.methods.codes import Code, WPlus
from inversion.methods.embed import draw
from inversion.methods.latent import (
    IN_SPREADS,
    NOISE_LR,
    NOISE_WEIGHT,
    SCHEDULE,
    finished,
    leaf,
    normalise,
    start_ws,
    with_quiet_noise,
)

if TYPE_CHECKING:
    from torch import Tensor

    pass

SHAKEN = 0.75  # part of the steps in which the style is shaken


@dataclass(frozen=True)
class Projector(Stage):
    """Adam on one style and on the noise maps, if the generator has any.

    The style is shaken by noise that fades over the first three quarters of the steps, so that the search does not end
    in the first hollow; iterates count as best only from then on. Noise maps are kept free of structure.
    """

    key: ClassVar[str] = "projector"
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "Projector"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "w"})

    steps: int = setting(300, "Steps", "The paper takes 1000.", min=1, max=10_000, step=10)
    lr: float = setting(0.2, "Learning rate", IN_SPREADS, min=1e-4, max=2.0, step=0.01)
    shake: float = setting(
        0.05,
        "Shaking",
        "Strength of the noise on the style at first, in units of the RMS distance of a style from the mean.",
        min=0.0,
        max=1.0,
        step=0.01,
    )
    noise: bool = setting(True, "Noise maps", "Optimise the generator's noise maps too, if it has any.")
    noise_weight: float = setting(
        NOISE_WEIGHT, "Noise penalty", "Keeps the picture's structure out of the noise maps.", min=0.0, max=1e7
    )

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y = problem.prior, problem.y
        w = leaf(start_ws(code, prior, y).mean(dim=1, keepdim=True))  # (B, 1, w_dim)
        shapes = prior.noise_shapes if self.noise else ()
        maps = tuple(leaf(draw(rng, (1, 1, *shape), y).expand(len(y), -1, -1, -1)) for shape in shapes)
        loss = self._shaken(w, maps, problem, rng)
        message = yield from descend(
            self.key,
            with_quiet_noise(loss, maps, self.noise_weight) if maps else loss,
            [([w], self.lr * spread(prior)), (maps, NOISE_LR)],
            self.steps,
            schedule=SCHEDULE,
            after=lambda: normalise(maps),
        )
        yield finished(WPlus(w.detach().repeat(1, prior.num_ws, 1), maps), prior, message)

    def _shaken(self, w: Tensor, maps: tuple[Tensor, ...], problem: Problem, rng: torch.Generator) -> Loss:
        """The loss of the picture of the shaken style: sigma = shake * w_std * (1 - t / 0.75)^2."""
        prior = problem.prior
        reach = self.shake * spread(prior) * prior.w_dim**0.5  # w_std is a distance: over all entries of a style
        turns = itertools.count()

        def loss() -> tuple[dict[str, Tensor], Tensor]:
            sigma = reach * max(0.0, 1 - next(turns) / self.steps / SHAKEN) ** 2
            moved = w + sigma * draw(rng, (1, 1, prior.w_dim), w) if sigma else w
            image = prior.synthesis(moved.expand(-1, prior.num_ws, -1), maps or None)
            terms = problem.objective(image)
            return ({**terms, "rank": torch.full_like(terms["total"], torch.nan)} if sigma else terms), image

        return loss
