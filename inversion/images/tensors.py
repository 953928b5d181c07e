"""Pictures as arrays and tensors: cropping, and conversion to and from NCHW float32 in [-1, 1]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from inversion.images.errors import BadImage

if TYPE_CHECKING:
    from torch import Tensor


def fit(image: Image.Image, resolution: int) -> Image.Image:
    """Central square, resized to `resolution` pixels a side (Lanczos); a picture of this size is returned unchanged."""
    if image.size == (resolution, resolution):
        return image
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return image.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box)


def to_tensor(picture: np.ndarray | Image.Image) -> Tensor:
    """uint8 (H, W, 3) or an RGB picture -> (1, 3, H, W) float32 in [-1, 1]. Raises BadImage for other arrays."""
    array = np.array(picture)  # a copy: torch must not share memory with a read-only buffer
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise BadImage(f"A picture must be uint8 (H, W, 3), not {array.dtype} {array.shape}.")
    return torch.from_numpy(array).permute(2, 0, 1)[None].float().div(127.5).sub(1).contiguous()


def quantise(x: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> uint8 of the same shape, clamped and rounded to the nearest integer."""
    return x.detach().float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)


def to_array(x: Tensor) -> np.ndarray:
    """One picture (1, 3, H, W) or (3, H, W) in [-1, 1] -> uint8 (H, W, 3). Raises ValueError for a larger batch."""
    if x.ndim == 4 and x.shape[0] != 1:
        raise ValueError(f"expected one picture, got {x.shape[0]}")
    return quantise(x.reshape(x.shape[-3:])).permute(1, 2, 0).cpu().numpy()


def known_pixels(mask: np.ndarray, resolution: int) -> Tensor:
    """A mask uint8 (H, W), white = hole -> (1, 1, R, R) float32, 1 = known, cropped as `fit` crops the picture.

    A resized pixel is known only if no part of it is in the hole, so that no paint leaks into the measurement.
    """
    painted = Image.fromarray(np.where(mask >= 128, 255, 0).astype(np.uint8))
    if painted.size != (resolution, resolution):
        side = min(painted.size)
        left, top = (painted.width - side) // 2, (painted.height - side) // 2
        crop = painted.crop((left, top, left + side, top + side))
        painted = crop.resize((resolution, resolution), Image.Resampling.BOX)
    return torch.from_numpy(np.array(painted) == 0).float()[None, None]
