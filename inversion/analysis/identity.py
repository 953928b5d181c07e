"""pSp: the term of the objective that compares the persons of two pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch

from inversion.analysis.base import Analysis, Case, Events, Run
from inversion.analysis.measures import psnr
from inversion.analysis.report import Column, Report, Shown, Table
from inversion.common.plot import Plot, Series
from inversion.common.settings import setting
from inversion.losses import PIXELS, LossWeights

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.model import Model

SETTINGS = {"mean.encoder": False, "w.steps_from_mean": 60}
WEIGHTS = (0.0, 0.02, 0.1, 0.5)  # of the identity term; pSp's own is 0.1
MARGIN = 0.01  # of a cosine, from which two differ


class Point(NamedTuple):
    """A run: its label, the weight of the identity term, PSNR in dB, identity (a cosine), and seconds."""

    label: str
    weight: float
    psnr: float
    identity: float
    seconds: float


@dataclass(frozen=True)
class IdentityTerm(Analysis):
    """One style vector, optimised with and without the identity term."""

    key: ClassVar[str] = "identity"
    label: ClassVar[str] = "Identity term"
    paper: ClassVar[str] = "Richardson et al. 2021, arXiv 2008.00951"
    claim: ClassVar[str] = "A term that compares embeddings of the faces keeps the person, and costs little closeness."
    look: ClassVar[str] = "A small weight should bring back the person, and a large one gives up pose and expression."
    where: ClassVar[str] = "Section 3.2, loss functions, and the ablation without this loss in section 4.1."

    perceptual: bool = setting(False, "Perceptual term", "Keep the perceptual term, too. It also holds the person.")

    def runs(self) -> Sequence[Run]:
        base = LossWeights() if self.perceptual else PIXELS
        return [
            Run(f"Weight {weight:g}", "w", SETTINGS, self.effort, replace(base, identity=weight)) for weight in WEIGHTS
        ]

    def unavailable(self, model: Model) -> str | None:
        """As in every analysis; a model also needs a network that knows persons."""
        if model.embed is None:
            return f"{model.name} has no network that compares persons"
        return super().unavailable(model)

    def __call__(self, case: Case) -> Events:
        pictures: list[Shown] = [case.shown()]
        yield Report(pictures)
        points: list[Point] = []
        runs = self.runs()
        for weight, run in zip(WEIGHTS, runs, strict=True):
            result = yield from case.invert(run)
            same = identity(case.model, result.image, case.picture)
            points.append(Point(run.label, weight, psnr(result.image, case.picture), same, result.seconds))
            pictures.append(case.shown(run.label, f"{points[-1].psnr:.2f} dB, identity {same:.3f}", result.image))
            finding = _finding(points) if len(points) == len(runs) else ""
            yield Report([*pictures], _plots(points), _table(points), finding)


def identity(model: Model, a: Tensor, b: Tensor) -> float:
    """Cosine of the embeddings of two pictures (1, 3, R, R). Raises ValueError if the model has no network for it."""
    if model.embed is None:
        raise ValueError(f"{model.name} has no network that compares persons")
    with torch.no_grad():
        return (model.embed(a.clamp(-1, 1)) * model.embed(b.clamp(-1, 1))).sum().item()


def _plots(points: Sequence[Point]) -> list[Plot]:
    name, ticks = "Weight of the identity term", tuple(point.weight for point in points)
    same = Series("Identity", [(point.weight, point.identity) for point in points])
    close = Series("PSNR", [(point.weight, point.psnr) for point in points])
    return [
        Plot("Identity", name, "Cosine of the embeddings", (same,), ticks=ticks),
        Plot("Closeness", name, "PSNR in dB", (close,), ticks=ticks),
    ]


def _table(points: Sequence[Point]) -> Table:
    columns = (Column("Run"), Column("PSNR in dB"), Column("Identity", 3), Column("Seconds", 1))
    return Table(columns, tuple((one.label, one.psnr, one.identity, one.seconds) for one in points))


def _finding(points: Sequence[Point]) -> str:
    without, best = points[0], max(points[1:], key=lambda point: point.identity)
    text = f"Without the term the identity is {without.identity:.3f} at {without.psnr:.1f} dB"
    text += f", with weight {best.weight:g} it is {best.identity:.3f} at {best.psnr:.1f} dB"
    held = "the term keeps the person" if best.identity > without.identity + MARGIN else "the term changes little here"
    return f"{text}: {held}, as the network sees it that the term uses."
