"""Faces without a network: scikit-image's frontal-face cascade proposes squares, and `FrameFit` moves and scores them.

The cascade (local binary patterns, Liao et al., "Learning Multi-scale Block Local Binary Patterns for Face
Recognition", 2007) gives boxes only, many of them wrong. A face is accepted if several boxes, each fitted separately,
lead to one square that also looks like a framed face.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from inversion.align import Face, Quad, face_of, quad_of
from inversion.checkpoints.frame_fit import FrameFit, pyramid, quad_of_square, square_of_quad, steps_between

CROP = "synthetic-faces"  # the frame that the fit was trained on
# Longer side of the picture for the cascade, and degrees clockwise by which a face may be turned. The second search is
# for small faces, if the first search finds no face.
SEARCHES = ((256, (-20, -10, 0, 10, 20)), (512, (-12, 12)))
SMALLEST = 24  # side in pixels of the cascade's window
BOX = 0.55  # side of the cascade's box as part of the square
MAX_BOXES = 96  # boxes that are fitted, spread over all that were found
SAME_SQUARE = 0.1  # largest step between squares that count as one
FACE_SCORE = 1.0  # lowest score of a face, with VOTE added for each box that leads to it, up to MAX_VOTES boxes
VOTE, MAX_VOTES = 0.05, 10
FRAMED_SCORE = 0.5  # lowest score of a picture that is framed already, or of a detector's face after the fit
FRAMED_WITHIN = 0.12  # a picture is framed if its corners are this close to the face's square, as part of the side
MAX_ANSWERS = 32  # in the cache

_recent: dict[tuple[Path, tuple[int, ...], str], list[Face]] = {}  # access only while holding the lock
_lock = threading.Lock()


class FaceCascade:
    """The detector. `path`: the weights of the fit, a safetensors file. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, picture: np.ndarray) -> list[Face]:
        """The faces in a picture uint8 (H, W, 3), the best one first, with estimated landmarks. Answers are cached."""
        key = (self.path, picture.shape, hashlib.sha256(picture.tobytes()).hexdigest())
        with _lock:
            known = _recent.get(key)
        if known is None:
            known = self._search(picture)
            with _lock:
                _recent[key] = known
                while len(_recent) > MAX_ANSWERS:
                    del _recent[next(iter(_recent))]
        return list(known)

    def _search(self, picture: np.ndarray) -> list[Face]:
        levels = pyramid(picture)
        for largest, turns in SEARCHES:
            scale = min(1.0, largest / max(picture.shape[:2]))
            faces = self._faces(levels, proposals(levels[0], scale, turns))
            if faces or scale == 1.0:
                return faces
        return []

    def is_framed(self, picture: np.ndarray) -> bool:
        """Whether the whole picture uint8 (H, W, 3) is already a framed face."""
        height, width = picture.shape[:2]
        side = max(height, width)
        if abs(height - width) > FRAMED_WITHIN * side:
            return False
        whole = np.array([[width / 2, height / 2, math.log(side), 0.0]])
        fitted, scores = self._fit(pyramid(picture), whole)
        corners = np.array([(0, 0), (0, height), (width, height), (width, 0)])
        apart = np.abs(quad_of_square(fitted[0]) - corners).max()
        return bool(scores[0] > FRAMED_SCORE and apart <= FRAMED_WITHIN * side)

    def refined(self, picture: np.ndarray, face: Face) -> Quad:
        """The square of a detector's face in a picture uint8 (H, W, 3).

        It is fitted to the picture, unless the fit disagrees with the landmarks.
        """
        quad = quad_of(face, CROP)
        start, levels = square_of_quad(quad)[None], pyramid(picture)
        fitted, scores = self._fit(levels, start)
        small = bool((np.abs(steps_between(start, fitted)) < (0.25, 0.25, 0.3, 0.3)).all())
        if not small or scores[0] <= FRAMED_SCORE:
            return quad
        return quad_of_square(_weights(self.path).averaged(levels, fitted[0]))

    def _faces(self, levels: list[np.ndarray], squares: np.ndarray) -> list[Face]:
        if not len(squares):
            return []
        fitted, scores = self._fit(levels, squares)
        faces: list[Face] = []
        for index in np.argsort(-scores):
            if scores[index] < FACE_SCORE - VOTE * MAX_VOTES:
                break
            if any(_overlap(fitted[index], square_of_quad(quad_of(face, CROP))) for face in faces):
                continue
            steps = steps_between(np.repeat(fitted[index][None], len(fitted), axis=0), fitted)
            same = (np.abs(steps).max(axis=1) < SAME_SQUARE) & (scores > 0)
            if scores[index] + VOTE * min(int(same.sum()), MAX_VOTES) >= FACE_SCORE:
                square = np.average(fitted[same], axis=0, weights=scores[same])
                square = _weights(self.path).averaged(levels, square)
                faces.append(face_of(quad_of_square(square), CROP, float(1 - math.exp(-scores[index]))))
        return faces

    def _fit(self, levels: list[np.ndarray], squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _weights(self.path)(levels, squares)


def proposals(grey: np.ndarray, scale: float, turns: Sequence[int]) -> np.ndarray:
    """Squares (n, 4) around the boxes that the cascade finds in a picture.

    grey (H, W), 0 to 255. The picture is resized by `scale` and turned by each of `turns`, in degrees.
    """
    from skimage import data
    from skimage.feature import Cascade

    cascade = Cascade(data.lbp_frontal_face_cascade_filename())
    width, height = (max(1, round(side * scale)) for side in grey.shape[::-1])
    small = Image.fromarray(grey.astype(np.uint8)).resize((width, height), Image.Resampling.BOX)
    if min(small.size) < SMALLEST:
        return np.empty((0, 4))
    found = []
    for degrees in turns:
        turned = small.rotate(degrees, Image.Resampling.BILINEAR, expand=True, fillcolor=128)
        limits = {"min_size": (SMALLEST, SMALLEST), "max_size": turned.size}
        boxes = cascade.detect_multi_scale(
            np.asarray(turned), 1.1, 1.0, **limits, min_neighbor_number=1, intersection_score_threshold=1.0
        )
        turn = math.radians(degrees)
        for box in boxes:
            side = box["width"] / BOX
            x = box["c"] + box["width"] / 2 - turned.width / 2
            y = box["r"] + box["width"] / 2 - turned.height / 2 - 0.02 * side
            x, y = math.cos(turn) * x - math.sin(turn) * y, math.sin(turn) * x + math.cos(turn) * y
            found.append(((x + width / 2) / scale, (y + height / 2) / scale, math.log(side / scale), turn))
    return _spread(np.array(found).reshape(-1, 4))


def _spread(squares: np.ndarray) -> np.ndarray:
    """At most MAX_BOXES of the squares, without near duplicates."""
    chosen: list[np.ndarray] = []
    for square in squares:
        if chosen:
            steps = steps_between(np.array(chosen), np.repeat(square[None], len(chosen), axis=0))
            if np.abs(steps).max(axis=1).min() < 0.08:
                continue
        chosen.append(square)
    if not chosen:
        return np.empty((0, 4))
    every = np.linspace(0, len(chosen) - 1, min(MAX_BOXES, len(chosen))).round().astype(int)
    return np.array(chosen)[every]


def _overlap(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two squares show parts of one face: the centre of one lies in the other's inner part."""
    distance = math.dist(first[:2], second[:2])
    return distance < 0.5 * math.exp(max(first[2], second[2]))


@lru_cache(maxsize=2)
def _weights(path: Path) -> FrameFit:
    return FrameFit.read(path)
