"""Optimisation of feature maps instead of codes: a baseline of mGANprior (Gu et al. 2020, section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import setting
from inversion.methods.base import Descent, Events, Outcome, Problem, Stage, descend, patience_setting
from inversion.methods.embed import at_mean, draw_normal
from inversion.methods.latent import SCHEDULE, start_ws, trainable_copy
from inversion.methods.multicode import default_size

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.methods.codes import Code


@dataclass(frozen=True)
class OptimiseFeatures(Stage):
    """Adam on the features of one layer, which start as those of the mean style. The later layers keep that style.

    Nothing keeps the features where codes lie: parts that are not measured may look like nothing in the domain. The
    result has no code.
    """

    key: ClassVar[str] = "features"
    cost: ClassVar[float] = 0.8
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "refine"
    label: ClassVar[str] = "Feature maps"
    standalone: ClassVar[bool] = True
    leaves_domain: ClassVar[bool] = True

    size: int = setting(
        0,
        "Size of the maps",
        "Side in pixels of the features that are optimised. 0: as for mGANprior, which depends on the task.",
        choices=(0, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
    )
    steps: int = setting(300, "Steps", min=1, max=10_000, step=10)
    lr: float = setting(
        0.1,
        "Learning rate",
        "In units of the standard deviation of the features at the start.",
        min=1e-4,
        max=2.0,
        step=0.01,
    )
    patience: int = patience_setting()

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        from inversion.generators.base import State

        prior, ws = problem.prior, start_ws(code, problem.prior, problem.y)
        if "w" not in prior.spaces and at_mean(code, prior):  # a z of zeros has no features
            ws = draw_normal(rng, (1, *ws.shape[1:]), problem.y).expand(len(ws), -1, -1)
        side = min(self.size or default_size(prior, problem.task), prior.resolution)
        layer = max(k for k in range(1, prior.num_layers + 1) if prior.size(k) == side)
        with torch.no_grad():
            first = prior.head(ws, layer)
        maps = trainable_copy(first.features)

        def rendered() -> Tensor:
            return prior.tail(State(maps, first.rgb), layer, ws)

        def loss() -> tuple[dict[str, Tensor], Tensor]:
            image = rendered()
            return problem.objective(image), image

        rate = self.lr * first.features.float().std().item()
        options = Descent(self.steps, SCHEDULE, patience=self.patience)
        message = yield from descend(self.key, loss, [([maps], rate)], options)
        with torch.no_grad():
            yield Outcome(None, rendered(), message=message)
