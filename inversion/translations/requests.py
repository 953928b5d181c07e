"""Translations as quick requests of plain data, see `Lane.answer`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

from inversion import align, images
from inversion.align import Crop
from inversion.methods.codes import WPlus, to_plain
from inversion.translations import INPUTS, TRANSLATIONS, input_of
from inversion.translations.base import Colour, TranslationOptions
from inversion.translations.label_map import legend
from inversion.translations.translate import classes_of, encoder_for, translate, unavailable

if TYPE_CHECKING:
    from inversion.methods.codes import PlainCode
    from inversion.model import Model


class TranslationCard(TypedDict):
    """A translation as a model offers it."""

    name: str
    label: str
    description: str
    takes: str  # key of INPUTS
    unavailable: str | None  # the reason
    legend: list[tuple[str, Colour]]  # classes with their colours; [] if it is unavailable or its input has none


@dataclass(frozen=True)
class TranslationsRequest:
    """All translations, as the model offers them."""

    model: str

    def __call__(self, model: Model) -> list[TranslationCard]:
        cards: list[TranslationCard] = []
        for name, kind in TRANSLATIONS.items():
            reason = unavailable(model, name)
            painted = INPUTS[kind.takes].has_classes and reason is None
            cards.append(
                {
                    "name": name,
                    "label": kind.label,
                    "description": kind.description,
                    "takes": kind.takes,
                    "unavailable": reason,
                    "legend": legend(classes_of(model, name)) if painted else [],
                }
            )
        return cards


def picture_titles(count: int) -> list[str]:
    """Titles of the encoder's input and of the pictures made of it, `count` in all."""
    return ["Your input", "Main result", *(f"Variation {i}" for i in range(1, count - 1))]


@dataclass(frozen=True, eq=False)
class TranslatedPictures:
    """The answer to a `TranslateRequest`. Pictures are uint8 (R, R, 3)."""

    pictures: list[NDArray[np.uint8]]
    codes: Sequence[PlainCode]  # of each picture, for `editing.requests.Inverted`
    read: NDArray[np.uint8]  # (size, size, 3), the encoder's input


@dataclass(frozen=True, eq=False)
class TranslateRequest:
    """`translate` as a quick request. picture: uint8 (H, W, 3); crop: the part of it that is used."""

    model: str
    name: str
    picture: NDArray[np.uint8]
    options: TranslationOptions = field(default_factory=TranslationOptions)
    crop: Crop = Crop()

    def __call__(self, model: Model) -> TranslatedPictures:
        encoder, quad = encoder_for(model, self.name), self.crop.quad
        picture = self.picture if quad is None else align.cut(self.picture, quad, encoder.size)
        result = translate(model, self.name, picture, self.options)
        codes = [to_plain(WPlus(rows)) for rows in result.code.rows.split(1)]
        pictures = [images.to_array(one) for one in result.pictures]
        return TranslatedPictures(pictures, codes, input_of(self.name).show(result.read))
