"""The tab for reconstruction: the whole picture is measured."""

from __future__ import annotations

from typing import ClassVar

from ui.tab import PictureTab


class Reconstruct(PictureTab):
    key: ClassVar[str] = "reconstruct"
    label: ClassVar[str] = "Reconstruct"
    intro: ClassVar[str] = (
        "Find the latent code whose picture is yours. How close each method comes shows what its code can hold."
    )
