"""The embedded face domain: procedural faces with exact factors, segmentation map and sketch for every picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inversion.synthetic.canvas import CLASSES
from inversion.synthetic.factors import HELD_OUT, OUT_OF_DOMAIN, factors, latents, turned_to_front
from inversion.synthetic.renderer import render, sketch

__all__ = ["CLASSES", "HELD_OUT", "OUT_OF_DOMAIN", "Faces", "faces", "pictures"]


@dataclass(frozen=True)
class Faces:
    """A batch of faces with everything that is known about them."""

    z: Tensor  # (B, 64) codes, CPU
    factors: Tensor  # (B, len(FACTORS)) in (-1, 1), CPU
    picture: Tensor  # (B, 3, R, R) in [-1, 1]
    segmentation: Tensor  # (B, len(CLASSES), R, R) coverages that sum to 1
    sketch: Tensor  # (B, 1, R, R) in [-1, 1], 1 is paper
    front: Tensor  # (B, 3, R, R) the same faces turned to the front


def faces(seeds: Sequence[int], resolution: int = 128, device: torch.device | str = "cpu") -> Faces:
    """The faces of these seeds. From ``OUT_OF_DOMAIN`` on they wear hats, face paint or odd colours."""
    z = latents(seeds)
    u = factors(z)
    extras = _extras(seeds)
    on_device = u.to(device)
    drawn = render(on_device, resolution, labels=torch.eye(len(CLASSES)), extras=extras)
    front = render(turned_to_front(on_device), resolution, extras=extras).picture
    return Faces(z, u, drawn.picture, drawn.labels, sketch(drawn.picture, drawn.labels), front)


def pictures(n: int, rng: torch.Generator, resolution: int = 128, device: torch.device | str = "cpu") -> Tensor:
    """A stream of domain pictures: n of them (n, 3, R, R) in [-1, 1], seeds below ``HELD_OUT`` drawn from rng."""
    seeds = torch.randint(0, HELD_OUT, (n,), generator=rng).tolist()
    return render(factors(latents(seeds)).to(device), resolution).picture


def _extras(seeds: Sequence[int]) -> dict[str, Tensor]:
    """What out-of-domain faces carry: each has one or two of hat, face paint and odd skin."""
    if all(seed < OUT_OF_DOMAIN for seed in seeds):
        return {}
    names = ("hat_hue", "paint_hue", "skin_hue")
    rows = []
    for seed in seeds:
        rng = torch.Generator().manual_seed(int(seed) + 1)
        hues = torch.rand(len(names), generator=rng)
        kind = seed % 3
        worn = torch.tensor([kind != 1, kind != 0, kind == 2], dtype=torch.float32) * float(seed >= OUT_OF_DOMAIN)
        rows.append(torch.cat([hues, worn]))
    table = torch.stack(rows)
    return dict(zip((*names, "hat", "paint", "skin_odd"), table.unbind(dim=1), strict=True))
