"""FFHQ alignment: from five landmarks of a face to an oriented square, its crop, and back into the photo.

Coordinates are pixels of the picture, x to the right and y down; (0, 0) is the upper left corner of the first pixel, so
its centre is (0.5, 0.5). The rule is that of the FFHQ data set (Karras, Laine, Aila, "A Style-Based Generator
Architecture for Generative Adversarial Networks", CVPR 2019, appendix A), applied to five landmarks instead of 68.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from inversion import images
from inversion.common.errors import UserError

CropMode = Literal["auto", "face", "centre", "hand"]
Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]  # upper left, lower left, lower right, upper right, as seen in the crop

SUPERSAMPLING = 4  # FFHQ warps to 4096 pixels and shrinks to 1024
FEATHER = 0.08  # width of the rim where a pasted crop fades into the photo, as part of the side
ALIGNED = 0.05  # a picture is aligned if its corners are this close to those of the crop, as part of the side
FRAMED_NOTE = "The face is aligned already, so the picture is used without a crop."
ESTIMATED_NOTE = "Only the outline of the face was found, not its eyes and mouth; check the crop."
BORDER_NOTE = (
    "The face is near the border. The missing part is filled in from the edge of the picture: "
    "a photo with more space around the head gives a better result."
)
BAND = 256  # rows pasted at a time, so that a large photo does not fill the memory


class AlignError(UserError):
    """A crop that is impossible. The text is one line and says what to do."""


class FaceAxes(NamedTuple):
    """Position and directions of a face, (2,) each, in pixels."""

    eyes: np.ndarray  # the point between the eyes
    between: np.ndarray  # from the left to the right eye
    down: np.ndarray  # from `eyes` to the mouth
    right: np.ndarray  # unit vector to the right


@dataclass(frozen=True)
class Face:
    """Five landmarks of a face in pixels. Left and right are those of the picture, not of the person."""

    left_eye: Point
    right_eye: Point
    nose: Point
    left_mouth: Point
    right_mouth: Point
    score: float = 1.0  # confidence of the detector, 0 to 1
    estimated: bool = False  # the landmarks were estimated from the outline of the face, not detected

    @property
    def quad(self) -> Quad:
        """The FFHQ square of this face. Raises AlignError if the landmarks coincide."""
        eyes, between, down, right = self.axes
        x = right * max(2.0 * math.hypot(*between), 1.8 * math.hypot(*down))
        return square_of(eyes + 0.1 * down, x)

    @property
    def axes(self) -> FaceAxes:
        """Position and directions of this face. Raises AlignError if the landmarks coincide."""
        left, right = np.array(self.left_eye), np.array(self.right_eye)
        between = right - left
        eyes = (left + right) / 2
        down = (np.array(self.left_mouth) + np.array(self.right_mouth)) / 2 - eyes
        x = between - down[::-1] * (-1, 1)
        length = math.hypot(*x)
        if length < 1e-6:
            raise AlignError("The landmarks of the face coincide. Crop the picture by hand.")
        return FaceAxes(eyes, between, down, x / length)


@dataclass(frozen=True)
class Frame:
    """Position of eyes and mouth in the square of a crop, as fractions of its side, right and down from its centre."""

    eyes: float  # row of the point between the eyes
    eye_distance: float
    eye_to_mouth: float


# The frames by `Entry.crop`, except FFHQ's, whose rule is `Face.quad`. Means of 128 held-out renders.
FRAMES: dict[str, Frame] = {"synthetic-faces": Frame(-0.046, 0.21, 0.21)}


def quad_of(face: Face, crop: str = "ffhq") -> Quad:
    """The square of a face for a crop: `ffhq` or a key of FRAMES. Raises AlignError if the landmarks coincide."""
    if crop not in FRAMES:
        return face.quad
    frame = FRAMES[crop]
    eyes, between, down, x = face.axes
    side = (math.hypot(*between) / frame.eye_distance + math.hypot(*down) / frame.eye_to_mouth) / 2
    y = x[::-1] * (-1, 1)
    # If the head turns, eyes and mouth move to the same side. Their middle is the best estimate of the head's middle.
    across = (down @ x) / 2
    return square_of(eyes + across * x - frame.eyes * side * y, x * side / 2)


def face_of(quad: Quad, crop: str, score: float = 1.0) -> Face:
    """The face whose `quad_of` is this square: its landmarks are estimated from the frame.

    crop: a key of FRAMES, else KeyError. score: confidence, 0 to 1.
    """
    frame, matrix = FRAMES[crop], np.array(quad, dtype=np.float64)
    centre, right, down = matrix.mean(axis=0), matrix[3] - matrix[0], matrix[1] - matrix[0]
    half, mouth = frame.eye_distance / 2, frame.eyes + frame.eye_to_mouth
    places = ((-half, frame.eyes), (half, frame.eyes), (0.0, 0.05), (-0.8 * half, mouth), (0.8 * half, mouth))
    points = [centre + u * right + v * down for u, v in places]
    left_eye, right_eye, nose, left_mouth, right_mouth = ((float(x), float(y)) for x, y in points)
    return Face(left_eye, right_eye, nose, left_mouth, right_mouth, score, estimated=True)


@dataclass(frozen=True)
class Crop:
    """The part of a picture that is used: `quad`, or the central square if it is None. `note` is shown to the user.

    faces: the squares of all faces that were found, the largest first. number: the used one, 0 if none is used.
    """

    how: Literal["face", "centre", "hand"] = "centre"
    quad: Quad | None = None
    note: str = ""
    faces: tuple[Quad, ...] = field(default=(), compare=False)
    number: int = field(default=0, compare=False)


def by_hand(size: tuple[int, int], x: float, y: float, side: float, turn: float = 0.0) -> Crop:
    """A square chosen by hand in a picture of `size` (width, height).

    x, y: the centre, 0 to 1 of width and height. side: 0.02 to 2 of the shorter side. turn: degrees clockwise. Raises
    AlignError for values outside these ranges.
    """
    values = (x, y, side, turn)
    if not (all(math.isfinite(value) for value in values) and 0 <= x <= 1 and 0 <= y <= 1 and 0.02 <= side <= 2):
        raise AlignError("The square must have its centre in the picture and a side of 2 to 200 % of the shorter side.")
    half, angle = side * min(size) / 2, math.radians(turn)
    centre = np.array([x * size[0], y * size[1]])
    return Crop("hand", square_of(centre, half * np.array([math.cos(angle), math.sin(angle)])))


def part_of(picture: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """The cropped part of a picture uint8 (H, W, 3), uint8 (size, size, 3)."""
    if crop.quad is None:
        return np.asarray(images.fit(Image.fromarray(picture), size))
    return cut(picture, crop.quad, size)


def used_square(picture: np.ndarray, crop: Crop) -> Quad | None:
    """The square that `part_of` takes out of a picture uint8 (H, W, 3); None for all of a square picture."""
    height, width = picture.shape[:2]
    if crop.quad is not None or height == width:
        return crop.quad
    side = min(height, width)
    corner = np.array([(width - side) // 2, (height - side) // 2])
    return square_of(corner + side / 2, np.array([side / 2, 0.0]))


def cut(picture: np.ndarray, quad: Quad, size: int) -> np.ndarray:
    """The part of a picture uint8 (H, W, 3) inside the quad, resized to uint8 (size, size, 3).

    Outside the border, the picture is mirrored and fades into a blur and the median colour, as in FFHQ.
    """
    image, corners = _shrunk(Image.fromarray(picture), np.array(quad, dtype=np.float64), size)
    image, corners = _windowed(image, corners)
    side = SUPERSAMPLING * size
    data = [float(value) for value in corners.ravel()]
    large = image.transform((side, side), Image.Transform.QUAD, data, Image.Resampling.BILINEAR)
    return np.asarray(large.resize((size, size), Image.Resampling.LANCZOS))


def cut_mask(mask: np.ndarray, quad: Quad, size: int) -> np.ndarray:
    """The part of a mask uint8 (H, W) inside the quad, (size, size): 255 if any part of a pixel is over 127, else 0."""
    marked = Image.fromarray(np.where(mask >= 128, 255, 0).astype(np.uint8))
    side = SUPERSAMPLING * size
    data = [float(value) for point in quad for value in point]
    large = marked.transform((side, side), Image.Transform.QUAD, data, Image.Resampling.NEAREST)
    samples = np.asarray(large)
    rows = np.maximum.reduce([samples[k::SUPERSAMPLING] for k in range(SUPERSAMPLING)])
    return np.maximum.reduce([rows[:, k::SUPERSAMPLING] for k in range(SUPERSAMPLING)])


def spread_mask(mask: np.ndarray, quad: Quad, shape: tuple[int, int]) -> np.ndarray:
    """The inverse of `cut_mask`: a mask uint8 (S, S) of the crop -> uint8 `shape` (H, W) of the whole picture."""
    matrix = crop_matrix(np.array(quad, dtype=np.float64), mask.shape[0])
    whole = Image.fromarray(mask).transform(
        (shape[1], shape[0]), Image.Transform.AFFINE, list(matrix.ravel()), Image.Resampling.NEAREST
    )
    return np.asarray(whole)


def paste(picture: np.ndarray, quad: Quad, result: np.ndarray) -> np.ndarray:
    """A copy of the photo uint8 (H, W, 3) with `result` uint8 (R, R, 3) pasted into the quad.

    The result fades out towards the rim of the quad and where the crop was mirrored at the border of the photo.
    """
    corners = np.array(quad, dtype=np.float64)
    patch = Image.fromarray(result)
    side = max(1, round(side_of(quad)))
    if side < patch.width:
        patch = patch.resize((side, side), Image.Resampling.LANCZOS)
    height, width = picture.shape[:2]
    low = np.clip(np.floor(corners.min(axis=0)), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)), 0, (width, height)).astype(int)
    pasted = picture.copy()
    for top in range(low[1], high[1], BAND):
        rows, columns = slice(top, min(top + BAND, high[1])), slice(low[0], high[0])
        matrix = crop_matrix(corners, patch.width)
        matrix[:, 2] += matrix[:, :2] @ (low[0], top)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        warped = patch.transform(size, Image.Transform.AFFINE, list(matrix.ravel()), Image.Resampling.BICUBIC)
        before = picture[rows, columns].astype(np.float32)
        weight = _weight(corners, (width, height), rows, columns)
        pasted[rows, columns] = np.rint(before + (np.asarray(warped) - before) * weight[..., None])
    return pasted


def crop_matrix(corners: np.ndarray, size: int) -> np.ndarray:
    """(2, 3) affine map from coordinates of the picture to those of a crop of `size` pixels a side; corners (4, 2)."""
    right, down = corners[3] - corners[0], corners[1] - corners[0]
    linear = np.stack([right / (right @ right), down / (down @ down)]) * size
    return np.concatenate([linear, -(linear @ corners[0])[:, None]], axis=1)


def square_of(centre: np.ndarray, x: np.ndarray) -> Quad:
    """The square with this centre (2,); x (2,) points from the centre to the middle of its right edge."""
    y = x[::-1] * (-1, 1)
    corners = (centre - x - y, centre - x + y, centre + x + y, centre + x - y)
    first, second, third, fourth = ((float(corner[0]), float(corner[1])) for corner in corners)
    return first, second, third, fourth


def side_of(quad: Quad) -> float:
    """Length of the upper edge in pixels."""
    return math.dist(quad[0], quad[3])


def crop_around(quads: Sequence[Quad], picture: np.ndarray, number: int, notes: Sequence[str] = ()) -> Crop:
    """The crop of face `number`, counted from 1, in a picture uint8 (H, W, 3).

    quads: the squares of all faces. notes: more lines for the user about this face. The crop's own note tells if there
    are several faces, or if the square leaves the picture.
    """
    height, width = picture.shape[:2]
    quad, count = quads[number - 1], len(quads)
    whole = np.array([(0, 0), (0, height), (width, height), (width, 0)])
    if np.abs(np.array(quad) - whole).max() <= ALIGNED * width:
        return Crop(note=FRAMED_NOTE)
    lines = []
    if count > 1:
        which = "The largest" if number == 1 else f"Number {number}"
        lines.append(f"{count} faces were found. {which} is used.")
    outside = max(-np.min(quad), *(np.max(quad, axis=0) - (width, height)))
    if outside > ALIGNED * side_of(quad):
        lines.append(BORDER_NOTE)
    return Crop("face", quad, " ".join([*lines, *notes]), tuple(quads), number)


def _shrunk(image: Image.Image, corners: np.ndarray, size: int) -> tuple[Image.Image, np.ndarray]:
    """Shrink the picture by a whole factor, so that its square is at most 4 times as wide as the crop of this size."""
    factor = math.floor(math.dist(corners[0], corners[3]) / size / 2)
    if factor <= 1:
        return image, corners
    small = (max(1, round(image.width / factor)), max(1, round(image.height / factor)))
    scale = np.array(small) / image.size
    return image.resize(small, Image.Resampling.LANCZOS), corners * scale


def _windowed(image: Image.Image, corners: np.ndarray) -> tuple[Image.Image, np.ndarray]:
    """Cut out the surroundings of the square; pad and fade them if the square leaves the picture."""
    side = math.dist(corners[0], corners[3])
    border = max(round(0.1 * side), 3)
    low, high = np.floor(corners.min(axis=0)).astype(int) - border, np.ceil(corners.max(axis=0)).astype(int) + border
    left, top = (int(np.clip(v, 0, limit - 1)) for v, limit in zip(low, image.size, strict=True))
    right, bottom = (int(np.clip(v, at + 1, limit)) for v, at, limit in zip(high, (left, top), image.size, strict=True))
    window = image.crop((left, top, right, bottom))
    corners = corners - (left, top)
    pads = _pads(corners, window.size)
    if pads is None:
        return window, corners
    padded = np.pad(np.asarray(window), ((pads[1], pads[3]), (pads[0], pads[2]), (0, 0)), mode="reflect")
    return Image.fromarray(_faded(padded, pads, 0.02 * side)), corners + pads[:2]


def _pads(corners: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Padding in pixels at the left, top, right and bottom; None if the square is inside a picture of `size` (W, H)."""
    side = math.dist(corners[0], corners[3])
    border = max(round(0.1 * side), 3)
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
    needed = (*(border - low), *(high - size + border))
    if max(needed) <= border - 4:
        return None
    left, top, right, bottom = (max(int(pad), round(0.3 * side)) for pad in needed)
    return left, top, right, bottom


