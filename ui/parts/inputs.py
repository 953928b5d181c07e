"""From what the page or an API client hands over to what a request holds; says in plain words what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw

from inversion import align, images
from inversion.common.errors import UserError

NO_PICTURE = "Give a picture first: upload one, paste one, or take an example."
GONE = "The picture is no longer kept here: upload it again."
MOST_LAYERS = 64  # more than any generator has
PART = (512, 512)  # pixels of a mask that is made for a part of the picture
HOLES = {"painted": "Painted", "uploaded": "Uploaded mask", "centre": "Centre", "random": "Random strokes"}


class InputError(UserError):
    """Something is missing or does not fit; the text says what to do."""


@contextmanager
def explained() -> Iterator[None]:
    """Turn the errors that speak to the user into messages on the page. Not to be held open across a yield."""
    try:
        yield
    except UserError as error:
        text = str(error)
        # Gradio shows messages as HTML, and this one may quote the user.
        first = text.split(" ")[0]
        if first.isalpha():  # no name of a setting
            text = first.capitalize() + text[len(first) :]
        raise gr.Error(escape(text), duration=12, print_exception=False) from None


def picture(path: str | None) -> np.ndarray:
    """The uploaded file as uint8 (H, W, 3). Raises InputError or BadImage."""
    if not path:
        raise InputError(NO_PICTURE)
    return np.asarray(images.read(held(path)))


def held(path: str) -> str:
    """The path of an upload, which is deleted after a while. Raises InputError when that has happened."""
    if not Path(path).exists():
        raise InputError(GONE)
    return path


def uploaded_mask(path: str | None, shape: tuple[int, int]) -> np.ndarray:
    """A mask file at the size (H, W) of its picture, uint8, white = hole. Raises InputError or BadImage."""
    if not path:
        raise InputError("Upload a mask (white marks the hole), or choose another kind of hole.")
    return images.read_mask(path, shape)


def hole(
    kind: str, painted: np.ndarray, mask_path: str | None, seed: int, quad: align.Quad | None = None
) -> np.ndarray:
    """The mask that the user chose, uint8 like `painted`, white = hole. Raises InputError if empty or full.

    quad: the part of the picture that is used, None for its central square.
    """
    shape = (painted.shape[0], painted.shape[1])
    if kind == "uploaded":
        mask = uploaded_mask(mask_path and held(mask_path), shape)
    elif kind in ("centre", "random"):
        mask = preset(kind, shape, seed) if quad is None else align.spread_mask(preset(kind, PART, seed), quad, shape)
    else:
        mask = painted
    if quad is None:
        side = min(shape)
        top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
        used = mask[top : top + side, left : left + side]
    else:
        used = align.cut_mask(mask, quad, PART[0])
    if not used.any():
        raise InputError("The mask is empty: paint over the part to fill, or choose another kind of hole.")
    if used.all():
        raise InputError("The mask covers the whole picture: leave some of it to fill from.")
    return mask


def preset(kind: str, shape: tuple[int, int], seed: int) -> np.ndarray:
    """A square in the middle or random brush strokes inside the central square; uint8 (H, W), white = hole."""
    page = Image.new("L", (shape[1], shape[0]))
    draw = ImageDraw.Draw(page)
    side = min(shape)
    left, top = (shape[1] - side) / 2, (shape[0] - side) / 2
    if kind == "centre":
        draw.rectangle((left + side * 0.3, top + side * 0.3, left + side * 0.7, top + side * 0.7), fill=255)
        return np.asarray(page)
    rng = np.random.default_rng(seed)
    for _ in range(4):
        points = [(left + side * x, top + side * y) for x, y in rng.uniform(0.1, 0.9, (4, 2))]
        draw.line(points, fill=255, width=max(2, round(side * 0.09)), joint="curve")
    return np.asarray(page)


def whole(value: float | None, name: str, low: int = 0, high: int = 2**31 - 1) -> int:
    """A whole number between low and high, or InputError naming the control."""
    if value is None or value != value or not float(value).is_integer() or not low <= value <= high:
        raise InputError(f"{name} must be a whole number between {low} and {high}.")
    return int(value)


def number(value: float | None, name: str, low: float, high: float) -> float:
    """A number between low and high, or InputError naming the control."""
    if value is None or not low <= value <= high:  # also refuses nan
        raise InputError(f"{name} must be a number between {low:g} and {high:g}.")
    return float(value)
