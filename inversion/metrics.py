"""Figures of finished pictures. All of them per picture; a figure that cannot be computed is None, never a stand-in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from inversion.images import quantise

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.model import Model

PSNR_OF_EQUAL = 100.0  # dB for pictures equal in all 8 bits: means stay finite and JSON valid


def psnr(a: Tensor, b: Tensor, mask: Tensor | None = None) -> list[float]:
    """Peak signal-to-noise ratio in dB of pictures (B, 3, H, W) in [-1, 1], rounded to 8 bits.

    `mask` (1 or B, 1, H, W) weighs the pixels; a picture whose mask is empty scores nan.
    """
    error = (quantise(a).double() - quantise(b).double()).square()
    weight = torch.ones_like(error) if mask is None else mask.to(error).expand_as(error)
    values = (error * weight).flatten(1).sum(dim=1) / weight.flatten(1).sum(dim=1)
    return [PSNR_OF_EQUAL if e == 0 else 10 * math.log10(255**2 / e) for e in values.tolist()]


def ssim(a: Tensor, b: Tensor) -> list[float]:
    """Structural similarity (Wang et al. 2004; scikit-image, 7x7 window) of pictures (B, 3, H, W) in 8 bits."""
    from skimage.metrics import structural_similarity  # slow to import, and only finished pictures need it

    pairs = zip(
        quantise(a).permute(0, 2, 3, 1).cpu().numpy(), quantise(b).permute(0, 2, 3, 1).cpu().numpy(), strict=True
    )
    return [float(structural_similarity(p, q, channel_axis=2, data_range=255)) for p, q in pairs]


def lpips(a: Tensor, b: Tensor, model: Model, name: str = "lpips") -> list[float] | None:
    """LPIPS of pictures (B, 3, H, W) in [-1, 1], on AlexNet (`lpips`) or VGG16 (`lpips_vgg`): the two do not compare.

    None where the model does not have the one that is asked for.
    """
    if model.perceptual is None or model.perceptual.name != name:
        return None
    with torch.no_grad():
        return model.perceptual(a.clamp(-1, 1), b.clamp(-1, 1)).tolist()


def identity(a: Tensor, b: Tensor, model: Model) -> list[float] | None:
    """Cosine of ArcFace embeddings of two pictures (B, 3, H, W); None where the model has no ArcFace."""
    if model.identity is None:
        return None
    with torch.no_grad():
        return (model.identity(a.clamp(-1, 1)) * model.identity(b.clamp(-1, 1))).sum(dim=1).tolist()


def synthetic_identity(a: Tensor, b: Tensor, model: Model) -> list[float] | None:
    """Cosine of the embedded predictor's identity embeddings (unit vectors): 1 for the same synthetic face."""
    if model.predictor is None:
        return None
    with torch.no_grad():
        return (model.predictor.embed(a.clamp(-1, 1)) * model.predictor.embed(b.clamp(-1, 1))).sum(dim=1).tolist()


def synthetic_perceptual(a: Tensor, b: Tensor, model: Model) -> list[float] | None:
    """Distance of the embedded predictor's features; lower is closer."""
    judge = model.synthetic_perceptual
    if judge is None:
        return None
    with torch.no_grad():
        return judge(a.clamp(-1, 1), b.clamp(-1, 1)).tolist()


SCORES = ("psnr", "ssim", "lpips", "lpips_vgg", "identity", "synthetic_identity", "synthetic_perceptual")


def scores(image: Tensor, truth: Tensor | None, model: Model) -> dict[str, float | None]:
    """All figures of one picture (1, 3, H, W) against the truth, by name; all None where the truth is not known."""
    if truth is None:
        return dict.fromkeys(SCORES)
    values = (
        psnr(image, truth),
        ssim(image, truth),
        lpips(image, truth, model),
        lpips(image, truth, model, "lpips_vgg"),
        identity(image, truth, model),
        synthetic_identity(image, truth, model),
        synthetic_perceptual(image, truth, model),
    )
    return {name: None if value is None else round(value[0], 4) for name, value in zip(SCORES, values, strict=True)}
