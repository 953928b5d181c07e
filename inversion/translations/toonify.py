"""Faces to cartoons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from inversion.translations.frontalize import Frontalize


@dataclass(frozen=True)
class Toonify(Frontalize):
    """A picture in [-1, 1]; the generator makes cartoons of faces."""

    name: ClassVar[str] = "toonify"
    label: ClassVar[str] = "Cartoon"
    description: ClassVar[str] = "Draw a face as a cartoon."
