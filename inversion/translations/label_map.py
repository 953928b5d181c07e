"""Label maps: each part of a picture in the colour of its class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from inversion.images import Decoded
from inversion.translations.base import Colour, InputKind, TranslationError, square
from inversion.translations.drawings import PALETTE, classes, in_palette, unknown_share

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.synthetic import Batch

# Classes of CelebAMask-HQ (Lee et al. 2020), in the order of the label maps of pSp.
CELEBA_CLASSES: tuple[str, ...] = (
    "background",
    "skin",
    "nose",
    "glasses",
    "left eye",
    "right eye",
    "left brow",
    "right brow",
    "left ear",
    "right ear",
    "mouth",
    "upper lip",
    "lower lip",
    "hair",
    "hat",
    "ear ring",
    "necklace",
    "neck",
    "clothes",
)


UNKNOWN = 0.01  # part of a map in unknown colours from which the user is told
CHECKED = 64  # pixels a side of a map that is only checked


class LabelMap(InputKind):
    """The encoder reads one class per pixel, one-hot (1, classes, size, size)."""

    label: ClassVar[str] = "Paint each part in its colour"
    empty: ClassVar[str] = "The canvas is empty. Paint the parts, upload a map, or choose an example."
    upload: ClassVar[str] = "Upload a map"
    colours: ClassVar[tuple[Colour, ...]] = (*PALETTE[1:], PALETTE[0])  # white, the empty canvas, comes last
    pen: ClassVar[int] = 24
    has_classes: ClassVar[bool] = True

    def decode(self, source: str | Path | bytes) -> Decoded:
        """A map of class numbers (grey values, or indices of a palette) or in other colours gets those of PALETTE.

        Raises BadImage, and DrawingError for a picture that is no map.
        """
        decoded = super().decode(source)
        picture, note = in_palette(np.asarray(decoded.picture), decoded.indices)
        classes(square(picture), len(PALETTE), CHECKED)
        notes = [*decoded.notes, *([note] if note else [])]
        unknown = unknown_share(square(picture))
        if unknown >= UNKNOWN:
            notes.append(
                f"About {100 * unknown:.0f} % of the map has colours of no class. The nearest part replaces them."
            )
        return replace(decoded, picture=Image.fromarray(picture), notes=tuple(notes))

    def channels(self, classes: int) -> int:
        return classes

    def read(self, picture: NDArray[np.uint8], channels: int, size: int) -> Tensor:
        _check(channels)
        indices = torch.from_numpy(classes(square(in_palette(picture)[0]), channels, size))
        return torch.nn.functional.one_hot(indices, channels).permute(2, 0, 1)[None].float()

    def show(self, read: Tensor) -> NDArray[np.uint8]:
        _check(read.shape[1])
        return _coloured(read)[0]

    def rendered(self, batch: Batch) -> list[NDArray[np.uint8]]:
        return list(_coloured(batch.segmentation))


def _check(channels: int) -> None:
    if not 2 <= channels <= len(PALETTE):
        raise TranslationError(
            f"The model's encoder reads {channels} classes, but there are {len(PALETTE)} colours. Choose another model."
        )


def _coloured(planes: Tensor) -> NDArray[np.uint8]:
    """The class with the largest value at every pixel of (B, classes, R, R), as its colour: uint8 (B, R, R, 3)."""
    return np.asarray(PALETTE, np.uint8)[planes.argmax(dim=1).cpu().numpy()]


def legend(names: Sequence[str]) -> list[tuple[str, Colour]]:
    """The classes of a label map with their colours, RGB 0 to 255. Raises TranslationError for too many classes."""
    if len(names) > len(PALETTE):
        raise TranslationError(f"A label map has at most {len(PALETTE)} classes, not {len(names)}.")
    return list(zip(names, PALETTE, strict=False))
