"""In-domain inversion (Zhu et al., ECCV 2020): a W+ code that the encoder finds again on its own picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import setting
from inversion.generators.statistics import spread
from inversion.methods.base import Events, Loss, Problem, Stage, descend
from inversion.methods.codes import Code, WPlus
from inversion.methods.encode import encoder_of
from inversion.methods.latent import IN_SPREADS, finished, leaf, rendered, start_ws

if TYPE_CHECKING:
    from torch import Tensor

    pass


@dataclass(frozen=True)
class OptimiseInDomain(Stage):
    """Adam on W+, held within what the In-Domain encoder says of the code's own picture (section 3.2, eq. 6)."""

    key: ClassVar[str] = "indomain"
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "In-Domain"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "w+", "encoders.indomain"})

    steps: int = setting(100, "Steps", "The paper's tables took up to 1000.", min=1, max=10_000, step=10)
    lr: float = setting(0.01, "Learning rate", f"{IN_SPREADS} The rate stays the same.", min=1e-4, max=2.0, step=0.01)
    domain_weight: float = setting(
        2.0,
        "Domain weight",
        "Of the distance between the code and what the encoder reads from its picture: more edits better, less fits "
        "better.",
        min=0.0,
        max=100.0,
        step=0.5,
    )

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior = problem.prior
        found = WPlus(leaf(start_ws(code, prior, problem.y)))
        message = yield from descend(
            self.key,
            self._regularised(rendered(lambda: found, problem), found, problem),
            [([found.rows], self.lr * spread(prior))],
            self.steps,
        )
        yield finished(found, prior, message)

    def _regularised(self, loss: Loss, found: WPlus, problem: Problem) -> Loss:
        """The loss plus lambda_dom |w - E(G(w))|^2, a mean over entries in units of their spread."""
        encoder, unit = encoder_of(problem.model, "indomain"), spread(problem.prior)

        def both() -> tuple[dict[str, Tensor], Tensor]:
            terms, image = loss()
            error = (found.rows - encoder(encoder.fit(image))) / unit
            domain = error.square().flatten(1).mean(dim=1)
            return {**terms, "domain": domain, "total": terms["total"] + self.domain_weight * domain}, image

        return both
