"""Drawings as encoders were trained to see them: lines of one width, maps of whole classes.

People draw with thick and thin pens, on a canvas or on paper that a phone took a picture of; an encoder has seen one
kind of line only. So both the training and the app pass every drawing through here.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from inversion.tasks.base import TaskError

# Colours of classes 0, 1, ... of a label map; white, the empty canvas, is class 0. They lie near the surface of a
# rounded cube, so that no mixture of two, as on smoothed edges, comes within 47 units of a third.
PALETTE: tuple[tuple[int, int, int], ...] = (
    (255, 255, 255),
    (89, 0, 178),
    (248, 116, 24),
    (215, 198, 3),
    (255, 116, 136),
    (151, 157, 255),
    (172, 0, 73),
    (61, 192, 254),
    (86, 0, 67),
    (0, 113, 91),
    (110, 81, 0),
    (175, 34, 251),
    (193, 255, 83),
    (13, 137, 15),
    (219, 3, 190),
    (37, 252, 64),
    (0, 193, 163),
    (83, 255, 168),
    (83, 214, 2),
)
PURE = 24.0  # distance to a colour of the palette up to which a pixel is that colour, and no mixture
LINE = 1.7 / 128  # width of a line as encoders see it, as part of the side: wider ones run together in an eye
FAINTEST = 14  # of 255: what differs less from the paper is no line
BARE, QUANTILE = 0.3, 0.385  # part of a drawing that surely is paper; N(0, 1) has 30 % within this of 0
MAP_SIDE = 512  # label maps are read at no more pixels than this


class DrawingError(TaskError):
    """A drawing that says nothing; the text tells what to draw."""


def lines(grey: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Lines of a drawing (S, S), dark on light or light on dark, cleaned (size, size): 1 paper, 0 the blackest ink.

    What is paper is found around every pixel, so uneven light drops out; pens of any width and grey come out alike.
    Raises DrawingError where there is no line.
    """
    work = 2 * size
    shrinks = grey.shape[0] > work
    small = cv2.resize(grey, (work, work), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    off = cv2.medianBlur(small, work // 6 | 1).astype(np.float32) - small
    # Lines differ from the paper around them in one sense only; which one, the squares say.
    light = np.square(off.clip(0)).sum() >= np.square(off.clip(None, 0)).sum()
    page = cv2.GaussianBlur(small if light else 255 - small, (0, 0), 0.7)
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (work // 6 | 1, work // 6 | 1))
    paper = cv2.blur(cv2.morphologyEx(page, cv2.MORPH_CLOSE, window), (work // 6 | 1, work // 6 | 1))
    ink = paper.astype(np.float32) - page
    ink -= np.quantile(ink, BARE)  # the grain of the paper: closing finds its brightest spots
    noise = float(np.quantile(np.abs(ink), BARE)) / QUANTILE
    top = float(np.quantile(ink, 0.998))
    if top < max(FAINTEST, 6 * noise):
        raise DrawingError("there is no line to be seen: draw the outlines of a face first")
    ink = ((ink - 3 * noise) / (top - 3 * noise)).clip(0, 1)
    return 1 - _resized(_one_width(ink, LINE * work), size)


def _one_width(ink: NDArray[np.float32], wanted: float) -> NDArray[np.float32]:
    """Ink (S, S) whose lines are about `wanted` pixels wide: shaved or widened by what most of them differ."""
    mask = (ink > 0.5).astype(np.uint8)
    middle = skeletonize(mask.astype(bool))
    width = 2 * float(np.median(cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5)[middle])) - 1
    r = round((width - wanted) / 2)
    if r == 0:
        return ink
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(r) + 1, 2 * abs(r) + 1))
    if r < 0:
        return np.asarray(cv2.dilate(ink, disc), np.float32)
    away = cv2.distanceTransform((~middle).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    spared = (wanted / 2 + 0.5 - away).clip(0, 1) * ink  # the middle of lines too thin to be shaved
    return np.maximum(cv2.erode(ink, disc), spared)


def classes(picture: NDArray[np.uint8], count: int, size: int) -> NDArray[np.int64]:
    """Class indices (size, size) of a label map in the first `count` colours of the palette, uint8 (S, S, 3).

    A pixel that is none of the colours, as on a smoothed edge, takes the class of the nearest pixel that is one: the
    nearest colour would be a third class's. Raises DrawingError for an empty canvas and for other pictures.
    """
    side = min(MAP_SIDE, picture.shape[0])
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_NEAREST)
    colours = np.asarray(PALETTE[:count], np.float32)
    flat = small.reshape(-1, 3).astype(np.float32)
    # |a - b|^2 = |a|^2 - 2ab + |b|^2, of all pixels and colours at once: (S S, count)
    distance = np.square(flat).sum(axis=1)[:, None] - 2 * flat @ colours.T + np.square(colours).sum(axis=1)
    nearest, pure = distance.argmin(axis=1), distance.min(axis=1) <= PURE**2
    painted = (nearest > 0) | ~pure
    if not painted.any():
        raise DrawingError("the canvas is empty: paint the parts of a face first")
    if pure[painted].mean() < 0.3:
        raise DrawingError("the picture is no label map: paint it in the colours of the palette")
    labels = nearest.reshape(side, side)[_nearest_of(pure.reshape(side, side))]
    cover = np.stack([_resized((labels == i).astype(np.float32), size) for i in range(count)])
    return cover.argmax(axis=0)


def _nearest_of(chosen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], ...]:
    """For every pixel, row and column of the nearest chosen one."""
    _, marks = cv2.distanceTransformWithLabels(
        (~chosen).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(chosen)
    of_mark = np.zeros((marks.max() + 1, 2), np.int64)
    of_mark[marks[rows, columns]] = np.stack([rows, columns], axis=1)
    found = of_mark[marks]
    return found[..., 0], found[..., 1]


def _resized(plane: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """A plane at another size: means over areas, or repeated pixels where it was smaller."""
    smaller = plane.shape[0] >= size
    made = cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_NEAREST)
    return made.astype(np.float32)
