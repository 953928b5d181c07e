"""Building blocks of the StyleGAN family: equalised layers, FIR resampling, minibatch deviation.

Gains are folded into small tensors, because passes over feature maps cost time.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

SQRT2 = math.sqrt(2.0)  # gain after every leaky ReLU
SLOPE = 0.2
EPSILON = 1e-8  # of demodulation, pixel norm and minibatch deviation


def fir(gain: float = 1.0) -> Tensor:
    """Return the (4, 4) binomial filter [1, 3, 3, 1] x [1, 3, 3, 1], which sums to `gain`."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0], device="cpu")  # a constant also within `build_without_weights`
    return torch.outer(row, row) * (gain / 64.0)


def blur(x: Tensor, kernel: Tensor, padding: int, bias: Tensor | None = None) -> Tensor:
    """Filter every channel of x (B, C, H, W) with a (4, 4) kernel and add bias (C,). Sides change by 2 padding - 3."""
    channels = x.shape[1]
    weight = kernel.to(x.dtype).expand(channels, 1, 4, 4)
    return F.conv2d(x, weight, bias, padding=padding, groups=channels)


def fold_blur(weight: Tensor, kernel: Tensor) -> Tensor:
    """Fold a (4, 4) blur into transposed 3x3 weights (I, O, 3, 3): (I, O, 6, 6) for stride 2, padding 2."""
    spread = kernel.new_zeros(3, 3, 6, 6)
    for i in range(3):
        for j in range(3):
            spread[i, j, i : i + 4, j : j + 4] = kernel
    return (weight.reshape(-1, 9) @ spread.view(9, 36)).view(*weight.shape[:2], 6, 6)


def upsample(rgb: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """Double the side of rgb (B, C, H, W) with a (4, 4) kernel of gain 4, zeros outside; adds bias (C,)."""
    channels = rgb.shape[1]
    weight = kernel.to(rgb.dtype).expand(channels, 1, 4, 4)
    return F.conv_transpose2d(rgb.contiguous(), weight, bias, stride=2, padding=1, groups=channels)


def pixel_norm(x: Tensor) -> Tensor:
    """Scale every vector over dimension 1 of x (B, C, ...) to unit mean square, measured in float32 or better."""
    return _PixelNorm.apply(x)


class _PixelNorm(torch.autograd.Function):
    """y = r x with r = (mean(x^2) + epsilon)^(-1/2). The gradient to x is r (dy - y mean(dy y))."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - torch's context
        wide = torch.promote_types(x.dtype, torch.float32)
        norm = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=wide)
        r = (norm.square() / x.shape[1] + EPSILON).rsqrt_().to(x.dtype)
        y = x * r
        ctx.save_for_backward(y, r)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Tensor:  # noqa: ANN401 - torch's context
        y, r = ctx.saved_tensors
        along = (dy * y).mean(dim=1, keepdim=True)
        return torch.addcmul(dy, y, along, value=-1).mul_(r)


class EqualLinear(nn.Module):
    """Dense layer whose stored weights have unit variance over `multiplier` and are scaled at run time."""

    def __init__(
        self, inputs: int, outputs: int, bias: float = 0.0, multiplier: float = 1.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias / multiplier))
        self.gain = multiplier / math.sqrt(inputs)
        self.multiplier = multiplier
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, inputs) to (B, outputs), in float32."""
        act_gain = SQRT2 if self.activate else 1.0
        x = F.linear(x * (self.gain * act_gain), self.weight, self.bias * (self.multiplier * act_gain))
        return F.leaky_relu(x, SLOPE) if self.activate else x


class EqualConv(nn.Module):
    """Convolution with run-time scaled weights; `down` blurs and halves the side, `gain` follows the activation."""

    kernel: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        side: int,
        bias: bool = True,
        down: bool = False,
        activate: bool = True,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.register_buffer("kernel", fir(), persistent=False)
        self.gain = gain * (SQRT2 if activate else 1.0)
        self.scale = self.gain / math.sqrt(inputs * side * side)
        self.down = down
        self.activate = activate
        self.limit: float | None = None  # largest magnitude of the output

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, inputs, H, W) to (B, outputs, H', W') in x's dtype."""
        side = self.weight.shape[-1]
        weight = (self.weight * self.scale).to(x.dtype)
        bias = None if self.bias is None else (self.bias * self.gain).to(x.dtype)
        if self.down:
            x = F.conv2d(blur(x, self.kernel, padding=(side + 1) // 2), weight, bias, stride=2)
        else:
            x = F.conv2d(x, weight, bias, padding=side // 2)
        x = F.leaky_relu(x, SLOPE, inplace=True) if self.activate else x
        return x if self.limit is None else x.clamp(-self.limit, self.limit)


@dataclass(frozen=True)
class Prepared:
    """The base of values that a layer precomputes from frozen tensors for calls in `dtype`."""

    sources: tuple[Tensor, ...]
    dtype: torch.dtype
    versions: tuple[int, ...] = field(init=False)
    device: torch.device = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "versions", tuple(source._version for source in self.sources))
        object.__setattr__(self, "device", self.sources[0].device)

    def serves(self, sources: tuple[Tensor, ...], dtype: torch.dtype) -> bool:
        """Whether the values are valid: `sources` are the same frozen tensors on the same device, unchanged."""
        return self.dtype == dtype and all(
            own is source and version == source._version and source.device == self.device and not source.requires_grad
            for own, version, source in zip(self.sources, self.versions, sources, strict=True)
        )


class Preparable(nn.Module, ABC):
    """A layer that precomputes from its frozen weights. A copy, also by pickle, is tuned or prepares its own."""

    prepared: Prepared | None = None

    @abstractmethod
    def prepare(self, dtype: torch.dtype) -> None:
        """Precompute `prepared` from the frozen weights for calls in `dtype`."""

    def arrange(self) -> None:
        """Arrange the weights in memory so that steps of tuning are fast."""

    def __getstate__(self) -> dict[str, object]:
        """The state without the prepared values."""
        return {**self.__dict__, "prepared": None}


def minibatch_deviation(x: Tensor, group: int) -> Tensor:
    """Append to x (B, C, H, W) a map of the mean standard deviation within groups of at most `group` pictures.

    Picture i belongs to group i mod (B / group size), as in Karras et al. 2018 ("Progressive growing of GANs",
    section 3). If `group` does not divide the batch, the next smaller size that divides it is used.
    """
    batch, _, height, width = x.shape
    size = next(n for n in range(min(group, batch), 0, -1) if batch % n == 0)
    groups = x.view(size, batch // size, *x.shape[1:])
    deviation = (groups.var(dim=0, correction=0) + EPSILON).sqrt().mean(dim=(1, 2, 3))
    extra = deviation.repeat(size).view(batch, 1, 1, 1).expand(batch, 1, height, width)
    return torch.cat([x, extra], dim=1)
