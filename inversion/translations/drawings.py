"""Drawings as encoders were trained to see them: lines of one width, and maps of whole classes.

People draw with thick and thin pens, on a canvas or on photographed paper, but encoders were trained on lines of one
kind. Training and app therefore normalise every drawing here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inversion.translations.base import Colour, TranslationError

# Colours of the classes 0, 1, ... of a label map; class 0 is white, the empty canvas. They lie near the surface of a
# rounded cube, so that every mixture of two, as on smoothed edges, is at least 47 units away from a third.
PALETTE: tuple[Colour, ...] = (
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
# The colours that CelebAMask-HQ (Lee et al. 2020) and its parsers give the same 19 classes.
CELEBA_PALETTE: tuple[tuple[int, int, int], ...] = (
    (0, 0, 0),
    (204, 0, 0),
    (76, 153, 0),
    (204, 204, 0),
    (51, 51, 255),
    (204, 0, 204),
    (0, 255, 255),
    (255, 204, 204),
    (102, 51, 0),
    (255, 0, 0),
    (102, 204, 0),
    (255, 255, 0),
    (0, 0, 153),
    (0, 0, 204),
    (255, 51, 153),
    (0, 204, 204),
    (0, 51, 0),
    (255, 153, 51),
    (0, 204, 0),
)
MIXTURE = (128, 128, 128)  # stands for colours of no class; it is far from all of PALETTE
BLANK = 255  # a grey value that stands for no class, in maps of class numbers
DEEPER = (256, 257)  # factors by which programs enlarge values of 8 bits to 16
STRAY = 0.002  # part of a map that may have colours beyond the last class
MAPPED = 0.5  # part of what is painted on a map that must have the colours of a palette
TIGHT = 12.0  # as PURE, for CELEBA_PALETTE
FEW = 64  # numbers of a map of classes; COCO-Stuff has 182 classes, but a picture shows few of them
PURE = 24.0  # largest distance between a pixel of a class and its colour; pixels further away are mixtures
LINE = 1.7 / 128  # width of lines in training data as a fraction of the side; wider lines of an eye would merge
FAINTEST = 14  # smallest contrast of the darkest lines, of 255
BARE, QUANTILE = 0.3, 0.385  # fraction of a drawing that is surely paper; 30 % of N(0, 1) lie within +-0.385
EDGES = 0.9  # fraction of a picture whose gradients are too small to start an edge
REGION = 7  # side in pixels from which a part of a map is no edge
MAP_SIDE = 512  # larger label maps are shrunk to this side, in pixels


class DrawingError(TranslationError):
    """An empty or unreadable drawing; the text says what to draw."""


def lines(grey: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """The lines of a drawing uint8 (S, S) in one width, float32 (size, size): 1 is paper, 0 the darkest ink.

    The drawing is dark on light or light on dark. The brightness of the paper is estimated around every pixel, which
    removes uneven light. Raises DrawingError if there is no line.
    """
    import cv2

    work = 2 * size
    shrinks = grey.shape[0] > work
    small = cv2.resize(grey, (work, work), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    off = cv2.medianBlur(small, work // 6 | 1).astype(np.float32) - small
    # Lines are either darker or lighter than the paper: the sign with the larger sum of squares.
    light = np.square(off.clip(0)).sum() >= np.square(off.clip(None, 0)).sum()
    page = cv2.GaussianBlur(small if light else 255 - small, (0, 0), 0.7)
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (work // 6 | 1, work // 6 | 1))
    paper = cv2.blur(cv2.morphologyEx(page, cv2.MORPH_CLOSE, window), (work // 6 | 1, work // 6 | 1))
    ink = paper.astype(np.float32) - page
    ink -= np.quantile(ink, BARE)  # the grain of the paper: closing selects the brightest spots
    noise = float(np.quantile(np.abs(ink), BARE)) / QUANTILE
    top = float(np.quantile(ink, 0.998))
    if top < max(FAINTEST, 6 * noise):
        raise DrawingError(
            "No lines are visible. Draw the outlines, or upload a drawing: lines on plain paper, not a photo."
        )
    ink = ((ink - 3 * noise) / (top - 3 * noise)).clip(0, 1)
    return 1 - _resized(_one_width(ink, LINE * work), size)


def edges(grey: NDArray[np.uint8], blur: float = 1.5) -> NDArray[np.uint8]:
    """A drawing uint8 (S, S), black on white, of the edges of a picture (Canny 1986).

    blur: standard deviation in pixels of a picture of 256; a larger one leaves out fine edges.
    """
    import cv2

    smooth = cv2.GaussianBlur(grey, (0, 0), blur * grey.shape[0] / 256)
    dx, dy = (cv2.Sobel(smooth, cv2.CV_16S, *order) for order in ((1, 0), (0, 1)))
    strong = float(np.quantile(np.hypot(dx, dy), EDGES))
    return np.asarray(255 - cv2.Canny(dx, dy, strong / 3, max(strong, 1.0), L2gradient=True), np.uint8)


def _one_width(ink: NDArray[np.float32], wanted: float) -> NDArray[np.float32]:
    """Ink (S, S) in [0, 1] with lines about `wanted` pixels wide: eroded or dilated by the median difference."""
    import cv2
    from skimage.morphology import skeletonize

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
    kept = (wanted / 2 + 0.5 - away).clip(0, 1) * ink  # the middle of lines that erosion would remove
    return np.maximum(cv2.erode(ink, disc), kept)


def in_palette(
    picture: NDArray[np.uint8], indices: NDArray[np.uint8 | np.uint16] | None = None
) -> tuple[NDArray[np.uint8], str]:
    """A label map uint8 (H, W, 3) in the colours of PALETTE, and a sentence on how it was read, "" if as it is.

    Read are class numbers as grey values, the colours of CELEBA_PALETTE, and `indices` (H, W) of another palette, or of
    16 bits. Other pictures are returned as they are. Raises DrawingError for a number of no class.
    """
    whole, step = picture, max(1, max(picture.shape) // MAP_SIDE)  # `classes` shrinks large maps, too
    picture = picture[::step, ::step]
    indices = None if indices is None else indices[::step, ::step]
    if indices is not None and indices.max() > BLANK and all((indices % scale).any() for scale in DEEPER):
        _check_numbers(indices)
    grey, last = picture[..., 0], len(PALETTE) - 1
    if (picture == grey[..., None]).all() and ((grey <= last) | (grey == BLANK)).all() and (grey % BLANK).any():
        blank, note = grey == BLANK, "The grey values of the map were read as class numbers."
        if blank.any():
            note = "The grey values of the map were read as class numbers, and 255 as background."
        return _in_colours(np.where(blank, 0, grey)), note
    flat = picture.reshape(-1, 3).astype(np.float32)
    pure, nearest, share = _fitting(flat, CELEBA_PALETTE, TIGHT)
    *_, own = _fitting(flat, PALETTE, PURE)
    if share >= MAPPED and share > own:
        if not pure.all():  # smoothed edges, where mixtures of two colours look like a third
            pure = _solid(np.where(pure, nearest, -1).reshape(picture.shape[:2])).ravel()
        coloured = np.where(pure[:, None], np.asarray(PALETTE, np.uint8)[nearest], np.asarray(MIXTURE, np.uint8))
        return coloured.reshape(picture.shape), "The map was read in the colours of CelebAMask-HQ."
    if indices is not None and 0 < indices.max() <= last and own < MAPPED:
        return _in_colours(indices), "The map was read by the numbers of its palette."
    numbers = grey if (picture == grey[..., None]).all() else indices
    if numbers is not None and max(own, share) < MAPPED:
        _check_numbers(numbers)
    return whole, ""


def unknown_share(picture: NDArray[np.uint8]) -> float:
    """The part of a map uint8 (H, W, 3) in regions whose colours are not in PALETTE; edges do not count."""
    import cv2

    step = max(1, max(picture.shape) // MAP_SIDE)
    small = picture[::step, ::step]
    distance, _ = _distances(small.reshape(-1, 3).astype(np.float32), PALETTE)
    mixed = (distance > PURE**2).reshape(small.shape[:2]).astype(np.uint8)
    return float(cv2.erode(mixed, np.ones((REGION, REGION), np.uint8)).mean())


def _check_numbers(numbers: NDArray[np.uint8 | np.uint16]) -> None:
    """Raise DrawingError for a map of class numbers (H, W) with a number of no class; a photo has more numbers."""
    found, counts = np.unique(numbers, return_counts=True)
    beyond = (found >= len(PALETTE)) & (found != BLANK)
    if len(found) <= FEW and beyond.any():
        worst = found[beyond][counts[beyond].argmax()]
        raise DrawingError(
            f"The map has the number {worst}, which is no class. The classes of a map are its grey values or the "
            f"numbers of its palette, from 0 to at most {len(PALETTE) - 1}, in the order of the model's colours. "
            "Change the numbers, or paint the parts in the colours of the palette."
        )


def _fitting(
    flat: NDArray[np.float32], palette: Sequence[tuple[int, int, int]], within: float
) -> tuple[NDArray[np.bool_], NDArray[np.int64], float]:
    """Whether pixels (N, 3) have a colour of a palette, the number of the nearest one, and the share that have one.

    Pixels of class 0 are left out of the share: many palettes have a black or a white background.
    """
    distance, nearest = _distances(flat, palette)
    pure = distance <= within**2
    painted = ~pure | (nearest > 0)
    return pure, nearest, float(pure[painted].mean()) if painted.any() else 0.0


def _solid(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Pixels of (H, W) in a block of 2x2 pixels with one label that is not negative."""
    block = (labels[:-1, :-1] >= 0) & (labels[:-1, :-1] == labels[1:, 1:])
    block &= (labels[:-1, :-1] == labels[1:, :-1]) & (labels[:-1, :-1] == labels[:-1, 1:])
    solid = np.zeros(labels.shape, bool)
    for rows in (slice(0, -1), slice(1, None)):
        for columns in (slice(0, -1), slice(1, None)):
            solid[rows, columns] |= block
    return solid


