"""All methods on one map: distortion, perception, editability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from inversion.analysis.base import Run
from inversion.analysis.contest import PSNR, Contest, Entry, trade_off
from inversion.common.plot import Plot, Series
from inversion.common.settings import setting
from inversion.methods import METHODS

SLOW = ("z", "projector", "pulse", "dip")  # left out at first: they take most of the time
STEPS = {"pti": {"pti.steps": 90}, "mganprior": {"multicode.steps": 40}, "clone": {"clone.steps": 24}}


@dataclass(frozen=True)
class TradeOffs(Contest):
    """One point for each method on two maps."""

    key: ClassVar[str] = "map"
    label: ClassVar[str] = "Map of all methods"
    paper: ClassVar[str] = "Tov et al. 2021, arXiv 2102.02766"
    claim: ClassVar[str] = "Methods that come closer to a picture give up plausibility and editability."
    look: ClassVar[str] = "On both maps the methods should lie along a slope; points beyond it break the trade-off."
    where: ClassVar[str] = "Section 4, the trade-offs of inversion: distortion, perception, editability."
    shows_edits: ClassVar[bool] = False

    every: bool = setting(False, "Every method", "Also the slow ones: Z, projector, PULSE and Deep Image Prior.")

    def runs(self) -> Sequence[Run]:
        keys = [key for key in METHODS if self.every or key not in SLOW]
        return [Run(METHODS[key].label, key, STEPS.get(key, {}), self.effort) for key in keys]

    def plots(self, entries: Sequence[Entry]) -> list[Plot]:
        seen = [Series(one.label, [(one.psnr, one.plausible)]) for one in entries if one.plausible is not None]
        label = "Per cent of random samples that look no better"
        return [trade_off(entries), Plot("Closeness against plausibility", PSNR, label, tuple(seen), "points")]

    def finding(self, entries: Sequence[Entry]) -> str:
        close = max(entries, key=lambda entry: entry.psnr)
        text = f"{close.label} comes closest ({close.psnr:.1f} dB)"
        clean = [entry for entry in entries if entry.leak is not None]
        if len(clean) < 3:
            return f"{text}; edits cannot be measured on this model."
        best = min(clean, key=lambda entry: entry.leak or 0.0)
        sign = _agreement([(entry.psnr, entry.leak or 0.0) for entry in clean])
        text += f", {best.label} edits most cleanly ({best.leak:.3f} other changes for each wanted one)"
        held = (
            "closer methods have more side effects" if sign > 0.2 else "closeness and side effects are hardly related"
        )
        held = "closer methods have fewer side effects, against the claim" if sign < -0.2 else held
        return f"{text}; over all methods, {held} (rank correlation {sign:+.2f})."


def _agreement(pairs: Sequence[tuple[float, float]]) -> float:
    """Kendall's rank correlation, -1 to 1."""
    signs = [
        (a[0] > b[0]) - (a[0] < b[0]) if a[1] > b[1] else (a[0] < b[0]) - (a[0] > b[0])
        for i, a in enumerate(pairs)
        for b in pairs[:i]
        if a[1] != b[1]
    ]
    return sum(signs) / max(1, len(signs))
