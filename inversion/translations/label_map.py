"""Label maps to faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from inversion.translations.base import InputKind, Translation, TranslationError, square
from inversion.translations.drawings import PALETTE, classes

if TYPE_CHECKING:
    from torch import Tensor

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


@dataclass(frozen=True)
class LabelMap(Translation):
    """The encoder reads one class per pixel, one-hot (1, classes, size, size)."""

    name: ClassVar[str] = "map"
    label: ClassVar[str] = "Map to face"
    description: ClassVar[str] = "Paint each part of a face in its colour."
    takes: ClassVar[InputKind] = "map"

    def read(self, picture: NDArray[np.uint8], channels: int, size: int) -> Tensor:
        self._check(channels)
        indices = torch.from_numpy(classes(square(picture), channels, size))
        return torch.nn.functional.one_hot(indices, channels).permute(2, 0, 1)[None].float()

    def show(self, read: Tensor) -> NDArray[np.uint8]:
        self._check(read.shape[1])
        return np.asarray(PALETTE, np.uint8)[read[0].argmax(dim=0).cpu().numpy()]

    def _check(self, channels: int) -> None:
        if not 2 <= channels <= len(PALETTE):
            raise TranslationError(
                f"{self.label}: the model's encoder reads {channels} classes, but there are {len(PALETTE)} colours."
            )


def legend(names: Sequence[str]) -> list[tuple[str, tuple[int, int, int]]]:
    """The classes of a label map with their colours, RGB 0 to 255. Raises TranslationError for too many classes."""
    if len(names) > len(PALETTE):
        raise TranslationError(f"A label map has at most {len(PALETTE)} classes, not {len(names)}.")
    return list(zip(names, PALETTE, strict=False))
