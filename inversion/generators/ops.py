"""Building blocks of the StyleGAN family: equalised layers, FIR resampling, modulated convolution.

Modulated convolution (Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN", section 2.2) is one
convolution for the whole batch: input channels are scaled by the style, output channels are divided by the norm of the
modulated weights. Gains are folded into small tensors, because on a CPU elementwise passes over feature maps cost more
than the convolutions.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SQRT2 = math.sqrt(2.0)  # gain after every leaky ReLU
SLOPE = 0.2
EPSILON = 1e-8  # of demodulation, pixel norm and minibatch deviation
FOLD_FROM = 64  # output side from which folding the blur into the up convolution is faster, measured on AMX


def fir(gain: float = 1.0) -> Tensor:
    """Return the (4, 4) binomial filter [1, 3, 3, 1] x [1, 3, 3, 1], which sums to `gain`."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0], device="cpu")  # a constant also within `build_without_weights`
    return torch.outer(row, row) * (gain / 64.0)


def blur(x: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """Filter every channel of x (B, C, H, W) with a (4, 4) kernel; the side changes by 2 * padding - 3."""
    channels = x.shape[1]
    weight = kernel.to(x.dtype).expand(channels, 1, 4, 4)
    return F.conv2d(x, weight, padding=padding, groups=channels)


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
    wide = torch.promote_types(x.dtype, torch.float32)
    return x * torch.rsqrt(x.to(wide).square().mean(dim=1, keepdim=True) + EPSILON).to(x.dtype)


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

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, inputs, H, W) to (B, outputs, H', W') in x's dtype."""
        side = self.weight.shape[-1]
        weight = (self.weight * self.scale).to(x.dtype)
        bias = None if self.bias is None else (self.bias * self.gain).to(x.dtype)
        if self.down:
            x = F.conv2d(blur(x, self.kernel, padding=(side + 1) // 2), weight, bias, stride=2)
        else:
            x = F.conv2d(x, weight, bias, padding=side // 2)
        return F.leaky_relu(x, SLOPE, inplace=True) if self.activate else x


@dataclass(frozen=True)
class Prepared:
    """Values that a convolution precomputes from its weight, valid while that tensor is not changed or replaced."""

    source: Tensor
    version: int
    dtype: torch.dtype
    weight: Tensor
    """In `dtype` and oriented for the convolution that runs: (O, I, k, k), or (I, O, k, k) for an up convolution."""
    square: Tensor
    """(O, I) float32: sum of the squared weights over the kernel; empty without demodulation."""

    def serves(self, weight: Tensor, dtype: torch.dtype) -> bool:
        """Whether it is valid for this weight (O, I, k, k): the same frozen tensor on the same device, unchanged."""
        return (
            self.source is weight
            and self.version == weight._version
            and self.dtype == dtype
            and self.weight.device == weight.device
            and not weight.requires_grad
        )


class StyledConv(nn.Module):
    """Modulated and demodulated 3x3 convolution, doubling the side if `up`; then noise, bias and leaky ReLU."""

    kernel: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        w_dim: int,
        size: int,
        up: bool,
        noise: bool,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.size = size  # of the output
        self.clamp = clamp  # largest magnitude of the output; None: any
        self.up = up
        self.affine = EqualLinear(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros(())) if noise else None
        self.register_buffer("kernel", fir(gain=4.0), persistent=False)
        self.scale = 1.0 / math.sqrt(inputs * 9)
        self.prepared: Prepared | None = None

    def __getstate__(self) -> dict[str, object]:
        """The state without the prepared weights, for copies and pickles: a copy is tuned, or prepares its own."""
        return {**self.__dict__, "prepared": None}

    @torch.no_grad()
    def prepare(self, dtype: torch.dtype) -> None:
        """Precompute from the frozen weight for calls in `dtype`."""
        weight = self.weight
        square = weight.square().sum(dim=(2, 3))
        fold = self.up and dtype.itemsize == 2 and self.size >= FOLD_FROM
        run = self._oriented(weight)
        run = fold_blur(run, self.kernel) if fold else run
        run = run.to(dtype, memory_format=torch.channels_last, copy=True)
        self.prepared = Prepared(weight, weight._version, dtype, run, square)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, dtype: torch.dtype) -> Tensor:
        """Map x (B, I, h, h) and w (B, w_dim) to (B, O, size, size) in `dtype`."""
        prepared = self.prepared
        if prepared is not None and prepared.serves(self.weight, dtype):
            square, weight = prepared.square, prepared.weight
        else:
            square = self.weight.square().sum(dim=(2, 3))
            weight = self._oriented(self.weight.to(dtype))
        style = self.affine(w) * self.scale
        gain = SQRT2 * torch.rsqrt(F.linear(style.square(), square) + EPSILON)
        if dtype == torch.float16:  # bounds the features: the style's magnitude is applied after the convolution
            peak = style.abs().amax(dim=1, keepdim=True).clamp_min(EPSILON)
            style, gain = style / peak, gain * peak
        x = self._convolve(x.to(dtype) * _map(style, dtype), weight)
        shift = _map((self.bias * SQRT2)[None], dtype)
        if noise is not None and self.noise_strength is not None:
            shift = torch.addcmul(shift, noise.to(dtype), (self.noise_strength * SQRT2).to(dtype))
        x = F.leaky_relu_(torch.addcmul(shift, x, _map(gain, dtype)), SLOPE)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)

    def _oriented(self, weight: Tensor) -> Tensor:
        return weight.transpose(0, 1) if self.up else weight

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        if not self.up:
            return F.conv2d(x, weight, padding=1)
        if weight.shape[-1] == 6:
            return F.conv_transpose2d(x, weight, stride=2, padding=2)
        return blur(F.conv_transpose2d(x, weight, stride=2), self.kernel, padding=1)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to three channels, without demodulation, added to the upsampled picture so far."""

    kernel: Tensor

    def __init__(self, inputs: int, w_dim: int, clamp: float | None = None) -> None:
        super().__init__()
        self.clamp = clamp  # largest magnitude of what is added; None: any
        self.affine = EqualLinear(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.register_buffer("kernel", fir(gain=4.0), persistent=False)
        self.scale = 1.0 / math.sqrt(inputs)

    def forward(self, x: Tensor, w: Tensor, rgb: Tensor | None) -> Tensor:
        """Map features x (B, C, H, H), w (B, w_dim) and rgb (B, 3, H/2, H/2) to (B, 3, H, H) float32."""
        batch, channels, height, width = x.shape
        style = self.affine(w) * self.scale
        mix = (style[:, :, None] * self.weight.view(3, channels).t()).to(x.dtype)  # (B, C, 3)
        # A channels-last map is already a matrix of rows, so the style needs no pass over it.
        y = torch.bmm(x.permute(0, 2, 3, 1).reshape(batch, height * width, channels), mix).to(self.bias.dtype)
        y = y.view(batch, height, width, 3).permute(0, 3, 1, 2)
        if self.clamp is not None:
            y = (y + self.bias[:, None, None]).clamp(-self.clamp, self.clamp)
            return y if rgb is None else upsample(rgb, self.kernel) + y
        if rgb is None:
            return y + self.bias[:, None, None]
        return upsample(rgb, self.kernel, self.bias) + y


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


def _map(values: Tensor, dtype: torch.dtype) -> Tensor:
    """View per-channel values (B, C) as a (B, C, 1, 1) factor of a feature map."""
    return values.to(dtype)[:, :, None, None]
