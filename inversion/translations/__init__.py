"""Translations: a drawing, a label map or another view becomes a picture. A new one is one file and one line here."""

from __future__ import annotations

from inversion.translations.base import Translation, TranslationOptions
from inversion.translations.frontalize import Frontalize
from inversion.translations.label_map import LabelMap
from inversion.translations.sketch import Sketch
from inversion.translations.toonify import Toonify

# The key is also the role of the encoder, in `Model.encoders`.
TRANSLATIONS: dict[str, Translation] = {
    "sketch": Sketch(),
    "map": LabelMap(),
    "frontalize": Frontalize(),
    "toonify": Toonify(),
}

__all__ = ["TRANSLATIONS", "Frontalize", "LabelMap", "Sketch", "Toonify", "Translation", "TranslationOptions"]
