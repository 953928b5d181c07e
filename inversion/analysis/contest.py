"""Analyses that compare runs by closeness, plausibility, and how cleanly their codes can be edited."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from inversion.analysis.base import Analysis, Case, Events, Run
from inversion.analysis.measures import Edits, Effect, Plausibility, edits_of, psnr
from inversion.analysis.report import Column, Report, Shown, Table
from inversion.common.plot import Plot, Series
from inversion.methods.pti import tuned
from inversion.model import prior_of

if TYPE_CHECKING:
    from inversion.methods import Result
    from inversion.model import Model

COLUMNS = (
    Column("Run"),
    Column("PSNR in dB"),
    Column("Plausible in %", 0),
    Column("Wanted change"),
    Column("Other changes per wanted", 3),
    Column("Seconds", 1),
)
SHOWN = 1.5  # strength of the edits that are shown
PSNR, LEAK = "PSNR in dB", "Other changes per wanted one (lower is better)"


class Entry(NamedTuple):
    """The figures of a run. A figure is None if the model has no network for it, or the run no code.

    plausible: per cent of random samples that the discriminator finds no better. wanted: the mean effect of edits on
    their attribute, in its spread over random samples. leak: changes of other attributes for each unit of it.
    """

    label: str
    psnr: float
    plausible: float | None
    wanted: float | None
    leak: float | None
    seconds: float


@dataclass(frozen=True)
class Contest(Analysis):
    """One row for each run. shows_edits: a picture of an edit stands beside each inversion."""

    shows_edits: ClassVar[bool] = True

    @abstractmethod
    def finding(self, entries: Sequence[Entry]) -> str:
        """What the entries say about the claim, once all are known."""

    def plots(self, entries: Sequence[Entry]) -> list[Plot]:
        """The plots of the entries so far: closeness against clean edits."""
        return [trade_off(entries)]

    def available(self, case: Case) -> Sequence[Run]:
        """The runs that the model can do."""
        return [run for run in self.runs() if run.configured.unavailable(case.model) is None]

    def __call__(self, case: Case) -> Events:
        edits = edits_of(case.model)
        plausible = None if case.model.discriminator is None else Plausibility(case.model)
        shown = _edit_names(edits) if self.shows_edits else ()
        yield Report([case.shown()])
        pictures: list[Shown] = []
        entries: list[Entry] = []
        runs = self.available(case)
        for run in runs:
            result = yield from case.invert(run)
            entry = _entry(run, result, case, edits, plausible)
            entries.append(entry)
            pictures += [case.shown()] if shown or not pictures else []
            pictures.append(case.shown(run.label, f"{entry.psnr:.2f} dB", result.image))
            pictures += _edited(result, case, edits, shown)
            done = len(entries) == len(runs)
            table = Table(COLUMNS, tuple(tuple(one) for one in entries))
            finding = self.finding(entries) if done else ""
            yield Report([*pictures], self.plots(entries), table, finding, 2 + len(shown) if shown else 0)

    def unavailable(self, model: Model) -> str | None:
        """As in every analysis; runs that the model cannot do are left out if one is left."""
        reasons = [run.configured.unavailable(model) for run in self.runs()]
        return next(iter(reasons)) if None not in reasons else None


def trade_off(entries: Sequence[Entry]) -> Plot:
    """Closeness against side effects, one point for each entry."""
    points = [Series(one.label, [(one.psnr, one.leak)]) for one in entries if one.leak is not None]
    return Plot("Closeness against side effects of edits", PSNR, LEAK, tuple(points), "points")


def _entry(run: Run, result: Result, case: Case, edits: Edits | None, plausible: Plausibility | None) -> Entry:
    effect: Effect | None = None
    if edits is not None and result.code is not None:
        prior = prior_of(case.model)
        effect = edits.effect(result.code, tuned(prior, result.weights) if result.weights else prior)
    return Entry(
        run.label,
        psnr(result.image, case.picture),
        None if plausible is None else plausible(result.image)[0],
        None if effect is None else effect.wanted,
        None if effect is None else effect.leak,
        result.seconds,
    )


def _edit_names(edits: Edits | None) -> Sequence[str]:
    """The edits that are shown: two of the first ones, which differ most from each other."""
    return () if edits is None else edits.names[:3:2]


def _edited(result: Result, case: Case, edits: Edits | None, names: Sequence[str]) -> list[Shown]:
    """The result after each edit; the result itself if it has no code."""
    if edits is None:
        return []
    if result.code is None:
        return [case.shown("No edit", "the method has no code", result.image) for _ in names]
    prior = prior_of(case.model)
    used = tuned(prior, result.weights) if result.weights else prior
    moved = {name: edits.edited(result.code, name, SHOWN, used).clamp(-1, 1) for name in names}
    return [case.shown(f"Edit: {name.replace('_', ' ')}", "", picture) for name, picture in moved.items()]
