"""mGANprior (Gu, Shen and Zhou, CVPR 2020): several codes, mixed channel by channel inside the generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import SettingError, setting
from inversion.generators.statistics import spread
from inversion.methods.base import (
    ADAM_MEMORY,
    PIXELS_HELP,
    Descent,
    Events,
    Problem,
    Schedule,
    Stage,
    descend,
    patience_setting,
)
from inversion.methods.codes import Code, Mixture, MultiCode
from inversion.methods.coordinates import Coordinates, axes_of
from inversion.methods.embed import FROM_MEAN_HELP, at_mean, draw_normal
from inversion.methods.latent import code_loss, outcome_of, start_ws, trainable_copy

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior
    from inversion.tasks.base import Task

# Number of codes, and side in pixels of the features that are mixed. A late split fits better; an early split leaves
# more to the generator (Gu et al. 2020, section 4.3). The sides match the paper's layers: 8, 6 and 4 convolutions
# of a PGGAN of 1024 pixels, if the measurement is exact, is incomplete, or has holes. In small pictures whose holes or
# colours are missing, later splits fit the known part and spoil the rest (docs/results.md).
CODES, CODES_FOR_HOLES = 20, 30
SIZE_IF_EXACT, SIZE, SIZE_FOR_HOLES, SIZE_IN_SMALL = 32, 16, 8, 4
SMALL_PICTURE = 128  # pixels
SCHEDULE = Schedule(decay=1 / 6)
NEAR_SCHEDULE = Schedule(ramp=0.1, decay=0.5)
NEAR_RATES = (0.4, 3.0)  # of the channel importance and of styles in units of W's spread, relative to that of z
PIXEL_PACE, PIXEL_MEMORY = 2.0, 0.95  # near a start, the smooth error of pixels allows twice the rate


@dataclass(frozen=True)
class OptimiseMultiCode(Stage):
    """Optimises N codes z_n together with their channel importance alpha_n (unconstrained, initially 1/N).

    The layers after the split have one more code, which starts at the code of the stage before. A given multi-code
    brings all of its codes and its own layer. The paper uses plain SGD with learning rate 1. Adam is the default: it
    reached 5 dB more in 150 steps on StyleGAN2.
    """

    key: ClassVar[str] = "multicode"
    cost: ClassVar[float] = 5.5
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "Multi-code"
    leaves_domain: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "z"})

    codes: int = setting(
        0,
        "Codes",
        "Number of latent codes that are mixed. 0: 30 for inpainting, 20 for other tasks.",
        min=0,
        max=64,
        step=1,
    )
    size: int = setting(
        0,
        "Composing size",
        "Side in pixels of the features that are mixed, after all convolutions of that size. 0: depends on the task.",
        choices=(0, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
    )
    layer: int = setting(
        0,
        "Composing layer",
        "Number of convolutions before the features are mixed. 0: given by the composing size.",
        min=0,
        max=32,
        step=1,
    )
    steps: int = setting(300, "Steps", min=1, max=10_000, step=10)
    steps_from_mean: int = setting(0, "Steps from the mean", FROM_MEAN_HELP, min=0, max=10_000, step=10)
    lr: float = setting(0.05, "Learning rate", "The paper uses 1 with sgd.", min=1e-4, max=10.0, step=0.01)
    optimiser: str = setting("adam", "Optimiser", choices=("adam", "sgd"))
    importance: bool = setting(
        True, "Channel importance", "Learn a weight for each channel of each code. Off: the mean of the features."
    )

    nearby: float = setting(
        0.0,
        "Nearby codes",
        "0: random codes, as published. Else codes in W+ around the start, by this part of a random code. Fewer "
        "steps are enough. Needs a generator with styles and a start other than the mean.",
        min=0.0,
        max=1.0,
        step=0.05,
    )
    pixels: bool = setting(
        False,
        "Pixels only",
        f"With nearby codes, if everything is measured: {PIXELS_HELP[:1].lower()}{PIXELS_HELP[1:]}",
    )
    patience: int = patience_setting()

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, task, y = problem.prior, problem.task, problem.y
        B, N, layer = len(y), self.codes or (CODES_FOR_HOLES if task.leaves_holes else CODES), self.split(prior, task)
        if isinstance(code, MultiCode):
            z, alpha, layer = code.z, code.alpha, code.layer
        else:
            z = draw_normal(rng, (1, N, prior.z_dim), y).expand(B, -1, -1)
            alpha = z.new_full((B, N, prior.channels(layer)), 1 / N)
            if self.nearby and "w+" in prior.spaces and not at_mean(code, prior):
                with torch.no_grad():
                    styles = prior.mapping(z.flatten(0, 1)).unflatten(0, (B, N)) - prior.w_avg
                yield from self._near(problem, start_ws(code, prior, y), self.nearby * styles, alpha, layer)
                return
        found = MultiCode(trainable_copy(z), trainable_copy(alpha), trainable_copy(start_ws(code, prior, y)), layer)
        steps = (at_mean(code, prior) and self.steps_from_mean) or self.steps
        mixing = [found.z, found.alpha] if self.importance else [found.z]
        message = yield from descend(
            self.key,
            code_loss(lambda: found, problem),
            [(mixing, self.lr), ([found.rows], self.lr * spread(prior))],
            Descent(steps, SCHEDULE, "sgd" if self.optimiser == "sgd" else "adam", patience=self.patience),
        )
        yield outcome_of(found, prior, message)

    def _near(self, problem: Problem, start: Tensor, offsets: Tensor, alpha: Tensor, layer: int) -> Events:
        """Optimise codes in W+ at offsets (B, N, num_ws, w_dim) from the start (B, num_ws, w_dim), along its axes."""
        pixels = self.pixels and not problem.task.merges  # what is invented needs the perceptual term
        problem = problem.on_pixels() if pixels else problem
        prior, axes = problem.prior, axes_of(problem, "wplus", sensitive=True)
        heads, rows = Coordinates.of(start[:, None] + offsets, axes), Coordinates.of(start, axes)
        alpha, pace = trainable_copy(alpha), PIXEL_PACE * self.lr if pixels else self.lr
        message = yield from descend(
            self.key,
            code_loss(lambda: Mixture(heads.styles(), alpha, rows.styles(), layer), problem),
            [
                ([alpha] if self.importance else [], NEAR_RATES[0] * pace),
                ([heads.variable, rows.variable], NEAR_RATES[1] * pace * spread(prior)),
            ],
            Descent(
                self.steps,
                NEAR_SCHEDULE,
                "sgd" if self.optimiser == "sgd" else "adam",
                patience=self.patience,
                memory=PIXEL_MEMORY if pixels else ADAM_MEMORY,
            ),
        )
        yield outcome_of(Mixture(heads.best(), alpha, rows.best(), layer), prior, message)

    def start(self, code: Code, prior: Prior) -> Code | None:
        return code if isinstance(code, MultiCode) else None

    def split(self, prior: Prior, task: Task) -> int:
        """Number of convolutions before the split. Raises SettingError if the prior has no layer of that size."""
        if self.layer > prior.num_layers:
            raise SettingError(
                f"multicode.layer must be at most {prior.num_layers} for this generator, not {self.layer}."
            )
        if self.layer:
            return self.layer
        size = self.size or default_size(prior, task)
        places = [k for k in range(1, prior.num_layers + 1) if prior.size(k) == size]
        if not places:
            raise SettingError(f"multicode.size must be at most {prior.resolution} for this generator, not {size}.")
        return places[-1]


def default_size(prior: Prior, task: Task) -> int:
    """Side in pixels of the features to mix. It depends on how much of the picture the task measures.

    Features as fine as the measurement are fitted cell by cell, with artefacts between the cells. So the side is at
    most half that of a small measurement, and holes and colours of a small picture come from the smallest features.
    """
    side, measured = SIZE_IF_EXACT if task.exact else SIZE, task.measured_size(prior.resolution)
    if measured < prior.resolution:
        side = min(side, max(4, measured // 2))
    elif task.merges and prior.resolution <= SMALL_PICTURE:
        side = SIZE_IN_SMALL
    elif task.leaves_holes:
        side = SIZE_FOR_HOLES
    return min(side, prior.resolution)
