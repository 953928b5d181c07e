"""A translation: a drawing, a label map or another view becomes a picture in one pass of an encoder.

A translation is not a task: a sketch is not a linear measurement of the face that it shows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from inversion import images
from inversion.common.errors import UserError
from inversion.common.settings import checked, setting
from inversion.images import Decoded

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.synthetic import Batch

Colour = tuple[int, int, int]  # RGB, 0 to 255
SMALL = 64  # pixels of the shorter side; a smaller input gets a note


class TranslationError(UserError):
    """A translation that is impossible with this model or this drawing; the text says what to do."""


class InputKind(ABC):
    """A kind of input. A page lays out its field by these attributes; encoders get it by `read`."""

    label: ClassVar[str]  # of the field: what to do
    empty: ClassVar[str]  # message if the field is empty: what to do
    upload: ClassVar[str] = "Upload a drawing"  # label of the button that puts a file on the canvas
    colours: ClassVar[tuple[Colour, ...]] = ()  # of the pen, first one first; () for a picture that is not drawn
    pen: ClassVar[int] = 5  # diameter in pixels of a canvas of 512
    has_classes: ClassVar[bool] = False  # True if the colours stand for the classes of a model's encoder

    @property
    def drawn(self) -> bool:
        """Whether the input is drawn: then it is used as it is, without a search for a face."""
        return bool(self.colours)

    def decode(self, source: str | Path | bytes) -> Decoded:
        """A file as the upload that `read` takes, uint8 (H, W, 3), with notes for the user. Raises UserError."""
        decoded = images.decode(source)
        width, height = decoded.picture.size
        if min(width, height) >= SMALL:
            return decoded
        note = f"The picture has only {width}x{height} pixels and is enlarged. Give a larger one if you have it."
        return replace(decoded, notes=(*decoded.notes, note))

    @abstractmethod
    def channels(self, classes: int) -> int:
        """Input channels of an encoder in a domain with this number of classes."""

    @abstractmethod
    def read(self, picture: NDArray[np.uint8], channels: int, size: int) -> Tensor:
        """The encoder's input (1, channels, size, size) from the central square of an upload uint8 (H, W, 3).

        Raises DrawingError for an empty or unreadable drawing, TranslationError for an encoder of another input.
        """

    @abstractmethod
    def show(self, read: Tensor) -> NDArray[np.uint8]:
        """The encoder's input (1, channels, size, size) as a picture uint8 (size, size, 3)."""

    @abstractmethod
    def rendered(self, batch: Batch) -> list[NDArray[np.uint8]]:
        """Uploads uint8 (R, R, 3) that show the pictures of an embedded domain: for examples, benchmarks and tests."""


def expect_channels(channels: int, wanted: int) -> None:
    """Raise TranslationError unless the encoder has the wanted number of input channels."""
    if channels != wanted:
        raise TranslationError(f"The model's encoder reads {channels} channels, not {wanted}. Choose another model.")


@dataclass(frozen=True)
class Translation:
    """One kind of input becomes a picture, in one pass of the encoder `model.encoders[key]`."""

    label: str
    description: str
    takes: str  # key of INPUTS


@dataclass(frozen=True)
class TranslationOptions:
    """The user's choices for a translation. Raises SettingError for values out of range."""

    variations: int = setting(
        1, "Pictures", "Number of pictures: the main result and its variations.", min=1, max=64, step=1
    )
    mix_layers: int = setting(
        7,  # as in the paper; in the embedded generator the layers from here on are colours, too
        "First varied layer",
        "Layers before it keep the shapes of the input.",
        min=0,
        max=18,
        step=1,
    )
    alpha: float = setting(
        1.0, "Strength of variations", "0 repeats the main result, 1 takes random styles.", min=0, max=1, step=0.05
    )
    seed: int = setting(0, "Seed", "Selects the random styles.", min=0, max=2**63 - 1, step=1)
    candidates: int = setting(
        64,
        "Candidates",
        "Random codes per variation; the one with the most similar coarse styles is used. 1: take any random code, as "
        "in the paper.",
        min=1,
        max=64,
        step=1,
    )

    def __post_init__(self) -> None:
        for spec in fields(self):
            object.__setattr__(self, spec.name, checked(spec.metadata["label"], spec, getattr(self, spec.name)))


def square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The central square of uint8 (H, W, 3), not resized."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(picture[top : top + side, left : left + side])
