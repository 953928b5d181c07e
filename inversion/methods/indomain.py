"""In-domain inversion (Zhu et al., ECCV 2020): a W+ code that the encoder recovers from the code's own picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import setting
from inversion.generators.statistics import spread
from inversion.methods.base import Descent, Events, Loss, Problem, Stage, descend, patience_setting
from inversion.methods.codes import Code, WPlus, as_wplus
from inversion.methods.encode import encoder_of
from inversion.methods.latent import LR_HELP, code_loss, outcome_of, start_ws, trainable_copy

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior


@dataclass(frozen=True)
class OptimiseInDomain(Stage):
    """Adam on W+, regularised by the code that the In-Domain encoder reads from the picture (section 3.2, eq. 6)."""

    key: ClassVar[str] = "indomain"
    cost: ClassVar[float] = 1.1
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "In-Domain"
    encoder_role: ClassVar[str] = "indomain"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "w+", f"encoders.{encoder_role}"})

    steps: int = setting(100, "Steps", "The paper uses up to 1000.", min=1, max=10_000, step=10)
    lr: float = setting(0.01, "Learning rate", f"{LR_HELP} The rate is constant.", min=1e-4, max=2.0, step=0.01)
    domain_weight: float = setting(
        2.0,
        "Domain weight",
        "Weight of the distance between the code and the code that the encoder reads from its picture. Larger: cleaner "
        "edits, clearly so only on pictures that the model does not know; fewer steps do the same. Smaller: fits "
        "better.",
        min=0.0,
        max=100.0,
        step=0.5,
    )
    patience: int = patience_setting()

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior = problem.prior
        found = WPlus(trainable_copy(start_ws(code, prior, problem.y)))
        message = yield from descend(
            self.key,
            self._regularised(code_loss(lambda: found, problem), found, problem),
            [([found.rows], self.lr * spread(prior))],
            Descent(self.steps, patience=self.patience),
        )
        yield outcome_of(found, prior, message)

    def start(self, code: Code, prior: Prior) -> Code | None:
        found = as_wplus(code, prior)
        return None if found is None or found.noise else found

    def _regularised(self, loss: Loss, found: WPlus, problem: Problem) -> Loss:
        """The loss plus lambda_dom |w - E(G(w))|^2, a mean over entries in units of their standard deviation."""
        encoder, unit = encoder_of(problem.model, self.encoder_role), spread(problem.prior)

        def regularised() -> tuple[dict[str, Tensor], Tensor]:
            terms, image = loss()
            error = (found.rows - encoder(encoder.fit(image))) / unit
            domain = error.square().flatten(1).mean(dim=1)
            return {**terms, "domain": domain, "total": terms["total"] + self.domain_weight * domain}, image

        return regularised
