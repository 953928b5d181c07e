"""Near perfect inversion, "Clone" (Feng et al. 2022, arXiv 2202.11833): tune the generator while its GAN plays on."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import torch

from inversion.common.settings import SettingError, setting
from inversion.losses import LossWeights, Objective, gradient_penalty, pixel, pyramid
from inversion.methods.base import Events, Problem, Schedule, Stage, descend, gradients
from inversion.methods.codes import Code, WPlus
from inversion.methods.embed import draw
from inversion.methods.pti import in_proportion, met, tuning_outcome
from inversion.tasks import Reconstruct

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators import Discriminator

# The paper's numbers are not public; these are this package's own, but for the structure of the loss.
LR_TO_256, LR_ABOVE = 1e-3, 5e-4
JUDGE_LR = 0.25  # of the generator's
GAME_EVERY = 4  # steps between turns of the game, which is half of the work; each counts as much as that many
PENALTY_EVERY = 16  # steps between gradient penalties, as StyleGAN2 trains
HELD = LossWeights(pixel=1.0, pyramid=0.0, perceptual=1.0)
SCHEDULE = Schedule(ramp=0.1, decay=0.25)


@dataclass(frozen=True)
class Clone(Stage):
    """Adam on the synthesis weights of the prior's copy and on a copy of the discriminator, with the code fixed.

    loss = 1_p [pyramid distance + lambda * adversarial loss of this picture] + adversarial loss of random samples
    against pictures of the domain: in every step the bracket counts with probability p. That game alone lets random
    samples wander as long as they look real, so how far they have moved is added, as where there are no pictures.
    Then both adversarial terms count in every fourth step only, four times as much: they are half of the work.
    Where part of the picture is not measured, the discriminator is not told that it is real.
    """

    key: ClassVar[str] = "clone"
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "refine"
    label: ClassVar[str] = "Clone"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "discriminator"})

    steps: int = setting(200, "Steps", min=1, max=10_000, step=10)
    lr: float = setting(
        0.0,
        "Learning rate",
        "In units of each tensor's RMS. 0: 0.001 up to 256 pixels, 0.0005 above.",
        min=0.0,
        max=0.1,
        step=0.0001,
    )
    probability: float = setting(
        0.5,
        "Probability",
        "Of a step to look at your picture, not at random samples alone.",
        min=0.0,
        max=1.0,
        step=0.05,
    )
    local_weight: float = setting(
        0.0005,
        "Local adversarial weight",
        "How much the discriminator's opinion of your picture counts.",
        min=0.0,
        max=1.0,
        step=0.0005,
    )
    cohesion: str = setting(
        "auto",
        "Cohesion",
        "What keeps the rest of the domain. adversarial: the GAN's own game on random samples and pictures of the "
        "domain, as in the paper. samples: random samples stay as they were. auto: both, without pictures the second.",
        choices=("auto", "adversarial", "samples"),
    )
    game_weight: float = setting(
        0.0002,
        "Game weight",
        "Of the GAN's own game on random samples; the paper's is 1.",
        min=0.0,
        max=1.0,
        step=0.0001,
    )
    held_weight: float = setting(
        1.0, "Samples weight", "Of how far random samples have moved.", min=0.0, max=100.0, step=0.1
    )
    batch: int = setting(4, "Pictures a step", "Random samples, and yours where it counts.", min=2, max=64, step=1)
    stop_psnr: float = setting(
        0.0, "Stop at", "Stop once the measurement is met with this PSNR in dB. 0: never.", min=0.0, max=100.0
    )

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        model = problem.model
        if len(problem.y) != 1:
            raise SettingError("clone tunes the generator for one picture at a time")
        if self.cohesion == "adversarial" and model.pictures is None:
            raise SettingError(f"clone.cohesion: {model.name} has no pictures of its domain, choose samples")
        prior = problem.prior
        pivot = WPlus(prior.w_avg[None].clone()) if code is None else code
        with torch.inference_mode(False):
            game = _Game(self, problem, pivot, rng)
        message = yield from descend(
            self.key,
            game.loss,
            in_proportion(game.trained, game.lr),
            self.steps,
            shared=True,
            schedule=SCHEDULE,
            after=game.answer if game.adversarial else None,
            enough=(lambda losses: met(losses, self.stop_psnr)) if self.stop_psnr else None,
        )
        if model.pictures is None and self.cohesion == "auto" and not message:
            message = f"{model.name} has no pictures of its domain: the generator was held to its own samples instead"
        yield tuning_outcome(pivot, prior, game.trained, message)


class _Game:
    """Both networks under tuning, and what the generator's turn leaves for the discriminator's."""

    def __init__(self, stage: Clone, problem: Problem, pivot: Code, rng: torch.Generator) -> None:
        prior, model = problem.prior, problem.model
        self.stage, self.prior, self.model, self.problem = stage, prior, model, problem
        self.pivot, self.rng = pivot, rng
        self.adversarial = model.pictures is not None and stage.cohesion != "samples"
        self.held = not self.adversarial or stage.cohesion == "auto"
        self._every = GAME_EVERY if self.held else 1
        self.lr = stage.lr or (LR_TO_256 if prior.resolution <= 256 else LR_ABOVE)
        self.trained = prior.clone()
        self.judge = copy.deepcopy(cast("Discriminator", model.discriminator))
        if prior.compute_dtype is torch.bfloat16:  # half a step's work; float16 would need its losses scaled
            self.judge.compute_dtype = torch.bfloat16
        self._update = torch.optim.Adam(self.judge.parameters(), lr=JUDGE_LR * self.lr, betas=(0.0, 0.99))
        self._turns = (torch.rand(stage.steps, generator=rng) < stage.probability).tolist()
        self._index = -1
        with torch.no_grad():
            self._image = pivot.render(prior)
        self._fakes = self._image

    @property
    def local(self) -> bool:
        """The indicator 1_p of this step; after the last update the picture is looked at in any case."""
        return self._index >= len(self._turns) or self._turns[self._index]

    @property
    def turn(self) -> bool:
        """Whether the discriminator takes part in this step."""
        return self._index % self._every == 0

    def loss(self) -> tuple[dict[str, Tensor], Tensor]:
        """The generator's step."""
        self._index += 1
        z = draw(self.rng, (self.stage.batch - self.local, self.prior.z_dim), self._image)
        ws = self.prior.mapping(z)
        samples = self.trained.synthesis(ws)
        if self.local:
            own = self.pivot.render(self.trained)
            terms = self._fit(own)
            self._image, self._fakes = own.detach(), torch.cat([samples, own])
        else:
            terms = {"total": samples.new_zeros(1), "rank": samples.new_full((1,), torch.nan)}
            self._fakes = samples
        if self.turn and (self.adversarial or self.local):
            opinions = torch.nn.functional.softplus(-self.judge(self._fakes))
            if self.local:
                terms["adversarial"] = opinions[-1:]
                terms["total"] = terms["total"] + self._every * self.stage.local_weight * opinions[-1:]
            if self.adversarial:
                terms["game"] = opinions[: len(z)].mean().view(1)
                terms["total"] = terms["total"] + self._every * self.stage.game_weight * terms["game"]
        if self.held:
            terms["moved"] = self._moved(ws, samples)
            terms["total"] = terms["total"] + self.stage.held_weight * terms["moved"]
        self._fakes = self._fakes.detach()
        return terms, self._image

    def answer(self) -> None:
        """The discriminator's step: random samples against pictures of the domain and, where it counts, ours too."""
        pictures = self.model.pictures
        if pictures is None or not self.turn:
            return
        task, y = self.problem.task, self.problem.y
        told = self.local and not task.merges  # pinv(y) of the others is no picture of the domain
        real = pictures(len(self._fakes) - told, self.rng).to(y.device)
        real = torch.cat([real, task.pinv(y)]) if told else real
        weights = real.new_full((len(real),), 1 / (len(real) - told))
        if told:
            weights[-1] = self.stage.local_weight
        with gradients(True):
            self.judge.requires_grad_(True)
            loss = (
                weights
                * (
                    torch.nn.functional.softplus(self.judge(self._fakes))
                    + torch.nn.functional.softplus(-self.judge(real))
                )
            ).sum()
            if self._index % PENALTY_EVERY == 0:
                gamma = (self.prior.resolution / 256) ** 2  # R1 grows with the number of pixels: 1 at 256
                loss = loss + 0.5 * gamma * PENALTY_EVERY * gradient_penalty(self.judge, real).mean()
            self._update.zero_grad(set_to_none=True)
            loss.backward()
            self._update.step()
            self.judge.requires_grad_(False)

    def _fit(self, own: Tensor) -> dict[str, Tensor]:
        """How far the picture is from the measurement: the Laplacian pyramid's distance counts, the rest informs."""
        residual = self.problem.task.A(own) - self.problem.y
        distance = pyramid(residual)
        return {"total": distance, "rank": distance, "pyramid": distance, "pixel": pixel(residual)}

    def _moved(self, ws: Tensor, samples: Tensor) -> Tensor:
        """How far random samples are from those of the untouched generator, (1,)."""
        with torch.no_grad():
            before = self.prior.synthesis(ws)
        same = Objective(Reconstruct(), before, self.model, HELD)
        return same(samples)["total"].mean().view(1)
