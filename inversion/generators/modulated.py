"""Modulated convolution (Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN", section 2.2).

One convolution serves the whole batch: input channels are scaled by the style, output channels are divided by the norm
of the modulated weights. With frozen weights, a layer is one autograd function: it makes fewer passes over memory,
stores no intermediate maps, and computes only the gradients that are asked for. For a single picture, both factors
scale the weights instead if these are smaller than the map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from inversion.generators.ops import (
    EPSILON,
    SLOPE,
    SQRT2,
    EqualLinear,
    Preparable,
    Prepared,
    blur,
    fir,
    fold_blur,
    upsample,
)

FOLD_FROM = 64  # output side from which folding the blur into the up convolution is faster, measured on AMX


def folds_blur(weight: Tensor, dtype: torch.dtype) -> bool:
    """Whether the device multiplies so fast that a pass over memory costs more than four times the multiplications.

    Measured: true of AMX, false of AVX-512, where folding makes the up convolution 3.5 times slower.
    """
    return dtype.itemsize == 2 and (weight.device.type != "cpu" or torch.cpu._is_amx_tile_supported())


@dataclass(frozen=True)
class Convolution:
    """A 3x3 convolution, or the transposed one with a blur that doubles the side."""

    weight: Tensor  # (O, I, 3, 3); for `up` (I, O, 3, 3), or (I, O, 6, 6) with the blur folded in
    up: bool
    kernel: Tensor  # of the blur, symmetric

    def __call__(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Map x (B, I, h, h) to (B, O, h or 2 h, h or 2 h); adds bias (O,)."""
        if not self.up:
            return F.conv2d(x, self.weight, bias, padding=1)
        if self.weight.shape[-1] == 6:
            return F.conv_transpose2d(x, self.weight, bias, stride=2, padding=2)
        return blur(F.conv_transpose2d(x, self.weight, stride=2), self.kernel, 1, bias)

    def adjoint(self, y: Tensor) -> Tensor:
        """The gradient at x, given the gradient y at the result."""
        if not self.up:
            return F.conv_transpose2d(y, self.weight, padding=1)
        if self.weight.shape[-1] == 6:
            return F.conv2d(y, self.weight, stride=2, padding=2)
        return F.conv2d(blur(y, self.kernel, 2), self.weight, stride=2)

    def scaled(self, style: Tensor, gain: Tensor) -> Convolution:
        """The convolution with input channels times style (1, I) and output channels times gain (1, O)."""
        factors = style.t() * gain if self.up else gain.t() * style
        return replace(self, weight=self.weight * factors.to(self.weight.dtype)[:, :, None, None])

    def is_smaller_than_map(self, x: Tensor) -> bool:
        """Whether the weights are fewer than the values of one result for x (B, I, h, h)."""
        outputs = self.weight.shape[1] if self.up else self.weight.shape[0]
        return self.weight.numel() < outputs * x.shape[2] * x.shape[3] * (4 if self.up else 1)


@dataclass(frozen=True)
class PreparedLayer(Prepared):
    """The constants of a `StyledConv`, with its scales, its gain and the gain of the leaky ReLU folded in."""

    affine: Tensor  # (w_dim, I): styles are w affine + offset
    offset: Tensor  # (I,)
    square: Tensor  # (I, O): gains are (styles^2 square + epsilon)^(-1/2)
    epsilon: Tensor  # (1,)
    convolution: Convolution  # in `dtype`
    shift: Tensor  # (O,)


