"""Masks that are drawn, for users without a mask of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

Draw = Callable[[ImageDraw.ImageDraw, float, float, float, np.random.Generator], None]  # page, left, top, side


class DrawnMask(NamedTuple):
    """A kind of mask. draw: draws it in a square of a page, given by left, top and side."""

    label: str
    draw: Draw


def drawn_mask(kind: str, shape: tuple[int, int], seed: int) -> np.ndarray:
    """The mask of a key of DRAWN_MASKS in the central square; uint8 (H, W), white = marked."""
    page = Image.new("L", (shape[1], shape[0]))
    side, rng = min(shape), np.random.default_rng(seed)
    left, top = (shape[1] - side) / 2, (shape[0] - side) / 2
    DRAWN_MASKS[kind].draw(ImageDraw.Draw(page), left, top, side, rng)
    return np.asarray(page)


def _square(draw: ImageDraw.ImageDraw, left: float, top: float, side: float, rng: np.random.Generator) -> None:
    """A square in the middle."""
    draw.rectangle((left + side * 0.3, top + side * 0.3, left + side * 0.7, top + side * 0.7), fill=255)


def _strokes(draw: ImageDraw.ImageDraw, left: float, top: float, side: float, rng: np.random.Generator) -> None:
    """Brush strokes."""
    for _ in range(4):
        points = [(left + side * x, top + side * y) for x, y in rng.uniform(0.1, 0.9, (4, 2))]
        draw.line(points, fill=255, width=max(2, round(side * 0.09)), joint="curve")


DRAWN_MASKS: dict[str, DrawnMask] = {
    "centre": DrawnMask("Centre", _square),
    "random": DrawnMask("Random strokes", _strokes),
}
