"""Translations: a drawing, a label map or another view becomes a picture.

A new translation is one line in ``TRANSLATIONS``. A new kind of input is one file and one line in ``INPUTS``.
"""

from __future__ import annotations

from inversion.translations.base import InputKind, Translation, TranslationOptions
from inversion.translations.label_map import LabelMap
from inversion.translations.lines import Lines
from inversion.translations.picture import Picture

INPUTS: dict[str, InputKind] = {
    "lines": Lines(),
    "map": LabelMap(),
    "picture": Picture(),
}

# The key is also the role of the encoder, in `Model.encoders`.
TRANSLATIONS: dict[str, Translation] = {
    "sketch": Translation("Sketch to picture", "Draw the outlines with any pen on any paper.", "lines"),
    "map": Translation("Map to picture", "Paint each part in its colour.", "map"),
    "frontalize": Translation("Frontalise", "Turn a face to the front.", "picture"),
    "toonify": Translation("Cartoon", "Turn a face into a cartoon.", "picture"),
}


def input_of(name: str) -> InputKind:
    """The kind of input that the translation `name` takes."""
    return INPUTS[TRANSLATIONS[name].takes]


__all__ = ["INPUTS", "TRANSLATIONS", "InputKind", "Translation", "TranslationOptions", "input_of"]
