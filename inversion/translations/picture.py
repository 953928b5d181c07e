"""Pictures that are not drawn, as of a turned face."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inversion import images
from inversion.translations.base import InputKind, expect_channels

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.synthetic import Batch


class Picture(InputKind):
    """The encoder reads a picture (1, 3, size, size) in [-1, 1]."""

    label: ClassVar[str] = "Picture"
    empty: ClassVar[str] = "Upload a picture first, paste one, or choose an example."

    def channels(self, classes: int) -> int:
        return 3

    def read(self, picture: NDArray[np.uint8], channels: int, size: int) -> Tensor:
        expect_channels(channels, 3)
        return images.to_tensor(images.fit(Image.fromarray(picture), size))

    def show(self, read: Tensor) -> NDArray[np.uint8]:
        return images.to_array(read)

    def rendered(self, batch: Batch) -> list[NDArray[np.uint8]]:
        return [images.to_array(x) for x in batch.picture]
