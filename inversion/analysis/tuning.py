"""Clone and PTI: how far random samples move while the generator learns one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from inversion.analysis.base import Analysis, Case, Events, Run
from inversion.analysis.measures import Movement, psnr
from inversion.analysis.report import Column, Report, Table
from inversion.common.plot import Plot, Series
from inversion.common.settings import SettingValue
from inversion.methods.pti import tuned
from inversion.model import prior_of

GLOBAL_OFF: dict[str, SettingValue] = {"clone.cohesion": "samples", "clone.preservation_weight": 0.0}
# Variant -> stage and settings, in pairs with and without the term of the paper.
VARIANTS: dict[str, tuple[str, dict[str, SettingValue]]] = {
    "PTI": ("pti", {"pti.locality": "off"}),
    "PTI with locality": ("pti", {"pti.locality": "on"}),
    "Clone": ("clone", {}),
    "Clone, no global term": ("clone", GLOBAL_OFF),
    "Clone, no local term": ("clone", {"clone.local_weight": 0.0}),
}
STEPS = {"pti": (45,), "clone": (24,)}  # a curve has a run for each
PTI, CLONE, WITHOUT_GLOBAL = "PTI", "Clone", "Clone, no global term"


class Point(NamedTuple):
    """A tuned generator: PSNR of the picture in dB, and movement of random samples in 8-bit units."""

    variant: str
    steps: int
    psnr: float
    moved: float
    seconds: float


@dataclass(frozen=True)
class TuningMoves(Analysis):
    """A curve for PTI and Clone, with and without the terms that hold the rest of the generator."""

    key: ClassVar[str] = "tuning"
    label: ClassVar[str] = "What tuning moves"
    paper: ClassVar[str] = "Feng et al. 2022, arXiv 2202.11833"
    claim: ClassVar[str] = "Tuning reaches any picture, and the global term keeps the other pictures as they were."
    look: ClassVar[str] = "The lower a curve, the less other pictures move; compare the random sample after each run."
    where: ClassVar[str] = "The loss with its local and global term; in PTI (Roich et al. 2022) section 3.3."
    needs: ClassVar[frozenset[str]] = frozenset({"discriminator"})

    def runs(self) -> Sequence[Run]:
        return [
            Run(name, stage, {**settings, f"{stage}.steps": steps}, self.effort)
            for name, (stage, settings) in VARIANTS.items()
            for steps in STEPS[stage]
        ]

    def __call__(self, case: Case) -> Events:
        prior = prior_of(case.model)
        movement = Movement(prior)
        sample = movement.before[:1]
        yield Report([case.shown(), case.shown("A random sample", "untouched", sample)])
        runs = self.runs()
        pivot = yield from case.invert(Run("Pivot", "wplus", {}, self.effort))
        start = psnr(pivot.image, case.picture)
        before = case.shown("Before tuning", f"{start:.2f} dB", pivot.image)
        pictures = {"": [before, case.shown("A random sample", "untouched", sample)]}
        points: list[Point] = []
        for run in runs:
            result = yield from case.invert(run)
            generator = tuned(prior, result.weights or {})
            moved = movement(generator)
            points.append(Point(run.label, run.refined, psnr(result.image, case.picture), moved, result.seconds))
            pictures[run.label] = [
                case.shown(run.label, f"{points[-1].psnr:.2f} dB", result.image),
                case.shown("The sample", f"samples moved by {moved:.1f}", movement.after(generator)[:1]),
            ]
            done = len(points) == len(runs)
            shown = [one for row in pictures.values() for one in row]
            yield Report(shown, [_plot(points, start)], _table(points), _finding(points) if done else "", 4)


def _plot(points: Sequence[Point], start: float) -> Plot:
    """A curve for each variant, which begins at the PSNR of the untouched generator."""
    names = dict.fromkeys(point.variant for point in points)
    series = tuple(
        Series(name, [(start, 0.0), *((p.psnr, p.moved) for p in points if p.variant == name)]) for name in names
    )
    return Plot("Movement of random samples against closeness", "PSNR in dB", "Mean movement in 8-bit units", series)


def _table(points: Sequence[Point]) -> Table:
    columns = (Column("Variant"), Column("Steps", 0), Column("PSNR in dB"), Column("Moved"), Column("Seconds", 1))
    return Table(columns, tuple(tuple(point) for point in points))


def _finding(points: Sequence[Point]) -> str:
    last = {point.variant: point for point in points}
    clone, without, pti = last[CLONE], last[WITHOUT_GLOBAL], last[PTI]
    text = f"At the end Clone has {clone.psnr:.1f} dB and moved samples by {clone.moved:.1f}"
    text += f", PTI {pti.psnr:.1f} dB and {pti.moved:.1f}, Clone without its global term {without.moved:.1f}"
    held = clone.moved < without.moved
    sentence = (
        "the global term holds the other pictures" if held else "the global term does not hold the other pictures"
    )
    return f"{text}: {sentence}."
