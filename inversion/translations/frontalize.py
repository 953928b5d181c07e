"""Turned faces to frontal views of the same faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inversion import images
from inversion.translations.base import InputKind, Translation

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Frontalize(Translation):
    """The encoder reads a picture (1, 3, size, size) in [-1, 1]."""

    name: ClassVar[str] = "frontalize"
    label: ClassVar[str] = "Frontalise"
    description: ClassVar[str] = "Turn a face to the front."
    takes: ClassVar[InputKind] = "picture"

    def read(self, picture: NDArray[np.uint8], channels: int, size: int) -> Tensor:
        self.expect(channels, 3)
        return images.to_tensor(images.fit(Image.fromarray(picture), size))

    def show(self, read: Tensor) -> NDArray[np.uint8]:
        return images.to_array(read)
