"""Soft shapes and colours on the pixel grid: signed distances (negative inside), coverages in [0, 1], palettes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def step(low: float | Tensor, high: float | Tensor, x: Tensor) -> Tensor:
    """Hermite ramp from 0 at `low` to 1 at `high`; the same shape as x."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def cover(distance: Tensor, pixel: float | Tensor) -> Tensor:
    """Coverage of an object with this signed distance, in the same shape; its edge is `pixel` wide."""
    return (0.5 - distance / pixel).clamp(0, 1)


def bump(x: Tensor, width: float | Tensor) -> Tensor:
    """Gaussian bell of height 1 at x = 0, in the shape of x; `width` has the unit of x."""
    return torch.exp(-(x / width).square())


def ellipse(x: Tensor, y: Tensor, rx: float | Tensor, ry: float | Tensor) -> Tensor:
    """Approximate signed distance to an axis-parallel ellipse of half axes rx, ry: exact on it, with slope 1 nearby.

    It has the unit of x and y, and the shape to which the arguments broadcast.
    """
    k = ((x / rx).square() + (y / ry).square() + 1e-8).sqrt()
    slope = ((x / (rx * rx)).square() + (y / (ry * ry)).square() + 1e-8).sqrt()
    return (k - 1) * k / slope


def box(x: Tensor, y: Tensor, rx: float | Tensor, ry: float | Tensor, corner: float | Tensor) -> Tensor:
    """Signed distance to a rectangle of half sizes rx, ry with corners of radius `corner`.

    It has the unit of x and y, and the shape to which the arguments broadcast.
    """
    qx, qy = x.abs() - rx + corner, y.abs() - ry + corner
    outside = (qx.clamp_min(0).square() + qy.clamp_min(0).square() + 1e-10).sqrt()
    return outside + torch.maximum(qx, qy).clamp_max(0) - corner


def smooth_min(a: Tensor, b: Tensor, width: float) -> Tensor:
    """Signed distance to the union of two shapes, with a fillet of this width; a and b broadcast."""
    h = (0.5 + 0.5 * (b - a) / width).clamp(0, 1)
    return b + (a - b) * h - width * h * (1 - h)


def palette(t: Tensor, colours: Sequence[Sequence[float]]) -> Tensor:
    """Colours (B, 3) in [0, 1] at t (B,) in [0, 1] on the polyline through `colours`."""
    table = torch.tensor(colours, dtype=t.dtype, device=t.device)
    position = t.clamp(0, 1) * (len(colours) - 1)
    i = position.floor().clamp(max=len(colours) - 2).long()
    return torch.lerp(table[i], table[i + 1], (position - i)[:, None])


def hsl(hue: Tensor, saturation: float | Tensor, lightness: Tensor) -> Tensor:
    """Colours (B, 3) in [0, 1] from hue (B,) in turns, saturation and lightness in [0, 1]."""
    amplitude = saturation * torch.minimum(lightness, 1 - lightness)
    channels = []
    for n in (0.0, 8.0, 4.0):
        k = (n + hue * 12) % 12
        channels.append(lightness - amplitude * torch.minimum(k - 3, 9 - k).clamp(-1, 1))
    return torch.stack(channels, dim=1)