def _faded(picture: np.ndarray, pads: tuple[int, int, int, int], sigma: float) -> np.ndarray:
    """Blur the padding of a padded picture uint8 (H, W, 3) and blend it into the median colour."""
    import cv2

    height, width = picture.shape[:2]
    depth = _depth(np.arange(width), np.arange(height), (width, height), pads)
    faded = np.empty_like(picture)
    factor = max(1, int(sigma // 4))  # a wide blur looks the same on a smaller picture and is seconds faster
    small = (math.ceil(width / factor), math.ceil(height / factor))
    for c in range(3):  # one by one to save memory
        channel = picture[..., c].astype(np.float32)
        coarse = cv2.resize(channel, small, interpolation=cv2.INTER_AREA)
        coarse = cv2.GaussianBlur(coarse, (0, 0), sigma / factor, borderType=cv2.BORDER_REFLECT)
        blurred = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        channel += (blurred - channel) * np.clip(3 * depth + 1, 0, 1)
        channel += (np.median(channel) - channel) * np.clip(depth, 0, 1)
        faded[..., c] = np.rint(channel.clip(0, 255))
    return faded


def _depth(x: np.ndarray, y: np.ndarray, size: tuple[int, int], pads: tuple[int, int, int, int]) -> np.ndarray:
    """Depth in the padding at columns x and rows y of a padded picture of `size` (W, H), float32 (len(y), len(x)).

    0 at the inner edge of the padding, 1 at the outer edge, negative inside the picture.
    """
    across = 1 - np.minimum(x / pads[0], (size[0] - 1 - x) / pads[2])
    along = 1 - np.minimum(y / pads[1], (size[1] - 1 - y) / pads[3])
    return np.maximum(across[None, :], along[:, None]).astype(np.float32)


def _weight(corners: np.ndarray, size: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    """Opacity of the pasted crop at these pixels of a photo of `size` (W, H), 0 to 1: float32 (rows, columns)."""
    x, y = np.arange(columns.start, columns.stop), np.arange(rows.start, rows.stop)
    matrix = crop_matrix(corners, 1)
    u, v = (row[0] * (x[None, :] + 0.5) + row[1] * (y[:, None] + 0.5) + row[2] for row in matrix)
    t = (np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v)) / FEATHER).clip(0, 1)
    weight = t * t * (3 - 2 * t)
    pads = _pads(corners, size)
    if pads is not None:
        padded = (size[0] + pads[0] + pads[2], size[1] + pads[1] + pads[3])
        weight = weight * (1 - np.clip(3 * _depth(x + pads[0], y + pads[1], padded, pads) + 1, 0, 1))
    return weight.astype(np.float32)
