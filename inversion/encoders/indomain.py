"""The domain-guided encoder of IDInvert (Zhu et al. 2020), with the architecture of its published weights."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self

from inversion.encoders.base import Encoder, load_frozen
from inversion.generators.base import StateDictError, build_without_weights, count_keys, shapes_of
from inversion.generators.ops import SLOPE


class _Normed(nn.Module):
    """Convolution, batch norm, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, side: int = 3, bias: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=bias)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, h) to (B, outputs, h, h)."""
        return F.leaky_relu(self.bn(self.conv(x)), SLOPE)


class _Block(nn.Module):
    """Residual pair of convolutions. The shortcut is a 1x1 convolution if the number of channels changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = _Normed(inputs, min(inputs, outputs), bias=True)
        self.second = _Normed(min(inputs, outputs), outputs, bias=True)
        self.skip = _Normed(inputs, outputs, side=1) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, h) to (B, outputs, h, h)."""
        return self.second(self.first(x)) + (x if self.skip is None else self.skip(x))


class InDomain(Encoder):
    """Residual blocks, each after halving the side, and a linear layer to all styles. It adds no mean.

    `widths` are the channels of the first map and of every block's map.
    """

    role: ClassVar[str] = "indomain"

    def __init__(self, widths: Sequence[int], num_ws: int, w_dim: int = 512, inputs: int = 3) -> None:
        super().__init__()
        self.num_ws, self.w_dim, self.inputs = num_ws, w_dim, inputs
        self.size = 4 << (len(widths) - 1)
        self.stem = _Normed(inputs, widths[0])
        self.blocks = nn.ModuleList(_Block(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.weight = nn.Parameter(torch.randn(num_ws * w_dim, widths[-1] * 16))
        self.bn = nn.BatchNorm1d(num_ws * w_dim)
        zeros = torch.zeros(num_ws, w_dim, device="cpu")
        self.register_buffer("latent_avg", zeros, persistent=False)

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from a state dict: the side is 4 pixels, doubled by every block, and W+ has two rows per doubling.

        Raises StateDictError.
        """
        count = count_keys(tensors, "blocks.{}.second.bn.weight")
        names = ["stem.conv.weight", *(f"blocks.{i}.second.conv.weight" for i in range(count))]
        stem, *blocks = shapes_of(cls.__name__, tensors, names, 4)
        (dense,) = shapes_of(cls.__name__, tensors, ["weight"], 2)
        num_ws = 2 * count + 2
        if not count or dense[0] % num_ws:
            raise StateDictError(
                f"{cls.__name__}: weight {dense} is not for the {num_ws} styles of {4 << count} pixels"
            )
        widths = [stem[0], *(shape[0] for shape in blocks)]
        encoder = build_without_weights(lambda: cls(widths, num_ws, dense[0] // num_ws, stem[1]))
        load_frozen(encoder, tensors)
        return encoder

    def offsets(self, x: Tensor) -> Tensor:
        """Predict (B, num_ws, w_dim), the styles themselves, for x (B, inputs, size, size)."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(F.avg_pool2d(x, 2))
        code = self.bn(F.linear(x.flatten(1) / math.sqrt(self.weight.shape[1]), self.weight))
        return code.unflatten(1, (self.num_ws, self.w_dim))
