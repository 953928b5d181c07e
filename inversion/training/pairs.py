"""Rendered pairs on disk: a picture of a domain, its label map, its line drawing and, for faces, the frontal view.

Drawn once, read by every run that learns a translation. One row per seed, 8 bit.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from inversion.common.commands import positive
from inversion.images import quantise
from inversion.synthetic import DOMAINS
from inversion.synthetic.faces.factors import turned_to_front
from inversion.training.faces import FACES, mapped
from inversion.training.loop import TrainingError, TrainParser

BATCH = 16


@dataclass(frozen=True)
class Pairs:
    """A batch of pictures and of the inputs of translations, as stored: uint8 on the CPU."""

    picture: Tensor  # (B, 3, R, R)
    front: Tensor  # (B, 3, R, R), the same faces turned to the front; (B, 0, R, R) for other domains
    classes: Tensor  # (B, R, R), index of the class that covers most of the pixel
    sketch: Tensor  # (B, R, R), 255 is paper


def draw(seeds: Sequence[int], resolution: int, domain: str = FACES) -> Pairs:
    """Render the pairs of these seeds of a domain."""
    drawn = DOMAINS[domain].draw(seeds, resolution)
    front = drawn.picture[:, :0]
    if domain == FACES:
        front = DOMAINS[domain].render(turned_to_front(drawn.factors), resolution).picture
    sketch = ((drawn.sketch[:, 0] + 1) * 127.5).round().byte()
    return Pairs(quantise(drawn.picture), quantise(front), drawn.segmentation.argmax(dim=1).byte(), sketch)


class PairFile:
    """A memory-mapped file of the pairs of seeds 0 .. count - 1: (count, planes, R, R) uint8.

    Planes: RGB, RGB of the frontal view (faces only), class, sketch. create: open it for drawing, and create it if it
    is missing. Otherwise raises TrainingError if it holds no pairs.
    """

    def __init__(self, folder: Path, count: int, resolution: int, domain: str = FACES, *, create: bool = False) -> None:
        self.count, self.resolution, self.domain = count, resolution, domain
        name = "pairs" if domain == FACES else f"pairs_{domain.removeprefix('synthetic-')}"
        self.path = folder / f"{name}_{resolution}_{count}.u8"
        self.marker = self.path.with_suffix(".done")  # holds the number of rows drawn
        if not create and not (self.path.exists() and self.drawn):
            raise TrainingError(f"{self.path} holds no pairs. Draw them with `train pairs`.")
        self.rows = mapped(self.path, (count, 8 if domain == FACES else 5, resolution, resolution), create)

    @property
    def drawn(self) -> int:
        """Number of rows, from the first on, that hold pairs."""
        return int(self.marker.read_text()) if self.marker.exists() else 0

    def render(self) -> None:
        """Draw the missing rows; a stopped call resumes."""
        for i in tqdm(range(self.drawn, self.count, BATCH), desc="pairs", mininterval=10, disable=None):
            with torch.no_grad():
                pairs = draw(range(i, min(i + BATCH, self.count)), self.resolution, self.domain)
            planes = torch.cat([pairs.picture, pairs.front, pairs.classes[:, None], pairs.sketch[:, None]], dim=1)
            self.rows[i : i + BATCH] = planes.numpy()
            self.marker.write_text(str(min(i + BATCH, self.count)))

    def batch(self, rows: Tensor) -> Pairs:
        """The pairs of these row numbers (B,)."""
        planes = torch.from_numpy(self.rows[rows.numpy()])
        return Pairs(planes[:, :3], planes[:, 3:-2], planes[:, -2], planes[:, -1])


def main(argv: list[str] | None = None) -> None:
    """Draw a file of pairs for the translations."""
    parser = TrainParser("pairs", main.__doc__)
    parser.add_argument("--domain", choices=list(DOMAINS), default=FACES)
    parser.add_argument("--folder", type=Path, required=True, help="folder for the file")
    parser.add_argument("--count", type=positive, default=12_000, help="number of pairs")
    parser.add_argument("--resolution", type=positive, help="side in pixels (default: the domain's)")
    args = parser.parse_args(argv)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    resolution = args.resolution or DOMAINS[args.domain].resolution
    PairFile(args.folder, args.count, resolution, args.domain, create=True).render()
