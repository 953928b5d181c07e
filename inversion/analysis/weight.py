"""In-Domain: how strongly the encoder holds the code, lambda_dom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from inversion.analysis.base import Run
from inversion.analysis.contest import LEAK, PSNR, Contest, Entry
from inversion.common.plot import Plot, Series

WEIGHTS = (0.0, 0.5, 2.0, 8.0, 20.0)
STEPS = 60  # of each run


@dataclass(frozen=True)
class DomainWeight(Contest):
    """In-Domain with weights from 0 to 20 of its regulariser."""

    key: ClassVar[str] = "weight"
    label: ClassVar[str] = "Weight of the domain"
    paper: ClassVar[str] = "Zhu et al. 2020, arXiv 2004.00049"
    claim: ClassVar[str] = (
        "A larger weight of the domain term gives up closeness and gains editability; the authors choose 2."
    )
    look: ClassVar[str] = "From row to row the inversion should get worse and the edits cleaner."
    where: ClassVar[str] = "Section 4.5, ablation study on the loss weight."

    def runs(self) -> Sequence[Run]:
        settings = [{"indomain.domain_weight": weight, "indomain.steps": STEPS} for weight in WEIGHTS]
        labels = [f"Weight {weight:g}" for weight in WEIGHTS]
        return [Run(label, "indomain", one, self.effort) for label, one in zip(labels, settings, strict=True)]

    def plots(self, entries: Sequence[Entry]) -> list[Plot]:
        weights = WEIGHTS[: len(entries)]
        close = Series("PSNR", [(weight, one.psnr) for weight, one in zip(weights, entries, strict=True)])
        pairs = [(weight, one.leak) for weight, one in zip(weights, entries, strict=True) if one.leak is not None]
        name = "Weight of the domain term"
        return [
            Plot("Closeness", name, PSNR, (close,), ticks=weights),
            Plot("Side effects of edits", name, LEAK, (Series("Other changes", pairs),), ticks=weights),
        ]

    def finding(self, entries: Sequence[Entry]) -> str:
        first, last = entries[0], entries[-1]
        text = f"From weight 0 to {WEIGHTS[-1]:g} the PSNR goes from {first.psnr:.1f} to {last.psnr:.1f} dB"
        if first.leak is None or last.leak is None:
            return f"{text}; edits cannot be measured on this model."
        text += f", other changes for each wanted one from {first.leak:.3f} to {last.leak:.3f}"
        if last.leak < first.leak - 0.005 and last.psnr < first.psnr:
            return f"{text}: the trade-off of the paper."
        return f"{text}: the trade-off of the paper does not hold on this picture."
