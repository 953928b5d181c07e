"""mGANprior: where inside the generator the codes are composed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from inversion.analysis.base import Run
from inversion.analysis.codes import AS_PUBLISHED, STEPS
from inversion.analysis.sweep import Point, Sweep
from inversion.common.settings import setting

if TYPE_CHECKING:
    from inversion.model import Model

SIZES = (4, 8, 16, 32, 64)  # pixels a side of the features; larger ones take minutes


@dataclass(frozen=True)
class ComposingLayer(Sweep):
    """The same picture with codes that are composed at features of 4, 8, 16, ... pixels."""

    key: ClassVar[str] = "layers"
    label: ClassVar[str] = "Composing layer"
    paper: ClassVar[str] = "Gu et al. 2020, arXiv 1912.07116"
    claim: ClassVar[str] = (
        "Composing at a later layer copies the picture better; an early layer leaves more of it to the generator."
    )
    look: ClassVar[str] = "At 4 pixels the generator still draws the picture; at 64 it is almost a copy."
    where: ClassVar[str] = "Section 4.2, analysis on inverted codes: composition layer."
    axis: ClassVar[str] = "Side of the composed features in pixels"
    logarithmic: ClassVar[bool] = True

    codes: int = setting(8, "Codes", "That are composed.", min=1, max=30, step=1)

    def values(self, model: Model | None = None) -> Sequence[float]:
        limit = SIZES[-1] if model is None else model.resolution // 2
        return [size for size in SIZES if size <= limit]

    def run(self, value: float) -> Run:
        sizes = {"multicode.codes": self.codes, "multicode.size": int(value), "multicode.steps": STEPS}
        settings = {**AS_PUBLISHED, **sizes}
        return Run(f"At {value:.0f} pixels", "mganprior", settings, self.effort)

    def finding(self, points: Sequence[Point]) -> str:
        best = max(points, key=lambda point: point.psnr)
        worst = min(points, key=lambda point: point.psnr)
        text = f"{best.psnr:.1f} dB at {best.value:.0f} pixels, {worst.psnr:.1f} dB at {worst.value:.0f} pixels"
        if points[-1].psnr >= points[0].psnr:
            return f"{text}: a later layer is closer, as the paper says."
        return f"{text}: not the order of the paper, whose generator had no styles of its own after the composed layer."
