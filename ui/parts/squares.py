"""Squares on a picture: the user's choice, the resulting crop, and one line about it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast, get_args

import numpy as np

from inversion import align
from inversion.align import ESTIMATED_NOTE, FRAMED_NOTE, Crop, CropMode, Face, Point, Quad
from inversion.checkpoints import photo
from inversion.checkpoints.registry import Entry, registry
from inversion.serving.runs import picture_digest
from inversion.serving.session import Session
from ui.parts.inputs import InputError, whole

MAX_FACES = 99
BAD_SQUARE = "The square on the picture could not be read. Press Reset and place it again."
CENTRE = "The centre of the picture is used. Drag the square to use another part."
NO_FACE = "No face was found, so the centre is used. Drag the square onto the face, or click its eyes and mouth."
ALIGNED = "The face is aligned already, so the whole picture is used."
FOUND = "Face found."
ESTIMATED = "Only the outline of this face was found: drag the square if it does not fit, or click its eyes and mouth."
BY_HAND = "Your own square is used."
CUT = "The border cuts the square: use a photo with more space around the head if you have one."
FITS = "Drag the square if it does not fit."


@dataclass(frozen=True)
class Choice:
    """The user's choice for one picture.

    how: where the square comes from without a correction. face: which face, 1 for the largest. hand: a square as
    (x, y, side, turn), see `align.by_hand`. points: the eye on the left, the eye on the right and the mouth, 0 to 1 of
    width and height. hand and points are corrections, and at most one of them is not None. quad: the square of an
    earlier run, to the last bit; it comes first.
    """

    how: CropMode = "auto"
    face: int = 1
    hand: tuple[float, ...] | None = None
    points: tuple[Point, ...] | None = None
    quad: Quad | None = None


def read_choice(value: object, picture: np.ndarray) -> Choice:
    """The choice in the value of the page's component. Raises InputError if it is not a choice.

    All but `how` is left out if it is for another picture than uint8 (H, W, 3).
    """
    given = value if isinstance(value, Mapping) else {}
    how = given.get("how") or "auto"
    if how not in get_args(CropMode):
        raise InputError(BAD_SQUARE)
    mode = cast(CropMode, how)
    if given.get("of") != picture_digest(picture):
        return Choice(mode)
    points = given.get("points")
    try:
        return Choice(
            mode,
            whole(given.get("face", 1), "The face", 1, MAX_FACES),
            _numbers(given.get("hand"), 4),
            None if points is None else tuple(_point(point) for point in points),
            _quad(given.get("quad")),
        )
    except (TypeError, ValueError):
        raise InputError(BAD_SQUARE) from None


def chosen_crop(session: Session, picture: np.ndarray, model: str, choice: Choice) -> Crop:
    """The chosen part of uint8 (H, W, 3). Raises UserError."""
    if choice.quad is not None:
        _check_square(choice.quad, _size(picture))
        return _earlier_crop(session, picture, model, choice)
    if choice.hand is not None:
        x, y, side, turn = choice.hand
        return align.by_hand(_size(picture), x, y, side, turn)
    if choice.points is not None:
        return by_points(picture, choice.points, registry().get(model))
    return session.crop(picture, model, choice.how, choice.face)


def _earlier_crop(session: Session, picture: np.ndarray, model: str, choice: Choice) -> Crop:
    """The crop with the chosen quad; that of a face, with what is known of it if it is found again."""
    quad = choice.quad
    if choice.how != "face" or quad is None:
        return Crop("hand", quad)
    found = session.crop(picture, model)
    number = found.faces.index(quad) + 1 if quad in found.faces else 0
    if found.quad == quad or not number:
        return found if found.quad == quad else Crop("face", quad)
    return session.crop(picture, model, face=number)


def by_points(picture: np.ndarray, points: Sequence[Point], entry: Entry | None) -> Crop:
    """The crop for a model of the face in uint8 (H, W, 3) whose left eye, right eye and mouth were clicked.

    points: in that order, 0 to 1 of width and height. Raises UserError.
    """
    if len(points) != 3:
        raise InputError("Click the eye on the left, the eye on the right, and the mouth.")
    width, height = _size(picture)
    left, right, mouth = ((x * width, y * height) for x, y in points)
    nose = ((left[0] + right[0] + mouth[0]) / 3, (left[1] + right[1] + mouth[1]) / 3)
    quad = align.quad_of(Face(left, right, nose, mouth, mouth), "ffhq" if entry is None else entry.crop)
    return align.by_hand((width, height), *square_on(quad, (width, height)))


def square_on(quad: Quad | None, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """(x, y, side, turn) as `align.by_hand` takes them for a picture of `size` (W, H); None is the central square."""
    if quad is None:
        return 0.5, 0.5, 1.0, 0.0
    x, y = np.array(quad).mean(axis=0) / size
    side = align.side_of(quad) / min(size)
    return float(np.clip(x, 0, 1)), float(np.clip(y, 0, 1)), float(np.clip(side, 0.02, 2)), photo.turn_of(quad)


def line_about(crop: Crop, picture: np.ndarray, entry: Entry | None) -> str:
    """One line about the crop of uint8 (H, W, 3) for a model: the result, the main problem, and the remedy."""
    faces = entry is not None and entry.crop != "none"
    if crop.quad is None:
        if crop.note == FRAMED_NOTE:
            return ALIGNED
        return NO_FACE if crop.note else CENTRE
    if not faces and crop.how != "face":
        return BY_HAND
    start = FOUND if crop.how == "face" else BY_HAND
    notes = photo.notes(picture, crop.quad, 0 if entry is None else entry.resolution)
    if leaves(crop.quad, _size(picture)):
        notes = [CUT, *notes]
    if len(crop.faces) > 1:
        start = f"{len(crop.faces)} faces found."
    advice = ESTIMATED if ESTIMATED_NOTE in crop.note else FITS if crop.how == "face" else ""
    return f"{start} {notes[0] if notes else advice}".strip()


def leaves(quad: Quad, size: tuple[int, int]) -> bool:
    """Whether the square lies outside a picture of `size` (W, H) by more than 5 % of its side."""
    corners = np.array(quad)
    outside = max(-corners.min(), *(corners.max(axis=0) - size))
    return bool(outside > align.ALIGNED * align.side_of(quad))


def _check_square(quad: Quad, size: tuple[int, int]) -> None:
    """Raises InputError unless the quad is a square that `align.by_hand` could have made in a picture of `size`."""
    corners = np.array(quad)
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1) / min(size)
    x, y = corners.mean(axis=0) / size
    if not (0 <= x <= 1 and 0 <= y <= 1 and 0.02 <= sides.mean() <= 2 and np.ptp(sides) < 0.01 * sides.mean()):
        raise InputError(BAD_SQUARE)


def _size(picture: np.ndarray) -> tuple[int, int]:
    return picture.shape[1], picture.shape[0]


def _numbers(value: object, length: int) -> tuple[float, ...] | None:
    """So many finite numbers, or None for None. Raises ValueError or TypeError."""
    if value is None:
        return None
    numbers = tuple(float(number) for number in value)  # type: ignore[attr-defined]
    if len(numbers) != length or not all(map(math.isfinite, numbers)):
        raise ValueError("not a list of finite numbers")
    return numbers


def _point(value: object) -> Point:
    x, y = _numbers(value, 2) or ()
    return x, y


def _quad(value: object) -> Quad | None:
    """Four corners, or None for None. Raises ValueError or TypeError."""
    if value is None:
        return None
    first, second, third, fourth = (_point(point) for point in value)  # type: ignore[attr-defined]
    return first, second, third, fourth
