"""mGANprior: how many codes a picture needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from inversion.analysis.base import Run
from inversion.analysis.sweep import Point, Sweep
from inversion.common.settings import setting

if TYPE_CHECKING:
    from inversion.model import Model

COUNTS = (1, 2, 5, 10, 20, 30)
# Random codes, as published. The quick preset starts near an encoder's code, so that one code is near enough already.
AS_PUBLISHED = {"mean.encoder": False, "multicode.nearby": 0.0}
STEPS = 50  # of each run
TOLERANCE = 0.2  # dB by which the curve may fall between two counts
FLAT = 0.5  # dB: a gain below it counts as saturation


@dataclass(frozen=True)
class NumberOfCodes(Sweep):
    """The same picture with 1, 2, 4, ... codes."""

    key: ClassVar[str] = "codes"
    label: ClassVar[str] = "Number of codes"
    paper: ClassVar[str] = "Gu et al. 2020, arXiv 1912.07116"
    claim: ClassVar[str] = "One code cannot hold a picture: quality rises with the number of codes, up to about 20."
    look: ClassVar[str] = "The curve should climb and then flatten, and small details should appear one by one."
    where: ClassVar[str] = "Section 4.2, analysis on inverted codes: number of codes."
    axis: ClassVar[str] = "Codes"
    logarithmic: ClassVar[bool] = True

    most: int = setting(20, "Most codes", "The last point of the curve.", min=1, max=30, step=1)

    def values(self, model: Model | None = None) -> Sequence[float]:
        return [count for count in COUNTS if count <= self.most]

    def run(self, value: float) -> Run:
        settings = {**AS_PUBLISHED, "multicode.codes": int(value), "multicode.steps": STEPS}
        return Run(f"{value:.0f} code{'s' * (value > 1)}", "mganprior", settings, self.effort)

    def finding(self, points: Sequence[Point]) -> str:
        first, last = points[0], points[-1]
        falls = [b.value for a, b in zip(points[:-1], points[1:], strict=True) if b.psnr < a.psnr - TOLERANCE]
        text = f"{first.psnr:.1f} dB with {first.value:.0f} and {last.psnr:.1f} dB with {last.value:.0f} codes"
        if falls:
            return f"{text}, but it falls at {falls[0]:.0f} codes: the claim does not hold on this picture."
        if last.psnr - first.psnr < FLAT:
            return f"{text}: more codes hardly help on this picture, because one is near enough."
        enough = next(point.value for point in points if point.psnr > last.psnr - FLAT)
        if enough == last.value:
            return f"{text}: the curve rises to its end, as the paper says; it has not flattened yet."
        return f"{text}: the curve rises and flattens at {enough:.0f} codes, as the paper says."
