"""Faces to cartoons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from inversion.translations.frontalize import Frontalize


@dataclass(frozen=True)
class Toonify(Frontalize):
    """The encoder reads a picture (1, 3, size, size) in [-1, 1]; the generator draws cartoons."""

    name: ClassVar[str] = "toonify"
    label: ClassVar[str] = "Cartoon"
    description: ClassVar[str] = "Turn a face into a cartoon."
