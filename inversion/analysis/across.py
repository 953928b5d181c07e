"""mGANprior: a picture that the generator was not trained for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from inversion.analysis.base import Analysis, Case, Events, Run
from inversion.analysis.codes import AS_PUBLISHED
from inversion.analysis.measures import psnr
from inversion.analysis.report import Column, Report, Shown, Table
from inversion.common.plot import Plot, Series
from inversion.common.settings import setting
from inversion.synthetic import DOMAINS

if TYPE_CHECKING:
    from torch import Tensor

SIZES = (4, 8, 16, 32)  # pixels a side of the composed features
SINGLE = "One code in Z"


@dataclass(frozen=True)
class AcrossDomains(Analysis):
    """One code and many codes, on your picture and on one of another domain."""

    key: ClassVar[str] = "across"
    label: ClassVar[str] = "Across domains"
    paper: ClassVar[str] = "Gu et al. 2020, arXiv 1912.07116"
    claim: ClassVar[str] = "Many codes reach pictures of another domain, if they are composed at a late layer."
    look: ClassVar[str] = (
        "On the other picture one code fails, and the curve keeps rising with the size of the features."
    )
    where: ClassVar[str] = "Section 4.4, knowledge representation in GANs."

    codes: int = setting(8, "Codes", "That are composed.", min=1, max=30, step=1)

    def runs(self) -> Sequence[Run]:
        settings = {**AS_PUBLISHED, "multicode.codes": self.codes, "multicode.steps": 40}
        many = [
            Run(f"At {size} pixels", "mganprior", {**settings, "multicode.size": size}, self.effort) for size in SIZES
        ]
        return [Run(SINGLE, "z", {"z.steps": 60}, self.effort), *many]

    @property
    def steps(self) -> int:
        return 2 * super().steps

    def __call__(self, case: Case) -> Events:
        label, other = _foreign(case)
        pictures: list[Shown] = [case.shown(), case.shown(label, "", other)]
        yield Report(pictures)
        found: list[tuple[str, float, float]] = []
        runs = self.runs()[: 1 + sum(size <= case.model.resolution // 2 for size in SIZES)]
        for run in runs:
            own = yield from case.invert(run)
            far = yield from case.invert(run, other)
            found.append((run.label, psnr(own.image, case.picture), psnr(far.image, other)))
            pictures.append(case.shown(run.label, f"{found[-1][1]:.2f} dB", own.image))
            pictures.append(case.shown(run.label, f"{found[-1][2]:.2f} dB", far.image))
            columns = (Column("Run"), Column("Your picture, dB"), Column(f"{label}, dB"))
            finding = _finding(found, label) if len(found) == len(runs) else ""
            yield Report([*pictures], [_plot(found, label)], Table(columns, tuple(found)), finding, 0)


def _foreign(case: Case) -> tuple[str, Tensor]:
    """A picture (1, 3, R, R) of another embedded domain than the model's, and its name."""
    name = next(name for name in reversed(DOMAINS) if name != case.model.domain)
    domain = DOMAINS[name]
    drawn = domain.draw(domain.examples[:1] or [0]).picture.to(case.picture)
    side = case.picture.shape[-1]
    picture = torch.nn.functional.interpolate(drawn, size=(side, side), mode="bilinear", antialias=True).clamp(-1, 1)
    return f"A {domain.noun}" if case.model.domain in DOMAINS else domain.noun.capitalize(), picture


def _plot(found: Sequence[tuple[str, float, float]], label: str) -> Plot:
    many = list(zip(SIZES, found[1:], strict=False))
    series = (
        Series("Your picture", [(size, own) for size, (_, own, _) in many]),
        Series(label, [(size, far) for size, (_, _, far) in many]),
    )
    name = "Side of the composed features in pixels"
    return Plot("Many codes in and across domains", name, "PSNR in dB", series, logarithmic=True, ticks=SIZES)


def _finding(found: Sequence[tuple[str, float, float]], label: str) -> str:
    single, best = found[0], max(found[1:], key=lambda one: one[2])
    text = f"{label} gets {single[2]:.1f} dB with one code and {best[2]:.1f} dB with many, {best[0].lower()}"
    many = "many codes reach further, as the paper says" if best[2] > single[2] + 1 else "many codes reach no further"
    late = "a late layer is best" if best is found[-1] else "but not at the latest layer"
    return f"{text}: {many}, {late}."
