"""Analyses that repeat one method with one setting changed, and draw the figures of the runs as a curve."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from inversion.analysis.base import Analysis, Case, Events, Run
from inversion.analysis.measures import psnr
from inversion.analysis.report import Column, Report, Shown, Table
from inversion.common.plot import Plot, Series

if TYPE_CHECKING:
    from inversion.model import Model


class Point(NamedTuple):
    """A run of a sweep: the value of the setting, its PSNR in dB, and its seconds."""

    value: float
    psnr: float
    seconds: float


@dataclass(frozen=True)
class Sweep(Analysis):
    """One run for each value. axis: what the values are, with a capital letter."""

    axis: ClassVar[str]
    logarithmic: ClassVar[bool] = False

    @abstractmethod
    def values(self, model: Model | None = None) -> Sequence[float]:
        """The values, all of them or those that the model allows."""

    @abstractmethod
    def run(self, value: float) -> Run:
        """The run with a value."""

    @abstractmethod
    def finding(self, points: Sequence[Point]) -> str:
        """What the points say about the claim, once all are known."""

    def runs(self) -> Sequence[Run]:
        return [self.run(value) for value in self.values()]

    def __call__(self, case: Case) -> Events:
        points: list[Point] = []
        pictures: list[Shown] = [case.shown()]
        yield Report(pictures)
        values = self.values(case.model)
        for value in values:
            run = self.run(value)
            result = yield from case.invert(run)
            points.append(Point(value, psnr(result.image, case.picture), result.seconds))
            pictures.append(case.shown(run.label, f"{points[-1].psnr:.2f} dB", result.image))
            yield self._report(points, pictures, done=len(points) == len(values))

    def _report(self, points: Sequence[Point], pictures: Sequence[Shown], *, done: bool) -> Report:
        curve = Series("PSNR", [(point.value, point.psnr) for point in points])
        ticks = tuple(point.value for point in points)
        plot = Plot(self.label, self.axis, "PSNR in dB", (curve,), logarithmic=self.logarithmic, ticks=ticks)
        columns = (Column(self.axis, 0), Column("PSNR in dB"), Column("Seconds", 1))
        return Report([*pictures], [plot], Table(columns, tuple(points)), self.finding(points) if done else "")
