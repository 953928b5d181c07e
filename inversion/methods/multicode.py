"""mGANprior (Gu, Shen and Zhou, CVPR 2020): several codes, mixed channel by channel inside the generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import SettingError, setting
from inversion.generators.statistics import spread
from inversion.methods.base import Events, Problem, Schedule, Stage, descend
from inversion.methods.codes import Code, MultiCode
from inversion.methods.embed import draw
from inversion.methods.latent import finished, leaf, rendered, start_ws

if TYPE_CHECKING:
    from inversion.generators.base import Prior
    from inversion.tasks.base import Task

# Number of codes and side in pixels of the mixed features. A late split fits more, an early split leaves more to the
# generator (Gu et al. 2020, section 4.3). The sides are those of the paper's layers: 8, 6 and 4 convolutions of a PGGAN
# of 1024 pixels, for a measurement that is exact, incomplete, or has holes.
CODES, CODES_FOR_HOLES = 20, 30
SIZE_IF_EXACT, SIZE, SIZE_FOR_HOLES, SIZE_FOR_SMALL_HOLES = 32, 16, 8, 4
SMALL = 128  # pixels
SCHEDULE = Schedule(decay=1 / 6)


@dataclass(frozen=True)
class OptimiseMultiCode(Stage):
    """N codes z_n and their channel importance alpha_n (unconstrained, starting at 1/N), optimised together.

    The layers after the split are driven by one more code, which starts at the code of the stage before. The paper
    descends with plain SGD at learning rate 1; Adam reached 5 dB more in 150 steps on StyleGAN2, so it is the default.
    """

    key: ClassVar[str] = "multicode"
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "Multi-code"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "z"})

    codes: int = setting(
        0, "Codes", "How many latent codes are mixed. 0: the task's own number, 20 or 30.", min=0, max=64, step=1
    )
    size: int = setting(
        0,
        "Composing size",
        "Side in pixels of the features that are mixed, after all convolutions of that size. 0: the task's own choice.",
        choices=(0, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
    )
    layer: int = setting(
        0, "Composing layer", "The same, in convolutions before the split; 0: see the size.", min=0, max=32, step=1
    )
    steps: int = setting(300, "Steps", min=1, max=10_000, step=10)
    lr: float = setting(0.05, "Learning rate", "With sgd the paper's is 1.", min=1e-4, max=10.0, step=0.01)
    optimiser: str = setting("adam", "Optimiser", choices=("adam", "sgd"))
    importance: bool = setting(True, "Channel importance", "Off: a plain mean of the codes' features.")

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, task, y = problem.prior, problem.task, problem.y
        B, N, layer = len(y), self.codes or (CODES_FOR_HOLES if task.leaves_holes else CODES), self.split(prior, task)
        z = draw(rng, (1, N, prior.z_dim), y).expand(B, -1, -1)
        alpha = z.new_full((B, N, prior.channels(layer)), 1 / N)
        found = MultiCode(leaf(z), leaf(alpha), leaf(start_ws(code, prior, y)), layer)
        mixing = [found.z, found.alpha] if self.importance else [found.z]
        message = yield from descend(
            self.key,
            rendered(lambda: found, problem),
            [(mixing, self.lr), ([found.rows], self.lr * spread(prior))],
            self.steps,
            schedule=SCHEDULE,
            optimiser="sgd" if self.optimiser == "sgd" else "adam",
        )
        yield finished(found, prior, message)

    def split(self, prior: Prior, task: Task) -> int:
        """How many convolutions come before the split; SettingError where this prior has no such place."""
        if self.layer > prior.num_layers:
            raise SettingError(
                f"multicode.layer must be at most {prior.num_layers} for this generator, not {self.layer}"
            )
        if self.layer:
            return self.layer
        size = self.size or default_size(prior, task)
        places = [k for k in range(1, prior.num_layers + 1) if prior.size(k) == size]
        if not places:
            raise SettingError(f"multicode.size must be at most {prior.resolution} for this generator, not {size}")
        return places[-1]


def default_size(prior: Prior, task: Task) -> int:
    """Side of the features to mix, in pixels, by how much of the picture the task measures.

    Features as fine as what was measured are fitted cell by cell, with ghosts between the cells. So the side is half of
    a small measurement's at most, and a hole in a small picture is filled from the smallest map.
    """
    side, measured = SIZE_IF_EXACT if task.exact else SIZE, task.measured_size(prior.resolution)
    if measured < prior.resolution:
        side = min(side, max(4, measured // 2))
    elif task.leaves_holes:
        side = SIZE_FOR_SMALL_HOLES if prior.resolution <= SMALL else SIZE_FOR_HOLES
    return min(side, prior.resolution)
