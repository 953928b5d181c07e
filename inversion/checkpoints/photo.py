"""Notes for the user about a face in a photo, before a run: one line per problem, with what to do."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from inversion.align import Quad, cut, side_of

SMALL = 1 / 3  # of the model's resolution: a smaller face gets a note
TURNED = 25.0  # degrees in the plane of the picture
BLURRED = 0.2  # `sharpness` below which a face gets a note: sharp renders have 0.8 to 1.6, a sharp photo 0.7
SIDE = 96  # pixels of the crop whose sharpness is measured


def notes(picture: np.ndarray, quad: Quad, resolution: int) -> list[str]:
    """Lines about the face in this square of a picture uint8 (H, W, 3). resolution: of the model; 0 for no lines."""
    if not resolution:
        return []
    lines = []
    side, turn = side_of(quad), turn_of(quad)
    if side < SMALL * resolution:
        lines.append(
            f"The face is small: its square has {side:.0f} pixels a side, and the model draws {resolution}. "
            "Use a larger photo if you have one."
        )
    elif sharpness(picture, quad) < BLURRED:
        lines.append("The face is blurred. Use a sharper photo if you have one.")
    if abs(turn) > TURNED:
        lines.append(f"The face is turned by {abs(turn):.0f} degrees, and the crop turns with it. Check the crop.")
    return lines


def turn_of(quad: Quad) -> float:
    """Degrees clockwise by which the square is turned, -180 to 180."""
    return math.degrees(math.atan2(quad[3][1] - quad[0][1], quad[3][0] - quad[0][0]))


def sharpness(picture: np.ndarray, quad: Quad) -> float:
    """Deviation of the Laplacian relative to that of the grey levels, in the middle of the crop; 0 for a flat area.

    picture: uint8 (H, W, 3).
    """
    crop = Image.fromarray(cut(picture, quad, SIDE)).convert("L")
    grey = np.asarray(crop, np.float64)[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4]
    laplacian = grey[2:, 1:-1] + grey[:-2, 1:-1] + grey[1:-1, 2:] + grey[1:-1, :-2] - 4 * grey[1:-1, 1:-1]
    return float(laplacian.std() / max(grey.std(), 1.0))
