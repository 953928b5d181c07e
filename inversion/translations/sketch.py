"""Line drawings to faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from inversion import images
from inversion.translations.base import Translation, square
from inversion.translations.drawings import lines


@dataclass(frozen=True)
class Sketch(Translation):
    """Lines on paper, one channel in [0, 1]."""

    name: ClassVar[str] = "sketch"
    label: ClassVar[str] = "Sketch to face"
    description: ClassVar[str] = "Draw the outlines of a face; any pen and any paper will do."
    takes: ClassVar[Literal["lines", "map", "picture"]] = "lines"

    def read(self, picture: NDArray[np.uint8], channels: int, size: int) -> Tensor:
        self.expect(channels, 1)
        grey = np.asarray(Image.fromarray(square(picture)).convert("L"))
        return torch.from_numpy(lines(grey, size))[None, None]

    def show(self, read: Tensor) -> NDArray[np.uint8]:
        return images.to_array(read.expand(-1, 3, -1, -1) * 2 - 1)
