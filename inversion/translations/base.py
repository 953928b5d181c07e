"""Translations: a drawing, a label map or another view becomes a picture by one pass of an encoder.

Outside the laws of tasks: a sketch is not a linear measurement of the face it stands for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from inversion.tasks.base import TaskError


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


def square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The central square, pixels as they are."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(picture[top : top + side, left : left + side])
