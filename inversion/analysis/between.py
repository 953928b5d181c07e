"""In-Domain: pictures between two inversions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from inversion.analysis.base import Analysis, Case, Events, Run
from inversion.analysis.measures import Plausibility, samples
from inversion.analysis.report import Column, Report, Shown, Table
from inversion.common.plot import Plot, Series
from inversion.common.settings import setting
from inversion.editing.blend import interpolated
from inversion.model import prior_of

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.methods.codes import Code

OPTIMISED, IN_DOMAIN = "W+ from the mean", "In-Domain"


@dataclass(frozen=True)
class Between(Analysis):
    """The straight line between the codes of two pictures, by several methods."""

    key: ClassVar[str] = "between"
    label: ClassVar[str] = "Between two pictures"
    paper: ClassVar[str] = "Zhu et al. 2020, arXiv 2004.00049"
    claim: ClassVar[str] = "Between two in-domain codes every picture is plausible; between optimised codes it is not."
    look: ClassVar[str] = "The pictures in the middle of each row should look as real as those at its ends."
    where: ClassVar[str] = "Section 4.4, image interpolation, with table 2."
    needs: ClassVar[frozenset[str]] = frozenset({"discriminator"})

    frames: int = setting(5, "Pictures in a row", "With both ends.", min=3, max=9, step=2)

    def runs(self) -> Sequence[Run]:
        return [
            Run(OPTIMISED, "wplus", {"mean.encoder": False, "wplus.steps": 60}, self.effort),
            Run(IN_DOMAIN, "indomain", {"indomain.steps": 60}, self.effort),
            Run("pSp", "psp", {}, self.effort),
        ]

    @property
    def steps(self) -> int:
        return 2 * super().steps

    def __call__(self, case: Case) -> Events:
        other = _other(case)
        ends = [case.shown(), case.shown("Another picture", "", other)]
        yield Report(ends)
        plausible = Plausibility(case.model)
        pictures: list[Shown] = []
        curves: dict[str, list[float]] = {}
        places = torch.linspace(0, 1, self.frames).tolist()
        runs = self.runs()
        for run in runs:
            first = yield from case.invert(run)
            second = yield from case.invert(run, other)
            if first.code is None or second.code is None:
                raise TypeError(f"{run.label} gives a code")
            row = _row(case, first.code, second.code, places)
            curves[run.label] = plausible.scores(torch.cat(row))
            pictures += [
                case.shown(run.label if i == 0 else "", f"{score:+.1f}", picture)
                for i, (picture, score) in enumerate(zip(row, curves[run.label], strict=True))
            ]
            finding = _finding(curves) if len(curves) == len(runs) else ""
            yield Report([*pictures], [_plot(curves, places)], _table(curves), finding, self.frames)


def _other(case: Case) -> Tensor:
    """A second picture (1, 3, R, R): of the domain if the model has pictures, else of the generator."""
    rng = torch.Generator().manual_seed(case.seed)
    if case.model.pictures is not None:
        return case.model.pictures(1, rng).to(case.picture)
    prior = prior_of(case.model)
    with torch.no_grad():
        return prior.synthesis(samples(prior, 1, case.seed)).clamp(-1, 1)


def _row(case: Case, first: Code, second: Code, places: Sequence[float]) -> list[Tensor]:
    prior = prior_of(case.model)
    with torch.no_grad():
        return [interpolated(first, second, t, prior).render(prior).clamp(-1, 1) for t in places]


def _plot(curves: dict[str, list[float]], places: Sequence[float]) -> Plot:
    series = tuple(Series(name, list(zip(places, scores, strict=True))) for name, scores in curves.items())
    label = "Score of the discriminator (0: an average sample)"
    return Plot("Plausibility between the two", "Place, from your picture to the other", label, series)


def _table(curves: dict[str, list[float]]) -> Table:
    columns = (Column("Run"), Column("Score at the ends"), Column("Lowest score between"), Column("Loss"))
    lows = {name: min(scores[1:-1]) for name, scores in curves.items()}
    rows = [(name, _ends(scores), lows[name], _ends(scores) - lows[name]) for name, scores in curves.items()]
    return Table(columns, tuple(rows))


def _ends(scores: Sequence[float]) -> float:
    return (scores[0] + scores[-1]) / 2


def _finding(curves: dict[str, list[float]]) -> str:
    lost = {name: _ends(scores) - min(scores[1:-1]) for name, scores in curves.items()}
    text = ", ".join(f"{name} {value:+.1f}" for name, value in lost.items())
    held = lost[IN_DOMAIN] < lost[OPTIMISED]
    sentence = "in-domain codes lose less, as the paper says" if held else "in-domain codes lose no less here"
    return f"Plausibility lost between the ends, in deviations of random samples: {text}; {sentence}."
