"""mGANprior: colourisation, as the paper scores it."""

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
from inversion.tasks.colorize import Colorize

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 150  # of the errors in the ab plane of CIELAB that count (Zhang et al. 2016)
MARGIN = 0.2  # per cent, below which two areas count as equal
GREY, MANY = "Grey", "mGANprior"


@dataclass(frozen=True)
class ColourCurves(Analysis):
    """The share of pixels within each error of colour, for several methods on the grey picture."""

    key: ClassVar[str] = "colours"
    label: ClassVar[str] = "Curves of colourisation"
    paper: ClassVar[str] = "Gu et al. 2020, arXiv 1912.07116"
    claim: ClassVar[str] = (
        "Many codes give a grey picture better colours than leaving it grey, by the area under the curve."
    )
    look: ClassVar[str] = "The curve of a method should lie above the curve of the grey picture."
    where: ClassVar[str] = "Section 4.3, image colorization: AuC, the area under the curve, in per cent."

    def runs(self) -> Sequence[Run]:
        codes = {**AS_PUBLISHED, "multicode.steps": 80}
        return [
            Run("pSp", "psp", {}, self.effort),
            Run("W", "w", {"mean.encoder": False, "w.steps": 100}, self.effort),
            Run(MANY, "mganprior", {**codes, "multicode.size": 16}, self.effort),
            Run("mGANprior at 4 pixels", "mganprior", {**codes, "multicode.size": 4}, self.effort),
        ]

    def __call__(self, case: Case) -> Events:
        task = Colorize()
        grey = task.pinv(task.A(case.picture))
        curves = {GREY: colour_curve(grey, case.picture)}
        figures = {GREY: psnr(grey, case.picture)}
        pictures: list[Shown] = [case.shown(), case.shown(GREY, f"AuC {area(curves[GREY]):.1f}", grey)]
        yield Report(pictures)
        runs = [run for run in self.runs() if run.configured.unavailable(case.model) is None]
        for run in runs:
            result = yield from case.invert(run, task=task)
            curves[run.label] = colour_curve(result.image, case.picture)
            figures[run.label] = psnr(result.image, case.picture)
            pictures.append(case.shown(run.label, f"AuC {area(curves[run.label]):.1f}", result.image))
            finding = _finding(curves) if len(curves) == len(runs) + 1 else ""
            yield Report([*pictures], [_plot(curves)], _table(curves, figures), finding)


def colour_curve(image: Tensor, truth: Tensor) -> Tensor:
    """The share of pixels (LARGEST + 1,) whose error in the ab plane is at most 0, 1, ... LARGEST.

    Pictures (1, 3, R, R) in [-1, 1].
    """
    from skimage.color import rgb2lab

    a, b = (rgb2lab(((x[0].clamp(-1, 1) + 1) / 2).permute(1, 2, 0).cpu().numpy())[..., 1:] for x in (image, truth))
    errors = torch.from_numpy(((a - b) ** 2).sum(axis=-1) ** 0.5).flatten()
    return (errors[None] <= torch.arange(LARGEST + 1)[:, None]).float().mean(dim=1)


def area(curve: Tensor) -> float:
    """The area under a `colour_curve`, in per cent (AuC)."""
    return 100 * curve.mean().item()


def _plot(curves: dict[str, Tensor]) -> Plot:
    shown = range(0, 61, 3)  # beyond it all curves are near 1
    series = tuple(Series(name, [(i, 100 * curve[i].item()) for i in shown]) for name, curve in curves.items())
    return Plot("Pixels within an error of colour", "Error in the ab plane of CIELAB", "Per cent of pixels", series)


def _table(curves: dict[str, Tensor], figures: dict[str, float]) -> Table:
    columns = (Column("Run"), Column("AuC in %"), Column("PSNR in dB"))
    return Table(columns, tuple((name, area(curve), figures[name]) for name, curve in curves.items()))


def _finding(curves: dict[str, Tensor]) -> str:
    areas = {name: area(curve) for name, curve in curves.items()}
    best = max(areas, key=areas.__getitem__)
    text = f"AuC {areas[GREY]:.1f} for grey, {areas[MANY]:.1f} for mGANprior; the best is {best} with {areas[best]:.1f}"
    better = areas[MANY] > areas[GREY] + MARGIN
    held = "mGANprior is better than grey, as the paper says" if better else "mGANprior is no better than grey here"
    return f"{text}: {held}."
