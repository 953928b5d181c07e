"""Line drawings to faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from inversion import images
from inversion.translations.base import InputKind, Translation, square
from inversion.translations.drawings import lines

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Sketch(Translation):
    """The encoder reads lines on paper (1, 1, size, size) in [0, 1], 1 is paper."""

    name: ClassVar[str] = "sketch"
    label: ClassVar[str] = "Sketch to face"
    description: ClassVar[str] = "Draw the outlines of a face with any pen on any paper."
    takes: ClassVar[InputKind] = "lines"

    def read(self, picture: NDArray[np.uint8], channels: int, size: int) -> Tensor:
        self.expect(channels, 1)
        grey = np.asarray(Image.fromarray(square(picture)).convert("L"))
        return torch.from_numpy(lines(grey, size))[None, None]

    def show(self, read: Tensor) -> NDArray[np.uint8]:
        return images.to_array(read.expand(-1, 3, -1, -1) * 2 - 1)
