"""Batches of faces with their ground truth, and the extras that only out-of-domain faces have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from inversion.synthetic.base import Batch, latents, sketch
from inversion.synthetic.faces.factors import CLASSES, OUT_OF_DOMAIN, factors_of, turned_to_front
from inversion.synthetic.faces.renderer import render

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Faces(Batch):
    """A batch of faces with their ground truth."""

    front: Tensor  # (B, 3, R, R) in [-1, 1], the same faces turned to the front


def draw_faces(seeds: Sequence[int], resolution: int = 128, device: torch.device | str = "cpu") -> Faces:
    """Draw the faces of these seeds. Seeds from ``OUT_OF_DOMAIN`` on have hats, face paint or unnatural skin."""
    z = latents(seeds)
    u = factors_of(z)
    extras = _extras(seeds)
    on_device = u.to(device)
    drawn = render(on_device, resolution, labels=torch.eye(len(CLASSES)), extras=extras)
    front = render(turned_to_front(on_device), resolution, extras=extras).picture
    return Faces(z, u, drawn.picture, drawn.labels, sketch(drawn.picture, drawn.labels), front)


def _extras(seeds: Sequence[int]) -> dict[str, Tensor]:
    """Extras of out-of-domain faces, name -> (B,): each face has one or two of hat, face paint and unnatural skin."""
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
