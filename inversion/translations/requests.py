"""Translations as requests of plain data, each answered well under a second; see `Lane.answer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inversion import align, images
from inversion.align import Crop
from inversion.methods.codes import WPlus, to_plain
from inversion.model import Model
from inversion.translations import TRANSLATIONS
from inversion.translations.label_map import legend
from inversion.translations.translate import ALIKE, classes_of, encoder_for, translate, unavailable


@dataclass(frozen=True)
class TranslationsRequest:
    """The translations of a model as plain data, a quick request of the lane.

    Per translation: name, label, description, takes, why it is "unavailable" (or None), and for maps the "legend",
    pairs of a class and its colour.
    """

    model: str

    def __call__(self, model: Model) -> list[dict[str, Any]]:
        cards: list[dict[str, Any]] = []
        for name, kind in TRANSLATIONS.items():
            reason = unavailable(model, name)
            card = {"name": name, "label": kind.label, "description": kind.description, "takes": kind.takes}
            painted = kind.takes == "map" and reason is None
            cards.append({**card, "unavailable": reason, "legend": legend(classes_of(model)) if painted else []})
        return cards


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a `TranslateRequest` is answered with. Pictures are uint8 (R, R, 3)."""

    pictures: list[NDArray[np.uint8]]
    codes: Sequence[Mapping[str, Any]]  # of each picture, as `editing.requests.Inverted` takes them
    read: NDArray[np.uint8]  # (size, size, 3), what the encoder saw


@dataclass(frozen=True, eq=False)
class TranslateRequest:
    """`translate` as a quick request of the lane. picture: uint8 (H, W, 3); crop: the part of it that is used."""

    model: str
    name: str
    picture: NDArray[np.uint8]
    variations: int = 1
    mix_layers: int | None = None
    alpha: float = 1.0
    seed: int = 0
    crop: Crop = Crop()
    alike: int = ALIKE

    def __call__(self, model: Model) -> Drawn:
        encoder, quad = encoder_for(model, self.name), self.crop.quad
        picture = self.picture if quad is None else align.cut(self.picture, quad, encoder.size)
        wish = self.variations, self.mix_layers, self.alpha, self.seed, self.alike
        made = translate(model, self.name, picture, *wish)
        codes = [to_plain(WPlus(rows)) for rows in made.code.rows.split(1)]
        pictures = [images.to_array(one) for one in made.pictures]
        return Drawn(pictures, codes, TRANSLATIONS[self.name].show(made.read))
