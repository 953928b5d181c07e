"""Line drawings."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from inversion import images
from inversion.translations import drawings
from inversion.translations.base import Colour, InputKind, expect_channels, square

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.synthetic import Batch


class Lines(InputKind):
    """The encoder reads lines on paper (1, 1, size, size) in [0, 1], 1 is paper."""

    label: ClassVar[str] = "Draw in black, correct in white"
    empty: ClassVar[str] = "The canvas is empty. Draw the outlines, upload a drawing, or choose an example."
    colours: ClassVar[tuple[Colour, ...]] = ((0, 0, 0), (255, 255, 255))

    def channels(self, classes: int) -> int:
        return 1

    def read(self, picture: NDArray[np.uint8], channels: int, size: int) -> Tensor:
        expect_channels(channels, 1)
        grey = np.asarray(Image.fromarray(square(picture)).convert("L"))
        return torch.from_numpy(drawings.lines(grey, size))[None, None]

    def show(self, read: Tensor) -> NDArray[np.uint8]:
        return images.to_array(read.expand(-1, 3, -1, -1) * 2 - 1)

    def rendered(self, batch: Batch) -> list[NDArray[np.uint8]]:
        return [images.to_array(x) for x in batch.sketch.expand(-1, 3, -1, -1)]
