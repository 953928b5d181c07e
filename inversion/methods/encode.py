"""Where a run starts when an encoder says it: one pass (classic, In-Domain, pSp, e4e) or several (ReStyle)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import setting
from inversion.encoders.restyle import STEPS, average_image, corrections
from inversion.methods.base import Events, Outcome, Problem, Stage, Step
from inversion.methods.codes import Code, WPlus, Z

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.encoders import Encoder
    from inversion.model import Model


@dataclass(frozen=True)
class EncoderStage(Stage):
    """One pass of the model's encoder `name` over pinv(y), at the encoder's side."""

    name: ClassVar[str]
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "embed"

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, encoder = problem.prior, encoder_of(problem.model, self.role(problem))
        with torch.no_grad():
            found = code_of(encoder(encoder.fit(problem.task.pinv(problem.y))))
            image = found.render(prior)
            losses = {name: value.mean().item() for name, value in problem.objective(image).items()}
        yield Step(self.key, 1, 1, losses, image)
        yield Outcome(found, image)

    def role(self, problem: Problem) -> str:
        """The role of the model's encoder that reads this measurement."""
        return self.name


@dataclass(frozen=True)
class ClassicEncoder(EncoderStage):
    """The code that an encoder predicts which learnt to regress the codes of the generator's own pictures."""

    key: ClassVar[str] = "encoder"
    name: ClassVar[str] = "encoder"
    label: ClassVar[str] = "Encoder"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "encoders.encoder"})


@dataclass(frozen=True)
class GuidedEncoder(EncoderStage):
    """The code that the domain-guided encoder predicts: it learnt on real pictures (Zhu et al. 2020, section 3.1)."""

    key: ClassVar[str] = "guided"
    name: ClassVar[str] = "indomain"
    label: ClassVar[str] = "In-Domain encoder"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "encoders.indomain"})


@dataclass(frozen=True)
class PSPEncoder(EncoderStage):
    """The styles that pSp predicts from a pyramid of features (Richardson et al. 2021).

    The paper trains one encoder for each task: where the model has one for this task, that one reads.
    """

    key: ClassVar[str] = "psp"
    name: ClassVar[str] = "psp"
    label: ClassVar[str] = "pSp"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "encoders.psp"})

    def role(self, problem: Problem) -> str:
        own = problem.task.encoder_role
        return own if own in problem.model.encoders else self.name


@dataclass(frozen=True)
class E4EEncoder(EncoderStage):
    """The styles that e4e predicts: one, and small offsets from it, which edit better (Tov et al. 2021)."""

    key: ClassVar[str] = "e4e"
    name: ClassVar[str] = "e4e"
    label: ClassVar[str] = "e4e"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "encoders.e4e"})


@dataclass(frozen=True)
class ReStyle(Stage):
    """The encoder sees picture and reconstruction and corrects the code, several times (Alaluf et al. 2021).

    The paper takes the last code; here every picture keeps the one that is nearest to its measurement.
    """

    key: ClassVar[str] = "restyle"
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "embed"
    label: ClassVar[str] = "ReStyle"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "encoders.restyle"})

    iterations: int = setting(STEPS, "Iterations", "How often the code is corrected.", min=1, max=20, step=1)

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y, encoder = problem.prior, problem.y, encoder_of(problem.model, "restyle")
        with torch.no_grad():
            x, start = problem.task.pinv(y), average_image(encoder, prior)
        turns = corrections(encoder, prior, x, self.iterations, start)
        kept: list[tuple[Tensor, Tensor]] = []  # styles (B, num_ws, w_dim) of every turn and their losses (B,)
        for index in range(1, self.iterations + 1):
            with torch.no_grad():
                ws, image = next(turns)
                terms = problem.objective(image)
            kept.append((ws, terms["total"]))
            losses = {name: value.mean().item() for name, value in terms.items()}
            if (yield Step(self.key, index, self.iterations, losses, image)):
                break
        with torch.no_grad():
            best = torch.stack([loss for _, loss in kept]).argmin(dim=0)  # (B,)
            every = torch.stack([ws for ws, _ in kept])
            found = code_of(every[best, torch.arange(len(y), device=best.device)])
            image = found.render(prior)
        yield Outcome(found, image)


def encoder_of(model: Model, name: str) -> Encoder:
    """The model's encoder; a stage that needs it is not offered for a model without (see `Method.unavailable`)."""
    return model.encoders[name]


def code_of(ws: Tensor) -> Code:
    """The code of predicted styles (B, num_ws, w_dim). A single row is a z (PGGAN) and has the length of one."""
    if ws.shape[1] > 1:
        return WPlus(ws)
    return Z(torch.nn.functional.normalize(ws[:, 0], dim=1) * ws.shape[2] ** 0.5)
