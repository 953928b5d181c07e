"""Masks of a task: painted, uploaded, or drawn by the page."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from inversion import align, images
from inversion.images.drawn import DRAWN_MASKS, drawn_mask
from ui.parts.inputs import InputError, existing

SIDE = 512  # pixels of a mask that is drawn for a crop of the picture
CHECKED = 256  # pixels of the crop in which a hole is looked for; a smaller side is faster


@dataclass(frozen=True)
class Source:
    """Where a mask comes from. drawn: it is one of DRAWN_MASKS, not the user's."""

    label: str
    drawn: bool = False


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
    elif SOURCES[source].drawn:
        drawn = drawn_mask(source, shape if quad is None else (SIDE, SIDE), seed)
        mask = drawn if quad is None else align.spread_mask(drawn, quad, shape)
    else:
        mask = painted
    if quad is None:
        side = min(shape)
        top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
        used = mask[top : top + side, left : left + side]
    else:
        used = align.cut_mask(mask, quad, CHECKED)
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


PAINTED, FILE = "painted", "mask"  # sources that need the user
SOURCES: dict[str, Source] = {
    PAINTED: Source("Painted"),
    FILE: Source("Mask file"),
    **{key: Source(mask.label, drawn=True) for key, mask in DRAWN_MASKS.items()},
}
