"""Near perfect inversion, "Clone" (Feng et al. 2022, arXiv 2202.11833): tune the generator, continue GAN training."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import torch

from inversion.common.settings import SettingError, setting
from inversion.losses import LossWeights, Objective, gradient_penalty, pixel, pyramid
from inversion.methods.base import (
    Descent,
    Events,
    Problem,
    Schedule,
    Stage,
    descend,
    gradients,
    memory_setting,
    patience_setting,
)
from inversion.methods.codes import Code, WPlus
from inversion.methods.embed import draw_normal
from inversion.methods.pti import DECAY, DECAY_HELP, RAMP, relative_rates, stop_at, tuning_outcome
from inversion.tasks import Reconstruct

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators import Discriminator, Prior

# The paper does not publish its numbers. These values are our own; the structure of the loss is the paper's.
LR_TO_256, LR_ABOVE = 1e-3, 5e-4
DISCRIMINATOR_LR = 0.25  # relative to the generator's
ADVERSARIAL_EVERY = 4  # steps between adversarial terms, which are half of the work; each counts four times as much
PENALTY_EVERY = 16  # steps between gradient penalties, as in StyleGAN2
PRESERVATION_WEIGHTS = LossWeights(pixel=1.0, pyramid=0.0, perceptual=1.0)


@dataclass(frozen=True)
class Clone(Stage):
    """Adam on the synthesis weights of a copy of the prior and on a copy of the discriminator, with the code fixed.

    loss = 1_p [pyramid distance + lambda * adversarial loss of this picture] + adversarial loss of random samples
    against pictures of the domain. The bracket counts in each step with probability p. The adversarial loss alone lets
    random samples change as long as they look real, so "auto" adds the distance to the original samples and evaluates
    both adversarial terms in every fourth step only, with four times the weight. A picture that is not fully measured
    is not shown to the discriminator as real. Raises SettingError for a batch, and for cohesion "adversarial" if the
    model has no pictures.
    """

    key: ClassVar[str] = "clone"
    cost: ClassVar[float] = 6.2
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "refine"
    label: ClassVar[str] = "Clone"
    leaves_domain: ClassVar[bool] = True
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
    decay: float = setting(DECAY, "Decay", DECAY_HELP, min=0.0, max=1.0, step=0.05)
    memory: float = memory_setting()
    probability: float = setting(
        0.5,
        "Probability",
        "Probability that a step uses your picture, not only random samples.",
        min=0.0,
        max=1.0,
        step=0.05,
    )
    local_weight: float = setting(
        0.0005,
        "Local adversarial weight",
        "Weight of the discriminator's score of your picture.",
        min=0.0,
        max=1.0,
        step=0.0005,
    )
    cohesion: str = setting(
        "auto",
        "Cohesion",
        "How the generator's other pictures are preserved. adversarial: continued GAN training with pictures of the "
        "domain, as in the paper. samples: random samples must not change. auto: both, or only samples if the model "
        "has no pictures.",
        choices=("auto", "adversarial", "samples"),
    )
    adversarial_weight: float = setting(
        0.0002,
        "Adversarial weight",
        "Weight of the adversarial loss of random samples. The paper uses 1.",
        min=0.0,
        max=1.0,
        step=0.0001,
    )
    preservation_weight: float = setting(
        1.0, "Preservation weight", "Penalty on changes of random samples.", min=0.0, max=100.0, step=0.1
    )
    batch: int = setting(
        4, "Pictures per step", "Number of random samples per step, your picture included.", min=2, max=64, step=1
    )
    stop_psnr: float = setting(
        0.0, "Stop at", "Stop when the PSNR of the measurement reaches this value in dB. 0: never.", min=0.0, max=100.0
    )
    patience: int = patience_setting()

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        model = problem.model
        if len(problem.y) != 1:
            raise SettingError("Clone tunes the generator for one picture at a time.")
        if self.cohesion == "adversarial" and model.pictures is None:
            raise SettingError(f"clone.cohesion: {model.name} has no pictures of its domain. Choose samples.")
        prior = problem.prior
        pivot = WPlus(prior.w_avg[None].clone()) if code is None else code
        with torch.inference_mode(False):
            tuning = _AdversarialTuning(self, problem, pivot, rng)
        message = yield from descend(
            self.key,
            tuning.generator_loss,
            relative_rates(tuning.trained, tuning.lr),
            Descent(
                self.steps,
                Schedule(RAMP, self.decay),
                shared=True,
                after=tuning.update_discriminator if tuning.adversarial else None,
                enough=stop_at(self.stop_psnr),
                patience=self.patience,
                memory=self.memory,
            ),
        )
        if model.pictures is None and self.cohesion == "auto" and not message:
            message = f"{model.name} has no pictures of its domain, so the generator was kept close to its own samples."
        yield tuning_outcome(pivot, prior, tuning.trained, message)

    def start(self, code: Code, prior: Prior) -> Code | None:
        return code


class _AdversarialTuning:
    """Copies of the generator and the discriminator, and their alternating steps."""

    def __init__(self, stage: Clone, problem: Problem, pivot: Code, rng: torch.Generator) -> None:
        prior, model = problem.prior, problem.model
        self.stage, self.prior, self.model, self.problem = stage, prior, model, problem
        self.pivot, self.rng = pivot, rng
        self.adversarial = model.pictures is not None and stage.cohesion != "samples"
        self.preserving = not self.adversarial or stage.cohesion == "auto"
        self._every = ADVERSARIAL_EVERY if self.preserving else 1
        self.lr = stage.lr or (LR_TO_256 if prior.resolution <= 256 else LR_ABOVE)
        self.trained = prior.clone()
        self.discriminator = copy.deepcopy(cast("Discriminator", model.discriminator))
        if prior.compute_dtype is torch.bfloat16:  # halves the time; float16 would need scaled losses
            self.discriminator.compute_dtype = torch.bfloat16
        rate = DISCRIMINATOR_LR * self.lr
        self._optimiser = torch.optim.Adam(self.discriminator.parameters(), lr=rate, betas=(0.0, 0.99), fused=True)
        self._local_steps = (torch.rand(stage.steps, generator=rng) < stage.probability).tolist()
        self._index = -1
        with torch.no_grad():
            self._image = pivot.render(prior)
        self._fakes = self._image

    @property
    def local(self) -> bool:
        """The indicator 1_p of this step. After the last update it is always True, to evaluate the picture."""
        return self._index >= len(self._local_steps) or self._local_steps[self._index]

    @property
    def adversarial_step(self) -> bool:
        """Whether the discriminator takes part in this step."""
        return self._index % self._every == 0

    def generator_loss(self) -> tuple[dict[str, Tensor], Tensor]:
        """The loss of the generator's step, as a `Loss` for `descend`."""
        self._index += 1
        z = draw_normal(self.rng, (self.stage.batch - self.local, self.prior.z_dim), self._image)
        ws = self.prior.mapping(z)
        samples = self.trained.synthesis(ws)
        if self.local:
            own = self.pivot.render(self.trained)
            terms = self._measurement_terms(own)
            self._image, self._fakes = own.detach(), torch.cat([samples, own])
        else:
            terms = {"total": samples.new_zeros(1), "rank": samples.new_full((1,), torch.nan)}
            self._fakes = samples
        if self.adversarial_step and (self.adversarial or self.local):
            scores = torch.nn.functional.softplus(-self.discriminator(self._fakes))
            if self.local:
                terms["local"] = scores[-1:]
                terms["total"] = terms["total"] + self._every * self.stage.local_weight * scores[-1:]
            if self.adversarial:
                terms["adversarial"] = scores[: len(z)].mean().view(1)
                terms["total"] = terms["total"] + self._every * self.stage.adversarial_weight * terms["adversarial"]
        if self.preserving:
            terms["preservation"] = self._sample_change(ws, samples)
            terms["total"] = terms["total"] + self.stage.preservation_weight * terms["preservation"]
        self._fakes = self._fakes.detach()
        return terms, self._image

    def update_discriminator(self) -> None:
        """The discriminator's step: real pictures, with the user's if the local term counts, against generated ones."""
        pictures = self.model.pictures
        if pictures is None or not self.adversarial_step:
            return
        task, y = self.problem.task, self.problem.y
        ours = self.local and not task.merges  # with unmeasured parts, pinv(y) is not a picture of the domain
        real = pictures(len(self._fakes) - ours, self.rng).to(y.device)
        real = torch.cat([real, task.pinv(y)]) if ours else real
        weights = real.new_full((len(real),), 1 / (len(real) - ours))
        if ours:
            weights[-1] = self.stage.local_weight
        with gradients(True):
            self.discriminator.requires_grad_(True)
            loss = (
                weights
                * (
                    torch.nn.functional.softplus(self.discriminator(self._fakes))
                    + torch.nn.functional.softplus(-self.discriminator(real))
                )
            ).sum()
            if self._index % PENALTY_EVERY == 0:
                gamma = (self.prior.resolution / 256) ** 2  # R1 grows with the number of pixels: 1 at 256
                loss = loss + 0.5 * gamma * PENALTY_EVERY * gradient_penalty(self.discriminator, real).mean()
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self._optimiser.step()
            self.discriminator.requires_grad_(False)

    def _measurement_terms(self, own: Tensor) -> dict[str, Tensor]:
        """Distance of the picture to the measurement. The Laplacian pyramid counts; "pixel" is only reported."""
        residual = self.problem.task.A(own) - self.problem.y
        distance = pyramid(residual)
        return {"total": distance, "rank": distance, "pyramid": distance, "pixel": pixel(residual)}

    def _sample_change(self, ws: Tensor, samples: Tensor) -> Tensor:
        """Distance (1,) of random samples to those of the original generator."""
        with torch.no_grad():
            before = self.prior.synthesis(ws)
        distance = Objective(Reconstruct(), before, self.model, PRESERVATION_WEIGHTS)
        return distance(samples)["total"].mean().view(1)