class _FrozenLayer(torch.autograd.Function):
    """leaky_relu(gain convolution(style x) + shift + noise) of a `PreparedLayer`, for x (B, I, h, h) and w (B, w_dim).

    Let z be the argument of the leaky ReLU and a its result. Per channel, <da, a> = <dz, z> is the gradient to the gain
    times the gain (after subtracting shift and noise), and <dx, x> the gradient to the style times the style. So the
    backward needs neither z, nor the convolution's result, nor its scaled input.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, noise: Tensor | None, layer: PreparedLayer) -> Tensor:  # noqa: ANN401
        style = torch.addmm(layer.offset, w, layer.affine)
        gain = torch.addmm(layer.epsilon, style.square(), layer.square).rsqrt_()
        ctx.factors = bounded(style, gain) if x.dtype == torch.float16 else (style, gain)
        ctx.convolution, ctx.merged = layer.convolution, len(x) == 1 and layer.convolution.is_smaller_than_map(x)
        if ctx.merged:
            ctx.convolution = layer.convolution.scaled(*ctx.factors)
            a = ctx.convolution(x, layer.shift.to(x.dtype))
        else:
            inward, outward = (_map(factor, x.dtype) for factor in ctx.factors)
            a = layer.convolution(x * inward)
            torch.addcmul(_map(layer.shift[None], x.dtype), a, outward, out=a)
        a = F.leaky_relu_(a if noise is None else a.add_(noise), SLOPE)
        ctx.layer = layer
        ctx.save_for_backward(x, noise, style, gain, a)
        return a

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, da: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, noise, style, gain, a = ctx.saved_tensors
        to_x, to_w, to_noise, _ = ctx.needs_input_grad
        layer: PreparedLayer = ctx.layer
        dw = dnoise = None
        dz = torch.ops.aten.leaky_relu_backward(da, a, SLOPE, True)
        if to_noise:
            dnoise = dz.sum(dim=1, keepdim=True).sum_to_size(noise.shape)
        if to_w:
            along_gain = _dot(da, a) - layer.shift * dz.sum(dim=(2, 3)).to(gain.dtype)
            along_gain = along_gain if noise is None else along_gain - _dot(dz, noise)
        inward, outward = (_map(factor, x.dtype) for factor in ctx.factors)
        dx = ctx.convolution.adjoint(dz if ctx.merged else dz.mul_(outward))
        dx = dx if ctx.merged else dx.mul_(inward)
        if to_w:
            dstyle = _dot(dx, x) / (style + (style == 0)) - style * ((along_gain * gain.square()) @ layer.square.t())
            dw = dstyle @ layer.affine.t()
        return dx if to_x else None, dw, dnoise, None


class StyledConv(Preparable):
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

    @property
    def _sources(self) -> tuple[Tensor, ...]:
        return self.weight, self.bias, self.affine.weight, self.affine.bias

    @torch.no_grad()
    def prepare(self, dtype: torch.dtype) -> None:
        """Precompute from the frozen weights for calls in `dtype`."""
        weight = self._oriented(self.weight)
        if self.up and self.size >= FOLD_FROM and folds_blur(weight, dtype):
            weight = fold_blur(weight, self.kernel)
        self.prepared = PreparedLayer(
            self._sources,
            dtype,
            affine=self.affine.weight.t() * (self.affine.gain * self.scale),
            offset=self.affine.bias * (self.affine.multiplier * self.scale),
            square=self.weight.square().sum(dim=(2, 3)).t() / SQRT2**2,
            epsilon=self.weight.new_tensor([EPSILON / SQRT2**2]),
            convolution=Convolution(
                weight.to(dtype, memory_format=torch.channels_last, copy=True), self.up, self.kernel.to(dtype)
            ),
            shift=self.bias * SQRT2,
        )

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, dtype: torch.dtype) -> Tensor:
        """Map x (B, I, h, h) and w (B, w_dim) to (B, O, size, size) in `dtype`."""
        if noise is not None:
            noise = None if self.noise_strength is None else (noise * (self.noise_strength * SQRT2)).to(dtype)
        prepared = self.prepared
        if prepared is not None and prepared.serves(self._sources, dtype):
            x = _FrozenLayer.apply(x.to(dtype), w, noise, prepared)
        else:
            x = self._trainable(x.to(dtype), w, noise)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)

    def _trainable(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """What `_FrozenLayer` computes, with gradients also to the weights."""
        style = self.affine(w) * self.scale
        gain = SQRT2 * torch.rsqrt(F.linear(style.square(), self.weight.square().sum(dim=(2, 3))) + EPSILON)
        style, gain = bounded(style, gain) if x.dtype == torch.float16 else (style, gain)
        convolution = Convolution(self._oriented(self.weight.to(x.dtype)), self.up, self.kernel.to(x.dtype))
        shift = _map((self.bias * SQRT2)[None], x.dtype)
        shift = shift if noise is None else shift + noise
        x = torch.addcmul(shift, convolution(x * _map(style, x.dtype)), _map(gain, x.dtype))
        return F.leaky_relu_(x, SLOPE)

    def _oriented(self, weight: Tensor) -> Tensor:
        return weight.transpose(0, 1) if self.up else weight


class _Mix(torch.autograd.Function):
    """mix (B, 3, C) rows^T (B, C, P). The gradient to the rows (B, P, C) has their memory layout."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, mix: Tensor) -> Tensor:  # noqa: ANN401 - torch's context
        ctx.save_for_backward(rows, mix)
        return torch.bmm(mix, rows.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - torch's context
        rows, mix = ctx.saved_tensors
        to_rows, to_mix = ctx.needs_input_grad
        return torch.bmm(dy.transpose(1, 2), mix) if to_rows else None, torch.bmm(dy, rows) if to_mix else None


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
        mix = (style[:, None] * self.weight.view(3, channels)).to(x.dtype)  # (B, 3, C)
        rows = x.permute(0, 2, 3, 1).reshape(batch, height * width, channels)  # no copy of a channels-last map
        y = _Mix.apply(rows, mix).to(self.bias.dtype).view(batch, 3, height, width)
        if self.clamp is not None:
            y = (y + self.bias[:, None, None]).clamp(-self.clamp, self.clamp)
            return y if rgb is None else upsample(rgb, self.kernel) + y
        if rgb is None:
            return y + self.bias[:, None, None]
        return upsample(rgb, self.kernel, self.bias) + y


def bounded(style: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
    """Styles (B, I) divided by their largest magnitude, and gains (B, O) times it: float16 holds the features."""
    peak = style.abs().amax(dim=1, keepdim=True).clamp_min(EPSILON)
    return style / peak, gain * peak


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Sums (B, C) over the pixels of the product of two maps, in float32 or better."""
    return (a * b).sum(dim=(2, 3)).to(torch.promote_types(a.dtype, torch.float32))  # `dtype` would copy the map


def _map(values: Tensor, dtype: torch.dtype) -> Tensor:
    """View per-channel values (B, C) as a (B, C, 1, 1) factor of a feature map."""
    return values.to(dtype)[:, :, None, None]
