"""How well `inversion.editing.domain` separates pictures inside and outside the domains of the embedded models.

``python -m benchmarks.domain --json domain.json`` scores held-out and out-of-domain pictures of every domain (faces
with hats, paint or unnatural skin), and photos of scikit-image. It prints for each model AUC, the threshold, and how
many pictures lie on its wrong side.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from benchmarks.common import benchmark_parser, table, write_rows
from inversion import images
from inversion.align import Crop, part_of
from inversion.checkpoints import hub
from inversion.common.commands import guarded, positive
from inversion.editing.domain import known_domains, scores
from inversion.serving.measurement import crop
from inversion.synthetic import DOMAINS, HELD_OUT, OUT_OF_DOMAIN

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "camera")
BATCH = 8


@dataclass(frozen=True)
class DomainRow:
    """How well a model separates its own domain from one kind of pictures outside it. Scores are PSNR in dB."""

    model: str
    outside: str
    n: str  # pictures inside and outside
    auc: float
    threshold: float
    lowest_inside: float
    highest_outside: float
    missed_inside: int
    missed_outside: int


def photo(name: str) -> np.ndarray:
    """A photo of scikit-image, uint8 (H, W, 3)."""
    from skimage import data

    picture = getattr(data, name)()
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def sources(count: int, model: str) -> dict[str, Tensor]:
    """Pictures (n, 3, R, R) in [-1, 1] of each kind, at the model's resolution."""
    side = hub.load(model, device="cpu").resolution
    drawn = {name: DOMAINS[name].draw(range(HELD_OUT, HELD_OUT + count)).picture for name in known_domains()}
    for name in known_domains():
        if DOMAINS[name].extras is not None:
            drawn[f"out-of-domain {name}"] = DOMAINS[name].draw(range(OUT_OF_DOMAIN, OUT_OF_DOMAIN + count)).picture
    found = {
        kind: [part_of(images.to_array(one), Crop(), side) for one in batch.split(1)] for kind, batch in drawn.items()
    }
    found["photos"] = [part_of(picture, crop(picture, model), side) for picture in map(photo, PHOTOS)]
    return {kind: torch.cat([images.to_tensor(one) for one in pictures]) for kind, pictures in found.items()}


def auc(inside: Sequence[float], outside: Sequence[float]) -> float:
    """Probability that a picture inside scores higher than one outside."""
    a, b = np.array(inside)[:, None], np.array(outside)[None]
    return float(np.mean((a > b) + 0.5 * (a == b)))


def rows_of(name: str, count: int) -> list[DomainRow]:
    """One row for each kind of pictures outside the domain of a model."""
    known = known_domains()[name]
    model = hub.load(known.model, device="cpu")
    values = {
        kind: [score for part in pictures.split(BATCH) for score in scores(model, part)]
        for kind, pictures in sources(count, known.model).items()
    }
    inside = values.pop(name)
    return [
        DomainRow(
            model=known.model,
            outside=kind,
            n=f"{len(inside)}+{len(outside)}",
            auc=round(auc(inside, outside), 4),
            threshold=known.threshold,
            lowest_inside=round(min(inside), 2),
            highest_outside=round(max(outside), 2),
            missed_inside=sum(score < known.threshold for score in inside),
            missed_outside=sum(score >= known.threshold for score in outside),
        )
        for kind, outside in values.items()
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = benchmark_parser("domain", __doc__)
    parser.add_argument("--n", type=positive, default=64, help="held-out pictures of each kind")
    args = parser.parse_args(argv)
    rows = [row for name in known_domains() for row in rows_of(name, args.n)]
    write_rows(args.json, rows)
    names = [spec.name for spec in fields(DomainRow)]
    sys.stdout.write(table(names, [[getattr(row, name) for name in names] for row in rows]) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.domain", main))
