"""Moves rough squares onto a face: cascaded linear regression on gradient histograms, and a score of the result.

The method is that of Xiong and De la Torre, "Supervised Descent Method and its Applications to Face Alignment", CVPR
2013, for the four parameters of a square instead of landmarks. `inversion.training.framing` fits the weights.

A square is a row (x, y, log side, turn): its centre in pixels, the logarithm of its side, radians clockwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from inversion.align import Quad, square_of

PIXELS = 40  # side of the window that is described
CELL, BINS = 5, 8  # pixels a side and directions of a histogram
WINDOW, MIDDLE = 0.62, 0.535  # side of the window and row of its centre, as parts of the square
FEATURES = (PIXELS // CELL) ** 2 * BINS + 1
STAGES = (0, 0, 1, 1, 2, 2, 3, 3)  # the regressors in order, from coarse to small errors
AROUND = np.array([0.015, 0.015, 0.035, 0.035])  # largest displacements of `FrameFit.averaged`
GRID = (np.arange(PIXELS) + 0.5) / PIXELS - 0.5


@dataclass(frozen=True, eq=False)
class FrameFit:
    """The fit. regressors (4, FEATURES, 4) predict steps in parts of the side; scorer (FEATURES,) scores it."""

    regressors: np.ndarray
    scorer: np.ndarray

    @classmethod
    def read(cls, path: Path) -> FrameFit:
        """The weights of a safetensors file. Raises OSError, and KeyError if a tensor is missing."""
        from safetensors.numpy import load_file

        tensors = load_file(path)
        scorer = tensors["scorer"] if "scorer" in tensors else tensors["judge"]  # "judge" in older files
        return cls(tensors["regressors"], scorer)

    def __call__(self, levels: Sequence[np.ndarray], squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fitted squares (n, 4) and their scores (n,). A positive score means that a square shows a framed face.

        levels: the `pyramid` of the picture. squares (n, 4): rough ones.
        """
        for stage in STAGES:
            squares = moved(squares, describe(windows(levels, squares)) @ self.regressors[stage])
        return squares, describe(windows(levels, squares)) @ self.scorer

    def averaged(self, levels: Sequence[np.ndarray], square: np.ndarray) -> np.ndarray:
        """A fitted square (4,) with less noise: the mean of the last step from 24 places around it."""
        half = np.random.default_rng(0).uniform(-AROUND, AROUND, (12, 4))
        starts = moved(np.repeat(square[None], 24, axis=0), np.concatenate([half, -half]))
        return moved(starts, describe(windows(levels, starts)) @ self.regressors[STAGES[-1]]).mean(axis=0)


def pyramid(picture: np.ndarray) -> list[np.ndarray]:
    """Grey levels (H, W) float32 of a picture uint8 (H, W, 3) or (H, W), each half as large as the one before."""
    image = Image.fromarray(picture).convert("L")
    levels = [np.asarray(image, np.float32)]
    while min(image.size) >= 2 * PIXELS:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
        levels.append(np.asarray(image, np.float32))
    return levels


def windows(levels: Sequence[np.ndarray], squares: np.ndarray) -> np.ndarray:
    """The windows (n, PIXELS, PIXELS) of squares (n, 4), each from the coarsest level that is fine enough."""
    side = np.exp(np.clip(squares[:, 2], -20, 20)) * WINDOW
    cosine, sine = (f(squares[:, 3])[:, None, None] * side[:, None, None] for f in (np.cos, np.sin))
    u, v = GRID[None, None, :], GRID[None, :, None] + (MIDDLE - 0.5) / WINDOW
    x = squares[:, 0, None, None] + u * cosine - v * sine
    y = squares[:, 1, None, None] + u * sine + v * cosine
    which = np.clip(np.floor(np.log2(np.maximum(side / PIXELS, 1))), 0, len(levels) - 1).astype(int)
    found = np.empty((len(squares), PIXELS, PIXELS), np.float32)
    for index in np.unique(which):
        chosen, level = which == index, levels[index]
        scale = np.array(level.shape) / levels[0].shape
        found[chosen] = _bilinear(level, x[chosen] * scale[1] - 0.5, y[chosen] * scale[0] - 0.5)
    return found


