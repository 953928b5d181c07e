"""Fits the weights that frame faces without a network: `inversion.checkpoints.frame_fit`.

Faces are renders of training seeds and the 100 small grey photos of scikit-image's LFW subset; other pictures are
houses, textures, smooth noise and squares placed wrongly on a face. Fitting takes about two minutes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from inversion.checkpoints.cascade import CROP
from inversion.checkpoints.frame_fit import describe, moved, pyramid, steps_between, windows
from inversion.synthetic import DOMAINS
from inversion.training.export import file_line
from inversion.training.options import FramingOptions

SIDE = 96  # pixels of a render
# Largest errors of the squares that each regressor learns from: right, down, logarithm of the size, radians.
ERRORS = np.array(
    [(0.13, 0.13, 0.37, 0.35), (0.064, 0.064, 0.17, 0.16), (0.037, 0.037, 0.085, 0.085), (0.02, 0.02, 0.05, 0.05)]
)
NUMBERS = (4, 4, 5, 6)  # squares per face, for each regressor
# Largest errors of the classifier's examples of right and wrong squares.
RIGHT, WRONG = np.array([0.016, 0.016, 0.04, 0.04]), np.array([0.37, 0.37, 0.76, 0.85])
# LFW pictures have 25 by 25 pixels. They show this part of the side of the face's square, from this place on.
LFW_PART, LFW_LEFT, LFW_TOP, LFW_SIDE = 0.55, 0.247, 0.27, 25
TEXTURES = ("brick", "grass", "gravel", "moon", "coins", "page", "text", "retina", "cell")
SHRINKAGE, CLASSIFIER_SHRINKAGE = 8.0, 20.0  # ridge penalties


@dataclass(frozen=True, eq=False)
class Example:
    """A grey picture as a pyramid, and the true square of its face, (4,)."""

    levels: list[np.ndarray]
    square: np.ndarray
    weight: float


def faces(count: int, rng: torch.Generator) -> Iterator[Example]:
    """Renders, whose square is the whole picture, and LFW's photos."""
    from skimage import data

    whole = np.array([SIDE / 2, SIDE / 2, math.log(SIDE), 0.0])
    for start in range(0, count, 50):
        for picture in _bytes(CROP, min(50, count - start), rng):
            yield Example(pyramid(picture)[:1], whole, 1.0)
    scale, side = 3, LFW_SIDE / LFW_PART
    left, top = LFW_SIDE - LFW_LEFT * side, LFW_SIDE - LFW_TOP * side
    square = np.array([scale * (left + side / 2), scale * (top + side / 2), math.log(scale * side), 0.0])
    for picture in data.lfw_subset()[:100]:
        padded = Image.fromarray(np.pad(255 * picture, LFW_SIDE, mode="reflect").astype(np.float32))
        large = padded.resize((scale * padded.width, scale * padded.height), Image.Resampling.BICUBIC)
        yield Example([np.asarray(large)], square, 2.0)


def without_faces(rng: np.random.Generator, draw: torch.Generator) -> Iterator[np.ndarray]:
    """Windows (n, PIXELS, PIXELS) of pictures without a face."""
    from skimage import data

    textures = [getattr(data, name)() for name in TEXTURES]
    small = [
        np.kron((255 * picture).astype(np.uint8), np.ones((3, 3), np.uint8)) for picture in data.lfw_subset()[100:]
    ]
    noise = [rng.integers(0, 255, (4, 4), dtype=np.uint8) for _ in range(200)]
    smooth = [np.asarray(Image.fromarray(part).resize((512, 512), Image.Resampling.BICUBIC)) for part in noise]
    renders = [picture for domain in DOMAINS if domain != CROP for picture in _bytes(domain, 100, draw)]
    for pictures, number in ((textures, 150), (small, 4), (smooth, 10), (renders, 10)):
        for picture in pictures:
            height, width = picture.shape[:2]
            sides = rng.uniform(math.log(0.25 * min(height, width)), math.log(min(height, width)), number)
            places = [rng.uniform(0.25 * limit, 0.75 * limit, number) for limit in (width, height)]
            yield windows(pyramid(picture), np.stack([*places, sides, rng.uniform(-0.4, 0.4, number)], axis=1))


