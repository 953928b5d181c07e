"""The encoder of e4e (Tov et al. 2021): one style for all layers, and offsets from it."""

from typing import ClassVar

import torch
from torch import Tensor

from inversion.encoders.psp import PSP


class E4E(PSP):
    """pSp's tensors, with another meaning: row 0 is the style, and row i is the offset that layer i adds to it."""

    role: ClassVar[str] = "e4e"

    def offsets(self, x: Tensor, stage: int | None = None) -> Tensor:
        """Predict (B, num_ws, w_dim); `stage` s adds the offsets of layers 1..s only, as in early training."""
        return from_one_style(self.rows(x), stage)


def from_one_style(rows: Tensor, stage: int | None) -> Tensor:
    """Styles (B, n, w_dim) from e4e's rows (B, n, w_dim): row 0, plus row i in layers 1 <= i <= stage (None: all)."""
    style, last = rows[:, :1], rows.shape[1] - 1 if stage is None else stage
    return torch.cat([style, style + rows[:, 1 : last + 1], style.expand(-1, rows.shape[1] - 1 - last, -1)], dim=1)