def describe(pictures: np.ndarray) -> np.ndarray:
    """Features (n, FEATURES) of windows (n, PIXELS, PIXELS): histograms of gradients and a constant 1.

    The histograms are normalised over 3 by 3 cells.
    """
    dx, dy = np.zeros_like(pictures), np.zeros_like(pictures)
    dx[:, :, 1:-1] = pictures[:, :, 2:] - pictures[:, :, :-2]
    dy[:, 1:-1] = pictures[:, 2:] - pictures[:, :-2]
    length = np.hypot(dx, dy)
    direction = (np.arctan2(dy, dx) / (2 * math.pi) * BINS) % BINS
    low = np.floor(direction).astype(int) % BINS
    share = direction - np.floor(direction)
    side = PIXELS // CELL
    cells = np.empty((len(pictures), side, side, BINS), np.float32)
    for index in range(BINS):
        part = length * ((low == index) * (1 - share) + ((low + 1) % BINS == index) * share)
        cells[..., index] = part.reshape(-1, side, CELL, side, CELL).sum(axis=(2, 4))
    energy = np.pad(np.square(cells).sum(axis=-1), ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = sum(energy[:, i : i + side, j : j + side] for i in range(3) for j in range(3))
    flat = 500.0  # energy below which a region counts as flat
    cells = np.minimum(cells / np.sqrt(around + flat)[..., None], 0.4)
    return np.concatenate([cells.reshape(len(pictures), -1), np.ones((len(pictures), 1), np.float32)], axis=1)


def moved(squares: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Squares after steps (n, 4): right and down as parts of the side, logarithm of the growth, radians."""
    cosine, sine, side = np.cos(squares[:, 3]), np.sin(squares[:, 3]), np.exp(squares[:, 2])
    x = squares[:, 0] + side * (cosine * steps[:, 0] - sine * steps[:, 1])
    y = squares[:, 1] + side * (sine * steps[:, 0] + cosine * steps[:, 1])
    return np.stack([x, y, squares[:, 2] + np.clip(steps[:, 2], -0.7, 0.7), squares[:, 3] + steps[:, 3]], axis=1)


def steps_between(squares: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The steps (n, 4) that `moved` takes from squares to targets."""
    cosine, sine, side = np.cos(squares[:, 3]), np.sin(squares[:, 3]), np.exp(squares[:, 2])
    dx, dy = targets[:, 0] - squares[:, 0], targets[:, 1] - squares[:, 1]
    along, across = (cosine * dx + sine * dy) / side, (cosine * dy - sine * dx) / side
    return np.stack([along, across, *(targets[:, 2:] - squares[:, 2:]).T], axis=1)


def quad_of_square(square: np.ndarray) -> Quad:
    """The corners of a square (4,)."""
    half = math.exp(square[2]) / 2
    return square_of(square[:2], half * np.array([math.cos(square[3]), math.sin(square[3])]))


def square_of_quad(quad: Quad) -> np.ndarray:
    """The square (4,) with these corners."""
    corners = np.array(quad)
    x, y = corners[3] - corners[0]
    return np.array([*corners.mean(axis=0), math.log(max(math.hypot(x, y), 1e-6)), math.atan2(y, x)])


def _bilinear(level: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The level (H, W) at x and y in pixels; outside, the nearest pixel of the border."""
    height, width = level.shape
    x, y = np.clip(x, 0, max(width - 1.001, 0)), np.clip(y, 0, max(height - 1.001, 0))
    i, j = x.astype(int), y.astype(int)
    right, below = np.minimum(i + 1, width - 1), np.minimum(j + 1, height - 1)
    a, b = x - i, y - j
    return (level[j, i] * (1 - a) + level[j, right] * a) * (1 - b) + (
        level[below, i] * (1 - a) + level[below, right] * a
    ) * b
