"""Rendered pairs on disk: a picture, its label map, its line drawing and, if the domain has one, its frontal view.

They are drawn once and read by every run that trains a translation. One row per seed, 8 bit.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from inversion.images import quantise
from inversion.synthetic import DEFAULT, DOMAINS
from inversion.training.options import PairFileOptions, TrainingError
from inversion.training.pictures import file_stem, memory_map

BATCH = 16  # pairs that are drawn at a time


@dataclass(frozen=True)
class Pairs:
    """A batch of pictures and of the inputs of translations, as stored: uint8 on the CPU."""

    picture: Tensor  # (B, 3, R, R)
    front: Tensor  # (B, 3, R, R), the same seen from the front; (B, 0, R, R) if the domain has no frontal view
    classes: Tensor  # (B, R, R), index of the class that covers most of the pixel
    sketch: Tensor  # (B, R, R), 255 is paper


def draw_pairs(seeds: Sequence[int], resolution: int, domain: str = DEFAULT) -> Pairs:
    """Render the pairs of these seeds. domain: a key of DOMAINS."""
    renderer = DOMAINS[domain]
    drawn = renderer.draw(seeds, resolution)
    front = renderer.front(drawn) if renderer.frontal else drawn.picture[:, :0]
    sketch = ((drawn.sketch[:, 0] + 1) * 127.5).round().byte()
    return Pairs(quantise(drawn.picture), quantise(front), drawn.segmentation.argmax(dim=1).byte(), sketch)


class PairFile:
    """A memory-mapped file of the pairs of seeds 0 .. count - 1: (count, planes, R, R) uint8.

    Planes: RGB, RGB of the frontal view if the domain has one, class, sketch. create: open it for drawing, and create
    it if it is missing. Otherwise raises TrainingError if it holds no pairs.
    """

    def __init__(
        self, folder: Path, count: int, resolution: int, domain: str = DEFAULT, *, create: bool = False
    ) -> None:
        self.count, self.resolution, self.domain = count, resolution, domain
        self.path = folder / f"{file_stem(domain, 'pairs')}_{resolution}_{count}.u8"
        self.marker = self.path.with_suffix(".done")  # holds the number of rows drawn
        if not create and not (self.path.exists() and self.drawn):
            raise TrainingError(f"{self.path} holds no pairs. Draw them with `train pairs`.")
        self.rows = memory_map(self.path, (count, 8 if DOMAINS[domain].frontal else 5, resolution, resolution), create)

    @property
    def drawn(self) -> int:
        """Number of rows, from the first on, that hold pairs."""
        return int(self.marker.read_text()) if self.marker.exists() else 0

    def render(self) -> None:
        """Draw the missing rows; a stopped call resumes."""
        for i in tqdm(range(self.drawn, self.count, BATCH), desc="pairs", mininterval=10, disable=None):
            with torch.no_grad():
                pairs = draw_pairs(range(i, min(i + BATCH, self.count)), self.resolution, self.domain)
            planes = torch.cat([pairs.picture, pairs.front, pairs.classes[:, None], pairs.sketch[:, None]], dim=1)
            self.rows[i : i + BATCH] = planes.numpy()
            self.marker.write_text(str(min(i + BATCH, self.count)))

    def batch(self, rows: Tensor) -> Pairs:
        """The pairs of these row numbers (B,), int64."""
        planes = torch.from_numpy(self.rows[rows.numpy()])
        return Pairs(planes[:, :3], planes[:, 3:-2], planes[:, -2], planes[:, -1])


def main(options: PairFileOptions) -> None:
    """Draw the file."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    side = options.resolution or DOMAINS[options.domain].resolution
    PairFile(options.folder, options.count, side, options.domain, create=True).render()
