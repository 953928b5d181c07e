"""StyleGAN2's projector (Karras et al. 2020, appendix D): optimises one style and the noise maps."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import setting
from inversion.generators.statistics import spread
from inversion.methods.base import Descent, Events, Loss, Problem, Stage, descend, patience_setting
from inversion.methods.codes import Code, W, WPlus, as_w, as_wplus
from inversion.methods.embed import FROM_MEAN_HELP, at_mean, draw_normal
from inversion.methods.latent import (
    LR_HELP,
    NOISE_LR,
    NOISE_WEIGHT,
    SCHEDULE,
    normalise_maps,
    outcome_of,
    start_ws,
    trainable_copy,
    with_maps,
    with_noise_penalty,
)

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior

NOISY_PART = 0.75  # fraction of the steps in which noise is added to the style


@dataclass(frozen=True)
class Projector(Stage):
    """Adam on one style and on the noise maps, if the generator has any.

    Noise on the style, which fades over the first three quarters of the steps, keeps the search out of poor local
    minima. The best iterate is chosen from the steps without this noise. A penalty keeps the noise maps free of
    structure.
    """

    key: ClassVar[str] = "projector"
    cost: ClassVar[float] = 1.0
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "Projector"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "w"})

    steps: int = setting(300, "Steps", "The paper uses 1000.", min=1, max=10_000, step=10)
    lr: float = setting(0.2, "Learning rate", LR_HELP, min=1e-4, max=2.0, step=0.01)
    shake: float = setting(
        0.05,
        "Style noise",
        "Initial strength of the noise on the style, in units of the RMS distance of a style from the mean.",
        min=0.0,
        max=1.0,
        step=0.01,
    )
    noise: bool = setting(True, "Noise maps", "Also optimise the noise maps of the generator, if it has any.")
    noise_weight: float = setting(
        NOISE_WEIGHT, "Noise penalty", "Keeps the structure of the picture out of the noise maps.", min=0.0, max=1e7
    )
    steps_from_mean: int = setting(0, "Steps from the mean", FROM_MEAN_HELP, min=0, max=10_000, step=10)
    patience: int = patience_setting()

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y = problem.prior, problem.y
        steps = (at_mean(code, prior) and self.steps_from_mean) or self.steps
        same = as_w(replace(code, noise=()), prior) if isinstance(code, WPlus) and code.noise else code
        ws = same.w[:, None] if isinstance(same, W) else start_ws(code, prior, y).mean(dim=1, keepdim=True)
        w = trainable_copy(ws)  # (B, 1, w_dim)
        shapes = prior.noise_shapes if self.noise else ()
        if isinstance(code, WPlus) and code.noise and shapes:
            maps = tuple(trainable_copy(one) for one in code.noise)
        else:
            drawn = (draw_normal(rng, (1, 1, *shape), y).expand(len(y), -1, -1, -1) for shape in shapes)
            maps = tuple(trainable_copy(one) for one in drawn)
        loss = self._noisy_loss(w, maps, problem, steps, rng)
        message = yield from descend(
            self.key,
            with_noise_penalty(loss, maps, self.noise_weight) if maps else loss,
            [([w], self.lr * spread(prior)), (maps, NOISE_LR)],
            Descent(steps, SCHEDULE, after=lambda: normalise_maps(maps), patience=self.patience),
        )
        yield outcome_of(WPlus(w.detach().repeat(1, prior.num_ws, 1), maps), prior, message)

    def start(self, code: Code, prior: Prior) -> Code | None:
        given = as_wplus(code, prior)
        if given is None or as_w(replace(given, noise=()), prior) is None or (given.noise and not self.noise):
            return None
        return with_maps(given, prior) if self.noise and prior.noise_shapes else as_w(code, prior)

    def _noisy_loss(
        self, w: Tensor, maps: tuple[Tensor, ...], problem: Problem, steps: int, rng: torch.Generator
    ) -> Loss:
        """The objective of the style plus noise, sigma = shake * w_std * (1 - t / 0.75)^2 with t in [0, 1]."""
        prior = problem.prior
        initial = self.shake * spread(prior) * prior.w_dim**0.5  # w_std is the length of a vector of all entries
        done = itertools.count()

        def loss() -> tuple[dict[str, Tensor], Tensor]:
            sigma = initial * max(0.0, 1 - next(done) / max(steps, 1) / NOISY_PART) ** 2
            noisy = w + sigma * draw_normal(rng, (1, 1, prior.w_dim), w) if sigma else w
            image = prior.synthesis(noisy.expand(-1, prior.num_ws, -1), maps or None)
            terms = problem.objective(image)
            return ({**terms, "rank": torch.full_like(terms["total"], torch.nan)} if sigma else terms), image

        return loss
