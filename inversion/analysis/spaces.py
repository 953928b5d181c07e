"""pSp: one style, one vector for all styles, and a pyramid of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from inversion.analysis.base import Run
from inversion.analysis.contest import Contest, Entry

ONE, NAIVE, PYRAMID = "Near one style (e4e)", "Last features to W+ (Encoder)", "Pyramid to W+ (pSp)"


@dataclass(frozen=True)
class SpacesOfEncoders(Contest):
    """Three encoders with the same generator, from one style to a style for every layer."""

    key: ClassVar[str] = "spaces"
    label: ClassVar[str] = "One style, W+, pyramid"
    paper: ClassVar[str] = "Richardson et al. 2021, arXiv 2008.00951"
    claim: ClassVar[str] = (
        "A style for every layer is closer than one style, and a pyramid of features keeps more details."
    )
    look: ClassVar[str] = "From row to row more details should return: expression, hair line, accessories."
    where: ClassVar[str] = "Section 4.1 and figure 5, StyleGAN inversion: W, naive W+ and pSp."

    def runs(self) -> Sequence[Run]:
        pairs = ((ONE, "e4e"), (NAIVE, "encoder"), (PYRAMID, "psp"), ("Five passes (ReStyle)", "restyle"))
        return [Run(label, method, {}, self.effort) for label, method in pairs]

    def finding(self, entries: Sequence[Entry]) -> str:
        by_label = {entry.label: entry for entry in entries}
        known = [by_label[label] for label in (ONE, NAIVE, PYRAMID) if label in by_label]
        text = ", ".join(f"{entry.label}: {entry.psnr:.1f} dB" for entry in known) or "None of the three encoders"
        if PYRAMID not in by_label or len(known) < 2:
            return f"{text}; the model lacks encoders to compare."
        best = max(known, key=lambda entry: entry.psnr)
        held = "the pyramid is the closest" if best.label == PYRAMID else "the pyramid is not the closest"
        return f"{text}; {held}."
