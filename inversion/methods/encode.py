"""Starting points from an encoder: one pass (classic, In-Domain, pSp, e4e) or several (ReStyle)."""

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
    """One pass of an encoder of the model over pinv(y), resized to the encoder's input size."""

    encoder_role: ClassVar[str]  # key in `Model.encoders`; the stage needs this encoder
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "embed"

    def __init_subclass__(cls) -> None:
        cls.needs = frozenset({"prior", f"encoders.{cls.encoder_role}"})

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior = problem.prior
        with torch.no_grad():
            found = self.read(problem)
            image = found.render(prior)
            losses = {name: value.mean().item() for name, value in problem.objective(image).items()}
        yield Step(self.key, 1, 1, losses, image)
        yield Outcome(found, image)

    def read(self, problem: Problem) -> Code:
        """The code that the encoder reads from the measurement."""
        encoder = encoder_of(problem.model, self.role(problem))
        return code_of(encoder(encoder.fit(problem.task.pinv(problem.y))))

    def role(self, problem: Problem) -> str:
        """The role in `Model.encoders` of the encoder that reads this measurement."""
        return self.encoder_role


@dataclass(frozen=True)
class ClassicEncoder(EncoderStage):
    """An encoder that was trained to predict the codes of generated pictures (Zhu et al. 2016)."""

    key: ClassVar[str] = "encoder"
    cost: ClassVar[float] = 0.7
    encoder_role: ClassVar[str] = "encoder"
    label: ClassVar[str] = "Encoder"


@dataclass(frozen=True)
class GuidedEncoder(EncoderStage):
    """The domain-guided encoder, which was trained on real pictures (Zhu et al. 2020, section 3.1)."""

    key: ClassVar[str] = "guided"
    cost: ClassVar[float] = 0.8
    encoder_role: ClassVar[str] = "indomain"
    label: ClassVar[str] = "In-Domain encoder"


@dataclass(frozen=True)
class PSPEncoder(EncoderStage):
    """The pSp encoder: styles from a pyramid of features (Richardson et al. 2021, section 3).

    The paper trains one encoder for each task. The encoder of the task is used if the model has it.
    """

    key: ClassVar[str] = "psp"
    cost: ClassVar[float] = 0.8
    encoder_role: ClassVar[str] = "psp"
    label: ClassVar[str] = "pSp"

    def role(self, problem: Problem) -> str:
        own = problem.task.encoder_role
        return own if own in problem.model.encoders else self.encoder_role


@dataclass(frozen=True)
class E4EEncoder(EncoderStage):
    """The e4e encoder: one style and a small offset per layer, which edits well (Tov et al. 2021)."""

    key: ClassVar[str] = "e4e"
    cost: ClassVar[float] = 0.9
    encoder_role: ClassVar[str] = "e4e"
    label: ClassVar[str] = "e4e"


@dataclass(frozen=True)
class ReStyle(Stage):
    """An encoder reads the picture and its reconstruction and corrects the code, several times (Alaluf et al. 2021).

    The paper takes the last code. Here every picture keeps the code that is closest to its measurement.
    """

    key: ClassVar[str] = "restyle"
    cost: ClassVar[float] = 3.8
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "embed"
    label: ClassVar[str] = "ReStyle"
    encoder_role: ClassVar[str] = "restyle"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", f"encoders.{encoder_role}"})

    iterations: int = setting(
        STEPS, "Iterations", "How many times the encoder corrects the code.", min=1, max=20, step=1
    )

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y, encoder = problem.prior, problem.y, encoder_of(problem.model, self.encoder_role)
        with torch.no_grad():
            x, start = problem.task.pinv(y), average_image(encoder, prior)
        passes = corrections(encoder, prior, x, self.iterations, start)
        candidates: list[tuple[Tensor, Tensor]] = []  # styles (B, num_ws, w_dim) of every pass and their losses (B,)
        for index in range(1, self.iterations + 1):
            with torch.no_grad():
                ws, image = next(passes)
                terms = problem.objective(image)
            candidates.append((ws, terms["total"]))
            losses = {name: value.mean().item() for name, value in terms.items()}
            if (yield Step(self.key, index, self.iterations, losses, image)):
                break
        with torch.no_grad():
            best = torch.stack([loss for _, loss in candidates]).argmin(dim=0)  # (B,)
            styles = torch.stack([ws for ws, _ in candidates])
            found = code_of(styles[best, torch.arange(len(y), device=best.device)])
            image = found.render(prior)
        yield Outcome(found, image)


# Encoders from which an optimisation may start, most faithful first.
STARTS: tuple[EncoderStage, ...] = (PSPEncoder(), E4EEncoder(), GuidedEncoder(), ClassicEncoder())


def start_stage(problem: Problem) -> EncoderStage | None:
    """The first of `STARTS` whose encoder the model has; None if it has none of them."""
    return next((stage for stage in STARTS if stage.role(problem) in problem.model.encoders), None)


def encoder_of(model: Model, role: str) -> Encoder:
    """The model's encoder of this role. Raises KeyError if it is missing: check `Method.unavailable` first."""
    return model.encoders[role]


def code_of(ws: Tensor) -> Code:
    """The code of predicted styles (B, num_ws, w_dim). A single row is a z (PGGAN), scaled to length sqrt(z_dim)."""
    if ws.shape[1] > 1:
        return WPlus(ws)
    return Z(torch.nn.functional.normalize(ws[:, 0], dim=1) * ws.shape[2] ** 0.5)
