"""Parts that only faces from outside the domain have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from inversion.synthetic.base import OUT_OF_DOMAIN

if TYPE_CHECKING:
    from torch import Tensor


def extras_of(seeds: Sequence[int]) -> dict[str, Tensor]:
    """Extras of the faces of these seeds, name -> (B,); {} if all seeds are below `OUT_OF_DOMAIN`.

    Each face with a larger seed has one or two of hat, face paint and unnatural skin.
    """
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
