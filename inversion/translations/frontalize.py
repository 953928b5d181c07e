"""Turned faces to the same faces from the front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from inversion import images
from inversion.translations.base import Translation


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
