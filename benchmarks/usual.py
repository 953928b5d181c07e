"""The usual formulations of public code for the layers of the generators, in float32, to be timed beside ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from inversion.generators.modulated import StyledConv
from inversion.generators.ops import EPSILON, SLOPE, SQRT2, blur
from inversion.generators.plain import PlainConv


@contextmanager
def usual() -> Iterator[None]:
    """Within it, all generators compute as public code does."""
    with ExitStack() as forms:
        forms.enter_context(patch.object(StyledConv, "forward", grouped))
        forms.enter_context(patch.object(PlainConv, "forward", doubled_first))
        forms.enter_context(patch("inversion.generators.stylegan.styled", unfused_style))
        forms.enter_context(patch("inversion.generators.pggan.pixel_norm", unfused_pixel_norm))
        yield


def grouped(self: StyledConv, x: Tensor, w: Tensor, noise: Tensor | None, dtype: torch.dtype) -> Tensor:
    """A styled convolution of StyleGAN2 on x (B, I, H, H): one set of weights per picture, demodulated, grouped."""
    B, inputs, height, _ = x.shape
    weight = self.weight * self.scale * self.affine(w)[:, None, :, None, None]  # (B, O, I, 3, 3)
    weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + EPSILON)
    x = x.to(dtype).contiguous().view(1, B * inputs, height, height)
    if self.up:
        flat = weight.transpose(1, 2).reshape(B * inputs, -1, 3, 3).to(dtype)
        x = F.conv_transpose2d(x, flat, stride=2, groups=B)
        x = blur(x.view(B, -1, *x.shape[2:]), self.kernel, padding=1)
    else:
        x = F.conv2d(x, weight.flatten(0, 1).to(dtype), padding=1, groups=B).view(B, -1, height, height)
    if noise is not None and self.noise_strength is not None:
        x = x + noise * self.noise_strength
    return F.leaky_relu(x + self.bias[:, None, None].to(dtype), SLOPE) * SQRT2


def doubled_first(self: PlainConv, x: Tensor, dtype: torch.dtype, bias: Tensor | None = None) -> Tensor:
    """A convolution of PGGAN or StyleGAN on x (B, I, H, H), after doubling the map by nearest neighbours."""
    x = F.interpolate(x.to(dtype).contiguous(), scale_factor=2.0, mode="nearest") if self.up else x.to(dtype)
    x = F.conv2d(x.contiguous(), (self.weight * self.scale).to(dtype), padding=self.padding)
    return x if bias is None else x + bias.to(dtype)[:, None, None]


def unfused_style(x: Tensor, scale: Tensor, move: Tensor) -> Tensor:
    """StyleGAN's instance norm of x (B, C, H, H), scale and move (B, C), one operation after the other."""
    x = x - x.mean(dim=(2, 3), keepdim=True)
    x = x * torch.rsqrt(x.square().mean(dim=(2, 3), keepdim=True) + EPSILON)
    return x * scale[:, :, None, None] + move[:, :, None, None]


def unfused_pixel_norm(x: Tensor) -> Tensor:
    """PGGAN's pixel norm of x (B, C, H, W), one operation after the other."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPSILON)
