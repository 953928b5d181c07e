"""In-Domain: the encoder alone, optimisation alone, and both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from inversion.analysis.base import Run
from inversion.analysis.contest import Contest, Entry

ENCODER, OPTIMISER, BOTH = "Encoder alone", "Optimisation alone", "Both (In-Domain)"


@dataclass(frozen=True)
class EncoderAndOptimiser(Contest):
    """The domain-guided encoder, W+ from the mean, and In-Domain, which starts at the encoder and stays near it."""

    key: ClassVar[str] = "both"
    label: ClassVar[str] = "Encoder, optimisation, both"
    paper: ClassVar[str] = "Zhu et al. 2020, arXiv 2004.00049"
    claim: ClassVar[str] = (
        "An encoder alone is rough, optimisation alone is hard to edit, and both together are close and editable."
    )
    look: ClassVar[str] = "Compare the edits in each row: those of a good code change one thing and still look real."
    where: ClassVar[str] = "Sections 4.3 and 4.4, inversion quality and real image editing."

    def runs(self) -> Sequence[Run]:
        alone = {"mean.encoder": False}
        return [
            Run(ENCODER, "guided", {}, self.effort),
            Run(OPTIMISER, "wplus", {**alone, "wplus.steps": 120}, self.effort),
            Run(BOTH, "indomain", {}, self.effort),
        ]

    def finding(self, entries: Sequence[Entry]) -> str:
        by_label = {entry.label: entry for entry in entries}
        if not {OPTIMISER, BOTH} <= by_label.keys():
            return "The model has no domain-guided encoder, so there is nothing to compare with."
        alone, both = by_label[OPTIMISER], by_label[BOTH]
        text = f"In-Domain has {both.psnr:.1f} dB, optimisation alone {alone.psnr:.1f} dB"
        if alone.leak is None or both.leak is None:
            return f"{text}; edits cannot be measured on this model."
        text += f", with {both.leak:.3f} and {alone.leak:.3f} other changes for each wanted one"
        held = "edits are cleaner with both" if both.leak < alone.leak else "edits are not cleaner with both"
        return f"{text}: {held}."
