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
PRECISE_TO = 16  # largest side that tuning computes in float32: rounding there changes large areas of the picture


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

    def gradients(self, x: Tensor, y: Tensor, to_x: bool) -> tuple[Tensor | None, Tensor]:
        """The gradients at x, None unless `to_x`, and at the weight (without a folded blur), given y at the result."""
        if self.up and x.device.type == "cpu":  # two to three times as fast as oneDNN
            return self.adjoint(y) if to_x else None, _doubling_gradient(x, blur(y, self.kernel, 2))
        y, stride, padding = (blur(y, self.kernel, 2), [2, 2], [0, 0]) if self.up else (y, [1, 1], [1, 1])
        dx, dweight, _ = torch.ops.aten.convolution_backward(
            y, x, self.weight, None, stride, padding, [1, 1], self.up, [0, 0], 1, (to_x, True, False)
        )
        return dx, dweight

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


class _TunedLayer(torch.autograd.Function):
    """What `_FrozenLayer` computes for a style (B, I), with gradients also to the weight (O, I, 3, 3) and bias (O,).

    Weight and gradient are float32 and have the same memory layout; the convolutions run in the dtype of x. If the
    factors scale the weight, their gradients come from its gradient, without a pass over the maps.
    """

    @staticmethod
    def forward(  # noqa: D102 - torch's interface
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        style: Tensor,
        weight: Tensor,
        bias: Tensor,
        noise: Tensor | None,
        layer: StyledConv,
    ) -> Tensor:
        square = _kernel_sums(weight.square(), layer.up).t() / SQRT2**2
        gain = torch.addmm(weight.new_tensor([EPSILON / SQRT2**2]), style.square(), square).rsqrt_()
        ctx.factors = bounded(style, gain) if x.dtype == torch.float16 else (style, gain)
        ctx.merged = len(x) == 1 and weight[:, 0, 0, 0].numel() * weight[0].numel() < weight.shape[0] * layer.size**2
        ctx.convolution = layer.convolution(weight, x.dtype, ctx.factors if ctx.merged else None)
        shift = _map((bias * SQRT2)[None], x.dtype)
        if ctx.merged:
            a = ctx.convolution(x, shift.flatten())
        else:
            inward, outward = (_map(factor, x.dtype) for factor in ctx.factors)
            x = x * inward
            a = ctx.convolution(x)
            torch.addcmul(shift, a, outward, out=a)
        a = F.leaky_relu_(a if noise is None else a.add_(noise), SLOPE)
        ctx.save_for_backward(x, noise, style, gain, square, weight, bias, a)
        return a

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, da: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, noise, style, gain, square, weight, bias, a = ctx.saved_tensors
        to_x, _, _, _, to_noise, _ = ctx.needs_input_grad
        dz = torch.ops.aten.leaky_relu_backward(da, a, SLOPE, True)
        dnoise = dz.sum(dim=1, keepdim=True).sum_to_size(noise.shape) if to_noise else None
        sums = dz.sum(dim=(2, 3)).to(gain.dtype)
        if ctx.merged:
            dx, dweight = ctx.convolution.gradients(x, dz, to_x)
            dweight = oriented(dweight, ctx.convolution.up)
            products = _kernel_sums(dweight * weight, ctx.convolution.up)
            along_gain, dstyle = gain * (style @ products.t()), gain @ products
            dweight = dweight * (gain.t() * style)[:, :, None, None]
        else:
            along_gain = _dot(da, a) - bias * SQRT2 * sums
            along_gain = along_gain if noise is None else along_gain - _dot(dz, noise)
            inward, outward = (_map(factor, x.dtype) for factor in ctx.factors)
            dx, dweight = ctx.convolution.gradients(x, dz.mul_(outward), to_x=True)
            dweight = oriented(dweight, ctx.convolution.up).to(weight.dtype)
            dstyle = _dot(dx, x) / (style + (style == 0))
            dx = dx.mul_(inward)
        pull = along_gain * gain.square()  # of the norms of the modulated weights
        dstyle = dstyle - style * (pull @ square.t())
        dweight.addcmul_(weight, (pull.t() @ style.square())[:, :, None, None], value=-0.5)
        return dx, dstyle, dweight, SQRT2 * sums.sum(dim=0), dnoise, None


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
        self.weight.data = self.weight.contiguous()  # a sum depends on the order in memory
        weight = oriented(self.weight, self.up)
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
        """Map x (B, I, h, h) and w (B, w_dim) to (B, O, size, size) in `dtype`; float32 if it is small and tuned."""
        frozen = self.prepared is not None and self.prepared.serves(self._sources, dtype)
        if not frozen and self.size <= PRECISE_TO:
            dtype = torch.promote_types(dtype, torch.float32)
        if noise is not None:
            noise = None if self.noise_strength is None else (noise * (self.noise_strength * SQRT2)).to(dtype)
        if frozen:
            x = _FrozenLayer.apply(x.to(dtype), w, noise, self.prepared)
        else:
            x = _TunedLayer.apply(x.to(dtype), self.affine(w) * self.scale, self.weight, self.bias, noise, self)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)

    def convolution(self, weight: Tensor, dtype: torch.dtype, factors: tuple[Tensor, Tensor] | None) -> Convolution:
        """The convolution in `dtype` with a weight (O, I, 3, 3), scaled by factors: style (1, I) and gain (1, O)."""
        if factors is not None:
            style, gain = factors
            weight = weight * (gain.t() * style)[:, :, None, None]
        weight = oriented(weight, self.up).to(dtype, memory_format=torch.channels_last)
        return Convolution(weight, self.up, self.kernel.to(dtype))

    @torch.no_grad()
    def arrange(self) -> None:
        """Arrange the weight in memory as the convolution needs it, so that no step of tuning copies it for that."""
        arranged = oriented(self.weight, self.up).contiguous(memory_format=torch.channels_last)
        self.weight.data = oriented(arranged, self.up)