def _in_colours(numbers: NDArray[np.uint8 | np.uint16]) -> NDArray[np.uint8]:
    """Class numbers (H, W) as their colours, uint8 (H, W, 3)."""
    return np.asarray(PALETTE, np.uint8)[numbers]


def _distances(
    flat: NDArray[np.float32], palette: Sequence[tuple[int, int, int]]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Squared distance of each of (N, 3) to the nearest colour of a palette, and that colour's index."""
    colours = np.asarray(palette, np.float32)
    # |a - b|^2 = |a|^2 - 2ab + |b|^2 for all pixels and colours at once: (N, colours)
    distance = np.square(flat).sum(axis=1)[:, None] - 2 * flat @ colours.T + np.square(colours).sum(axis=1)
    return distance.min(axis=1), distance.argmin(axis=1)


def classes(picture: NDArray[np.uint8], count: int, size: int) -> NDArray[np.int64]:
    """Class indices (size, size) of a label map uint8 (S, S, 3) in the first `count` colours of the palette.

    A pixel of another colour, as on a smoothed edge, gets the class of the nearest pixel with a palette colour; the
    nearest colour could be that of a third class. Raises DrawingError for an empty canvas and for other pictures.
    """
    import cv2

    side = min(MAP_SIDE, picture.shape[0])
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_NEAREST)
    distance, nearest = _distances(small.reshape(-1, 3).astype(np.float32), PALETTE)
    pure = distance <= PURE**2
    beyond = pure & (nearest >= count)
    if beyond.mean() > STRAY:
        number = np.bincount(nearest[beyond]).argmax()
        raise DrawingError(
            f"The map has the class {number}, but the model's encoder reads the classes 0 to {count - 1}. "
            "Choose another model, or give these parts another number or colour."
        )
    pure &= ~beyond
    painted = (nearest > 0) | ~pure
    if not painted.any():
        raise DrawingError("The canvas is empty. Paint the parts first.")
    if pure[painted].mean() < 0.3:
        raise DrawingError("The picture is not a label map. Paint it in the colours of the palette.")
    labels = nearest.reshape(side, side)[_nearest_of(pure.reshape(side, side))]
    cover = np.stack([_resized((labels == i).astype(np.float32), size) for i in range(count)])
    return cover.argmax(axis=0)


def _nearest_of(chosen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], ...]:
    """Row and column of the nearest chosen pixel, for every pixel of (S, S)."""
    import cv2

    _, marks = cv2.distanceTransformWithLabels(
        (~chosen).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(chosen)
    of_mark = np.zeros((marks.max() + 1, 2), np.int64)
    of_mark[marks[rows, columns]] = np.stack([rows, columns], axis=1)
    found = of_mark[marks]
    return found[..., 0], found[..., 1]


def _resized(plane: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """A plane (S, S) resized to (size, size): means over areas, or repeated pixels if it was smaller."""
    import cv2

    smaller = plane.shape[0] >= size
    made = cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_NEAREST)
    return made.astype(np.float32)