def displaced(
    examples: list[Example], number: int, errors: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows (n, PIXELS, PIXELS) of displaced squares, the steps (n, 4) to the true ones, and weights (n,).

    Half of them are mirrored.
    """
    parts, steps, weights = [], [], []
    for example in examples:
        true = np.repeat(example.square[None], number, axis=0)
        squares = moved(true, rng.uniform(-errors, errors, (number, 4)))
        pictures = windows(example.levels, squares) * rng.uniform(0.6, 1.4, (number, 1, 1))
        parts.append((pictures + rng.normal(0, rng.choice([0, 3]), pictures.shape)).astype(np.float32))
        steps.append(steps_between(squares, true))
        weights.append(np.full(number, example.weight))
    given, wanted, weight = (np.concatenate(part) for part in (parts, steps, weights))
    mirrored = wanted * (-1, 1, 1, -1)
    return np.concatenate([given, given[:, :, ::-1]]), np.concatenate([wanted, mirrored]), np.tile(weight, 2)


def described(given: np.ndarray) -> np.ndarray:
    """Features (n, FEATURES) of windows (n, PIXELS, PIXELS), computed in parts to save memory."""
    return np.concatenate([describe(part) for part in np.array_split(given, math.ceil(len(given) / 1000))])


def ridge(features: np.ndarray, wanted: np.ndarray, weight: np.ndarray, penalty: float) -> np.ndarray:
    """Weights (FEATURES, k) of a linear regression; the constant feature is not shrunk."""
    scaled = features * np.sqrt(weight)[:, None]
    moments = (scaled.T @ scaled).astype(np.float64)
    moments[np.diag_indices(len(moments) - 1)] += penalty
    right = scaled.T @ (wanted * np.sqrt(weight)[:, None])
    return np.linalg.solve(moments, right.astype(np.float64)).astype(np.float32)


def classifier(right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """A linear classifier (FEATURES,) by squared hinge loss: 1 for windows of right squares, -1 for all others."""
    features = np.concatenate([described(right), described(wrong)])
    wanted = np.r_[np.ones(len(right)), -np.ones(len(wrong))]
    weight = len(wanted) / 2 / np.where(wanted > 0, len(right), len(wrong))
    used = np.ones(len(wanted), bool)
    for _ in range(4):
        weights = ridge(features[used], wanted[used, None], weight[used], CLASSIFIER_SHRINKAGE)[:, 0]
        used = wanted * (features @ weights) < 1
    return weights


def fit(count: int) -> dict[str, np.ndarray]:
    """Tensors of the weights file: "regressors" (4, FEATURES, 4), "scorer" (FEATURES,). count: number of renders."""
    rng, draw = np.random.default_rng(0), torch.Generator().manual_seed(0)
    examples = list(faces(count, draw))
    regressors = []
    for errors, number in zip(ERRORS, NUMBERS, strict=True):
        given, wanted, weight = displaced(examples, number, errors, rng)
        regressors.append(ridge(described(given), wanted, weight, SHRINKAGE))
    right, _, _ = displaced(examples, 2, RIGHT, rng)
    given, wanted, _ = displaced(examples, 3, WRONG, rng)
    far = given[np.abs(wanted) @ (9.7, 9.7, 4.0, 3.0) > 1.6]
    wrong = np.concatenate([far, *without_faces(rng, draw)])
    return {"regressors": np.stack(regressors), "scorer": classifier(right, wrong)}


def _bytes(domain: str, count: int, rng: torch.Generator) -> np.ndarray:
    """Renders (count, SIDE, SIDE, 3) uint8 of training seeds."""
    drawn = DOMAINS[domain].pictures(count, rng, SIDE)
    return ((drawn + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def main(options: FramingOptions) -> None:
    """Fit the weights and write them. Raises OSError."""
    from safetensors.numpy import save_file

    save_file(fit(options.count), options.out)
    sys.stdout.write(file_line(options.out))
