"""The encoder of e4e (Tov et al. 2021): one style for all layers, and offsets from it."""

import torch
from torch import Tensor

from inversion.encoders.psp import PSP


class E4E(PSP):
    """The tensors of pSp, read otherwise: row 0 is the style, row i the offset that layer i adds to it."""

    def offsets(self, x: Tensor, stage: int | None = None) -> Tensor:
        """Predict (B, num_ws, w_dim); `stage` s adds only the offsets of layers 1..s, as early training does."""
        rows = self.rows(x)
        style, last = rows[:, :1], self.num_ws - 1 if stage is None else stage
        moved = style + rows[:, 1 : last + 1]
        return torch.cat([style, moved, style.expand(-1, self.num_ws - 1 - last, -1)], dim=1)
