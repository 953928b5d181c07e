"""Limits of an edit: the region of the picture that it may change, and how far it may go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from inversion import align, images
from inversion.align import Crop
from inversion.common.settings import SettingError

FEATHER = 32  # the soft edge is this part of the picture's side
HALVINGS = 7  # of the strength, until its limit is known to 1/128

T = TypeVar("T")


def region_of(mask: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """The part of a mask uint8 (H, W) that lies in a crop of its picture: uint8 (size, size), 255 = marked, else 0.

    Raises SettingError if nothing is marked there.
    """
    cut = mask if crop.quad is None else align.cut_mask(mask, crop.quad, size)
    region = np.where(images.known_pixels(cut, size)[0, 0].numpy() > 0, 0, 255).astype(np.uint8)
    if not region.any():
        raise SettingError("The mask marks nothing in the part of the picture that is used. Mark a region inside it.")
    return region


def feathered(mask: np.ndarray) -> np.ndarray:
    """Weights in [0, 1], float32, of a mask uint8 (R, R): 0 outside of it, and a smooth rise to 1 inside of its edge.

    The rise is side / FEATHER wide, less in a region that is thinner than that.
    """
    import cv2

    inside = (mask >= 128).astype(np.uint8)
    if inside.all():
        return np.ones(mask.shape, np.float32)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    width = min(mask.shape[0] / FEATHER, float(distance.max()))
    rise = np.clip(distance / max(width, 1.0), 0, 1)
    weights: np.ndarray = (rise * rise * (3 - 2 * rise)).astype(np.float32)
    return weights


def blended(after: np.ndarray, before: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`after` inside of the mask, `before` outside of it, with a soft edge; pictures uint8 (R, R, 3), mask (R, R).

    Pixels outside of the mask are equal to `before`. Raises SettingError for a mask of another size.
    """
    if mask.shape != before.shape[:2]:
        raise SettingError(f"The mask must have the size of the picture, {before.shape[:2]}, not {mask.shape}.")
    weights = feathered(mask)[..., None]
    return np.rint(before + weights * (after.astype(np.float32) - before)).astype(np.uint8)


def limited(make: Callable[[float], T], allowed: Callable[[T], bool]) -> T | None:
    """The largest part in [0, 1] of an edit that is allowed, by bisection, as `make` gives it; None if no part is.

    A stricter limit never gives a larger part.
    """
    whole = make(1.0)
    if allowed(whole):
        return whole
    low, high, found = 0.0, 1.0, None
    for _ in range(HALVINGS):
        part = (low + high) / 2
        made = make(part)
        if allowed(made):
            low, found = part, made
        else:
            high = part
    return found
