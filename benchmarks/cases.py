"""Test pictures and the holes of tables: held-out and out-of-domain renders, and a photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from benchmarks.common import seeds_of
from inversion import images
from inversion.model import Model
from inversion.training.models import domain_of

DROPPED = 0.5  # of the pixels, in a hole of random pixels
STROKES, STROKE_WIDTH = 6, 0.06  # lines, and their width as a part of the picture


@dataclass(frozen=True)
class Case:
    """One picture, uint8 (R, R, 3), with a name and the coverage (1, 1, R, R) of its smallest parts, None if unknown.

    The PSNR of the whole picture hides these parts (of faces: eyes, mouth, glasses).
    """

    name: str
    picture: np.ndarray
    details: Tensor | None = None


def cases(model: Model, source: str, n: int) -> Iterator[Case]:
    """Test pictures of a model's resolution: held-out ones of its domain, out-of-domain ones, or the photo.

    Raises TrainingError if the domain has no renderer, and UsageError if it has no out-of-domain pictures.
    """
    if source == "photo":
        yield Case("astronaut", photo(model.resolution))
        return
    domain = domain_of(model)
    rows = [domain.classes.index(name) for name in domain.finest]
    for seed in seeds_of(domain, source, n):
        drawn = domain.draw([seed], model.resolution)
        yield Case(str(seed), images.to_array(drawn.picture), drawn.segmentation[:, rows].sum(1, keepdim=True))


def photo(resolution: int) -> np.ndarray:
    """scikit-image's astronaut (NASA, public domain), uint8 (R, R, 3): rows 0-255, columns 96-351, rescaled."""
    from PIL import Image
    from skimage.data import astronaut

    return np.asarray(images.fit(Image.fromarray(astronaut()[:256, 96:352]), resolution))


def centre_hole(resolution: int) -> np.ndarray:
    """A mask, uint8 (R, R), whose white centre has a quarter of the area."""
    mask = np.zeros((resolution, resolution), np.uint8)
    mask[resolution // 4 : -resolution // 4, resolution // 4 : -resolution // 4] = 255
    return mask


def dropped_pixels(resolution: int) -> np.ndarray:
    """A mask, uint8 (R, R), of random white pixels, the same every time."""
    return np.where(np.random.default_rng(0).random((resolution, resolution)) < DROPPED, 255, 0).astype(np.uint8)


def strokes(resolution: int) -> np.ndarray:
    """A mask, uint8 (R, R), of white lines through the picture, the same every time."""
    from PIL import Image, ImageDraw

    rng, page = np.random.default_rng(0), Image.new("L", (resolution, resolution))
    pen = ImageDraw.Draw(page)
    for _ in range(STROKES):
        ends = rng.uniform(0.1, 0.9, size=4) * resolution
        pen.line([tuple(ends[:2]), tuple(ends[2:])], fill=255, width=max(1, round(STROKE_WIDTH * resolution)))
    return np.asarray(page)


# Name -> mask, uint8 (R, R), of a resolution.
HOLES: dict[str, Callable[[int], np.ndarray]] = {
    "centre": centre_hole,
    "pixels": dropped_pixels,
    "strokes": strokes,
}
