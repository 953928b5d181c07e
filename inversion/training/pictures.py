"""Rendered pictures of a domain on disk. They are drawn once and read by every training run.

One row per seed, 8 bit: RGB and one plane of detail (coverage of small parts: eyes, mouth, windows, doors).
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from inversion.common.commands import make_folder
from inversion.synthetic import DEFAULT, DOMAINS, latents
from inversion.training.options import PictureFileOptions, TrainingError

BATCH = 16  # pictures that are drawn at a time


class PictureFile:
    """A memory-mapped file (count, 4, R, R) uint8 of the pictures of seeds 0 .. count - 1.

    same_individual: of other pictures of the same individuals.
    create: open it for drawing, and create it if it is missing. Otherwise raises TrainingError if it is not complete.
    """

    def __init__(
        self,
        folder: Path,
        count: int,
        resolution: int,
        same_individual: bool = False,
        domain: str = DEFAULT,
        *,
        create: bool = False,
    ) -> None:
        self.folder, self.count, self.resolution, self.same_individual = folder, count, resolution, same_individual
        self.domain = DOMAINS[domain]
        # "mates": a name of files that have been drawn already.
        name = file_stem(domain, "mates") if same_individual else domain.removeprefix("synthetic-")
        self.path = folder / f"{name}_{resolution}_{count}.u8"
        if not create and not self.ready():
            state = "not completely drawn" if self.path.exists() else "missing"
            flag = " --same-individual" if same_individual else ""
            raise TrainingError(f"{self.path} is {state}. Draw it with `train pictures{flag}`.")
        self.rows = memory_map(self.path, (count, 4, resolution, resolution), create)

    def render(self, part: int = 0, parts: int = 1, compiled: bool = True) -> None:
        """Draw the rows of every parts-th batch from ``part`` on; resumes after the batches already drawn."""
        marker = self.path.with_suffix(f".{part}of{parts}")
        start = int(marker.read_text()) if marker.exists() else part * BATCH
        labels = self.domain.detail_labels()

        def draw(u: Tensor) -> Tensor:
            drawn = self.domain.render(u, self.resolution, labels=labels, chunk=BATCH)
            return torch.cat([(drawn.picture + 1) * 127.5, drawn.labels * 255], dim=1)

        run = torch.compile(draw) if compiled else draw
        name = f"{self.path.stem} {part + 1}/{parts}"
        with torch.no_grad():
            for i in tqdm(range(start, self.count, parts * BATCH), desc=name, mininterval=10, disable=None):
                seeds = list(range(i, i + BATCH))
                u = self.domain.factors(latents(seeds))
                planes = run(self.domain.same_individuals(u, seeds) if self.same_individual else u)
                self.rows[i : i + BATCH] = planes.round().clamp(0, 255).byte().numpy()[: self.count - i]
                if i // (parts * BATCH) % 64 == 0:
                    marker.write_text(str(i))
        marker.write_text(str(self.count))

    def ready(self) -> bool:
        """Whether every part has been drawn."""
        done: dict[str, int] = {}  # number of parts -> how many of them are drawn
        for marker in self.folder.glob(self.path.stem + ".*of*"):
            parts = marker.suffix.partition("of")[2]
            done[parts] = done.get(parts, 0) + (int(marker.read_text()) >= self.count)
        return self.path.exists() and any(drawn == int(parts) for parts, drawn in done.items())

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, R, R) in [-1, 1] and detail (B, 1, R, R) in [0, 1] of these row numbers (B,)."""
        planes = torch.from_numpy(self.rows[rows.numpy()]).float()
        return planes[:, :3] / 127.5 - 1, planes[:, 3:] / 255


def file_stem(domain: str, kind: str) -> str:
    """First part of the name of a file of individuals or pairs; the default domain is not named."""
    return kind if domain == DEFAULT else f"{kind}_{domain.removeprefix('synthetic-')}"


def memory_map(path: Path, shape: tuple[int, ...], create: bool) -> NDArray[np.uint8]:
    """A memory-mapped file of this shape, to be read. create: to be written, and created if it is missing."""
    if create and not path.exists():
        make_folder(path.parent)
        with path.open("wb") as file:
            file.truncate(math.prod(shape))
    return np.memmap(path, dtype=np.uint8, mode="r+" if create else "r", shape=shape)


def main(options: PictureFileOptions) -> None:
    """Draw the file. Raises TrainingError if the options do not fit the domain or each other."""
    domain = DOMAINS[options.domain]
    if options.same_individual and not domain.identity:
        raise TrainingError(
            f"{options.domain} has no individuals, so there are no other pictures of them. Leave out --same-individual."
        )
    if not 0 <= options.part < options.parts:
        raise TrainingError(f"--part must be from 0 to {options.parts - 1}, not {options.part}.")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    side = options.resolution or domain.resolution
    file = PictureFile(options.folder, options.count, side, options.same_individual, options.domain, create=True)
    file.render(options.part, options.parts, not options.no_compile)
