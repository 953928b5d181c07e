"""Masks of a task: painted, uploaded, or drawn by the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from inversion import align, images
from ui.parts.inputs import InputError, existing

SIDE = 512  # pixels of a mask that is drawn for a crop of the picture


@dataclass(frozen=True)
class Source:
    """Where a mask comes from. draw: draws it in a square of a page, given by left, top and side; None if users do."""

    label: str
    draw: Callable[[ImageDraw.ImageDraw, float, float, float, np.random.Generator], None] | None = None


@dataclass(frozen=True)
class MaskFile:
    """An uploaded mask. invert: the other part is marked. Facts about it are added to `notes`, for the user."""

    path: str | None
    invert: bool = False
    notes: list[str] = field(default_factory=list)


def chosen_mask(
    source: str, painted: np.ndarray, file: MaskFile, seed: int, quad: align.Quad | None = None
) -> np.ndarray:
    """The mask from this source, uint8 like `painted`, white = marked. Raises InputError if it is empty or full.

    quad: the part of the picture that is used, None for its central square.
    """
    shape = (painted.shape[0], painted.shape[1])
    if source == FILE:
        mask = uploaded_mask(file, shape)
    elif SOURCES[source].draw is not None:
        drawn = drawn_mask(source, shape if quad is None else (SIDE, SIDE), seed)
        mask = drawn if quad is None else align.spread_mask(drawn, quad, shape)
    else:
        mask = painted
    if quad is None:
        side = min(shape)
        top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
        used = mask[top : top + side, left : left + side]
    else:
        used = align.cut_mask(mask, quad, SIDE)
    if not used.any():
        if mask.any():
            raise InputError("The mask lies outside the part of the picture that is used. Move the crop or the mask.")
        raise InputError("The mask is empty. Paint over a part of the picture, or choose another kind of mask.")
    if used.all():
        raise InputError("The mask covers the whole part of the picture that is used. Leave a part of it free.")
    return mask


def uploaded_mask(file: MaskFile, shape: tuple[int, int] | None) -> np.ndarray:
    """A mask file at the size (H, W) of its picture, uint8, white = marked. Raises InputError or BadImage."""
    if not file.path:
        raise InputError("Upload a picture that is white where the mask applies, or choose another kind of mask.")
    mask = images.decode_mask(existing(file.path), shape, invert=file.invert)
    file.notes.extend(mask.notes)
    return mask.pixels


def mask_note(path: str, shape: tuple[int, int] | None, invert: bool) -> str:
    """How a mask file is read, and its share of the picture, as plain text. Raises InputError or BadImage."""
    file = MaskFile(path, invert)
    share = float((uploaded_mask(file, shape) > 0).mean())
    more = "" if share <= 0.5 else ", more than half. Is it inverted?"
    return " ".join([*file.notes, f"The mask marks {100 * share:.0f} % of the picture{more or '.'}"])


def drawn_mask(source: str, shape: tuple[int, int], seed: int) -> np.ndarray:
    """The mask that a source of `SOURCES` draws in the central square; uint8 (H, W), white = marked."""
    page = Image.new("L", (shape[1], shape[0]))
    side, draw = min(shape), SOURCES[source].draw
    if draw is not None:
        rng = np.random.default_rng(seed)
        draw(ImageDraw.Draw(page), (shape[1] - side) / 2, (shape[0] - side) / 2, side, rng)
    return np.asarray(page)


def _square(draw: ImageDraw.ImageDraw, left: float, top: float, side: float, rng: np.random.Generator) -> None:
    """A square in the middle."""
    draw.rectangle((left + side * 0.3, top + side * 0.3, left + side * 0.7, top + side * 0.7), fill=255)


def _strokes(draw: ImageDraw.ImageDraw, left: float, top: float, side: float, rng: np.random.Generator) -> None:
    """Brush strokes."""
    for _ in range(4):
        points = [(left + side * x, top + side * y) for x, y in rng.uniform(0.1, 0.9, (4, 2))]
        draw.line(points, fill=255, width=max(2, round(side * 0.09)), joint="curve")


PAINTED, FILE = "painted", "mask"  # sources that need the user
SOURCES: dict[str, Source] = {
    PAINTED: Source("Painted"),
    FILE: Source("Uploaded mask"),
    "centre": Source("Centre", _square),
    "random": Source("Random strokes", _strokes),
}
