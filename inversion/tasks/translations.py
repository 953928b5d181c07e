"""Translations: a drawing, a label map or another view becomes a picture by one pass of an encoder.

Outside the laws of tasks: a sketch is not a linear measurement of the face it stands for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from inversion import images
from inversion.tasks.base import TaskError
from inversion.tasks.drawings import PALETTE, classes, lines

# CelebAMask-HQ's classes (Lee et al. 2020), in the order of pSp's label maps.
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
class Translation(ABC):
    """One kind of input. Its encoder is `model.encoders[name]`."""

    name: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str]
    takes: ClassVar[Literal["lines", "map", "picture"]]  # what the user gives: two of them can be drawn on a canvas

    @abstractmethod
    def read(self, picture: NDArray[np.uint8], channels: int, size: int) -> Tensor:
        """What an encoder reads (1, channels, size, size) of an upload uint8 (H, W, 3), whose central square counts.

        Raises DrawingError for a drawing that says nothing, TaskError for an encoder that reads something else.
        """

    @abstractmethod
    def show(self, read: Tensor) -> NDArray[np.uint8]:
        """What the encoder reads, (1, channels, size, size), as a picture uint8 (size, size, 3)."""

    def expect(self, channels: int, wanted: int) -> None:
        """Raise TaskError unless the encoder reads as many channels as the input has."""
        if channels != wanted:
            raise TaskError(f"{self.name}: the model's encoder reads {channels} channels, not {wanted}")


@dataclass(frozen=True)
class Sketch(Translation):
    """Lines on paper, one channel in [0, 1]."""

    name: ClassVar[str] = "sketch"
    label: ClassVar[str] = "Sketch to face"
    description: ClassVar[str] = "Draw the outlines of a face; any pen and any paper will do."
    takes: ClassVar[Literal["lines", "map", "picture"]] = "lines"

    def read(self, picture: NDArray[np.uint8], channels: int, size: int) -> Tensor:
        self.expect(channels, 1)
        grey = np.asarray(Image.fromarray(_square(picture)).convert("L"))
        return torch.from_numpy(lines(grey, size))[None, None]

    def show(self, read: Tensor) -> NDArray[np.uint8]:
        return images.to_array(read.expand(-1, 3, -1, -1) * 2 - 1)


@dataclass(frozen=True)
class LabelMap(Translation):
    """One class per pixel, one-hot."""

    name: ClassVar[str] = "map"
    label: ClassVar[str] = "Map to face"
    description: ClassVar[str] = "Paint the parts of a face, each in its colour."
    takes: ClassVar[Literal["lines", "map", "picture"]] = "map"

    def read(self, picture: NDArray[np.uint8], channels: int, size: int) -> Tensor:
        self._check(channels)
        indices = torch.from_numpy(classes(_square(picture), channels, size))
        return torch.nn.functional.one_hot(indices, channels).permute(2, 0, 1)[None].float()

    def show(self, read: Tensor) -> NDArray[np.uint8]:
        self._check(read.shape[1])
        return np.asarray(PALETTE, np.uint8)[read[0].argmax(dim=0).cpu().numpy()]

    def _check(self, channels: int) -> None:
        if not 2 <= channels <= len(PALETTE):
            raise TaskError(f"map: the model's encoder reads {channels} classes; there are {len(PALETTE)} colours")


@dataclass(frozen=True)
class Frontalize(Translation):
    """A picture in [-1, 1]; the result looks at the viewer."""

    name: ClassVar[str] = "frontalize"
    label: ClassVar[str] = "Turn to the front"
    description: ClassVar[str] = "Show a face that looks aside from the front."
    takes: ClassVar[Literal["lines", "map", "picture"]] = "picture"

    def read(self, picture: NDArray[np.uint8], channels: int, size: int) -> Tensor:
        self.expect(channels, 3)
        return images.to_tensor(images.fit(Image.fromarray(picture), size))

    def show(self, read: Tensor) -> NDArray[np.uint8]:
        return images.to_array(read)


@dataclass(frozen=True)
class Toonify(Frontalize):
    """A picture in [-1, 1]; the generator makes cartoons of faces."""

    name: ClassVar[str] = "toonify"
    label: ClassVar[str] = "Cartoon"
    description: ClassVar[str] = "Draw a face as a cartoon."


def legend(names: Sequence[str]) -> list[tuple[str, tuple[int, int, int]]]:
    """The classes of a label map with the colours they are painted in. TaskError for more than there are colours."""
    if len(names) > len(PALETTE):
        raise TaskError(f"a label map has at most {len(PALETTE)} classes, not {len(names)}")
    return list(zip(names, PALETTE, strict=False))


def _square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The central square, pixels as they are."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(picture[top : top + side, left : left + side])
