"""The convolution of PGGAN and the first StyleGAN: equalised, not modulated, doubling by nearest neighbours."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inversion.generators.ops import SQRT2, Preparable, Prepared


@dataclass(frozen=True)
class PreparedWeight(Prepared):
    """The weight of a `PlainConv`, scaled, in `dtype` and oriented for the convolution that runs."""

    weight: Tensor  # (O, I, k, k), or (I, O, 4, 4) for an up convolution


class PlainConv(Preparable):
    """Convolution whose stored weights have unit variance; `up` doubles the side by nearest neighbours first.

    Doubling and convolution are one transposed convolution with the sum of four shifted kernels. This takes 4
    multiplications instead of 9.
    """

    prepared: PreparedWeight | None = None

    def __init__(
        self,
        inputs: int,
        outputs: int,
        side: int = 3,
        up: bool = False,
        padding: int | None = None,
        gain: float = SQRT2,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side))
        self.scale = gain / math.sqrt(inputs * side * side)
        self.padding = side // 2 if padding is None else padding
        self.up = up

    @torch.no_grad()
    def prepare(self, dtype: torch.dtype) -> None:
        """Precompute from the frozen weight for calls in `dtype`."""
        run = self._run(self.weight).to(dtype, memory_format=torch.channels_last, copy=True)
        self.prepared = PreparedWeight((self.weight,), dtype, run)

    def forward(self, x: Tensor, dtype: torch.dtype, bias: Tensor | None = None) -> Tensor:
        """Map x (B, inputs, h, h) to (B, outputs, h or 2 h, h or 2 h) in `dtype` and add bias (outputs,)."""
        prepared = self.prepared
        ready = prepared is not None and prepared.serves((self.weight,), dtype)
        weight = prepared.weight if prepared is not None and ready else self._run(self.weight).to(dtype)
        x, bias = x.to(dtype), None if bias is None else bias.to(dtype)
        if self.up:
            return F.conv_transpose2d(x, weight, bias, stride=2, padding=1)
        return F.conv2d(x, weight, bias, padding=self.padding)

    def _run(self, weight: Tensor) -> Tensor:
        """Scaled weights: (O, I, k, k), or (I, O, 4, 4) for the transposed convolution that doubles the side."""
        weight = weight * self.scale
        if not self.up:
            return weight
        wide = F.pad(weight.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))
        return wide[:, :, 1:, 1:] + wide[:, :, :-1, 1:] + wide[:, :, 1:, :-1] + wide[:, :, :-1, :-1]