def _doubling_gradient(x: Tensor, y: Tensor) -> Tensor:
    """The gradient (I, O, 3, 3) at the weight of a transposed convolution with stride 2 and no padding.

    x (B, I, h, h): its input; y (B, O, 2 h + 1, 2 h + 1): the gradient at its result. One product for each row.
    """
    B, inputs, h, _ = x.shape
    outputs, width = y.shape[1], y.shape[3]
    columns = x.permute(0, 2, 3, 1).reshape(-1, inputs).t()
    y = y.permute(0, 2, 3, 1).contiguous()
    shape, strides = (B, h, h, 3 * outputs), (y.stride(0), 2 * width * outputs, 2 * outputs, 1)
    rows = [y.as_strided(shape, strides, row * width * outputs).reshape(-1, 3 * outputs) for row in range(3)]
    return torch.stack([columns @ row for row in rows], dim=1).view(inputs, 3, 3, outputs).permute(0, 3, 1, 2)


def oriented(weight: Tensor, up: bool) -> Tensor:
    """A weight (O, I, 3, 3) in the order of its convolution, (I, O, 3, 3) if `up`, and back."""
    return weight.transpose(0, 1) if up else weight


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


def _kernel_sums(weight: Tensor, up: bool) -> Tensor:
    """Sums (O, I) over the kernels of a weight (O, I, 3, 3), summed in the order of memory."""
    return oriented(oriented(weight, up).sum(dim=(2, 3)), up)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Sums (B, C) over the pixels of the product of two maps, in float32 or better."""
    return (a * b).sum(dim=(2, 3)).to(torch.promote_types(a.dtype, torch.float32))  # `dtype` would copy the map


def _map(values: Tensor, dtype: torch.dtype) -> Tensor:
    """View per-channel values (B, C) as a (B, C, 1, 1) factor of a feature map."""
    return values.to(dtype)[:, :, None, None]
