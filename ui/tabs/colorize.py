"""The tab for colourisation: only the luminance is measured."""

from __future__ import annotations

from typing import ClassVar

from ui.tab import PictureTab


class Colorize(PictureTab):
    key: ClassVar[str] = "colorize"
    label: ClassVar[str] = "Colourise"
    intro: ClassVar[str] = (
        "Only the grey picture is kept; the generator suggests the colours. The luminance stays exactly yours."
    )
    measured: ClassVar[str] = "My picture is grey already"
