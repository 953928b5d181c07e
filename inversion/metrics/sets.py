"""Figures of sets of pictures: the Fréchet distance of features, and MS-SSIM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from inversion.common.devices import float64
from inversion.images import quantise

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.model import Model

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, finest first (Wang et al. 2003, section 3.2)
WINDOW, SIGMA = 11, 1.5  # pixels
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # Wang et al. 2004, of 8-bit values


def frechet(a: Tensor, b: Tensor) -> float:
    """Fréchet distance, 0 or more, of Gaussians of two sets of features (n, d) and (m, d).

    Heusel et al. 2017, equation 6. Small sets give larger distances, so compare only sets of equal size. Raises
    ValueError for an empty set.
    """
    if not len(a) or not len(b):
        raise ValueError("the Fréchet distance needs at least one picture in each set")
    a, b = float64(a).cpu(), float64(b).cpu()
    gap = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    a, b = ((x - x.mean(dim=0)) / max(1, len(x) - 1) ** 0.5 for x in (a, b))
    # With C_a = a^T a and C_b = b^T b, the trace of (C_a C_b)^(1/2) is the sum of the singular values of a b^T.
    shared = torch.linalg.svdvals(a @ b.T).sum()
    return max(0.0, float(gap + a.square().sum() + b.square().sum() - 2 * shared))


def built_in_features(x: Tensor, model: Model) -> Tensor | None:
    """Features (B, d) of pictures (B, 3, H, W) in [-1, 1]: means of the predictor's last maps.

    None if the model has no predictor. A `frechet` distance of them is no FID, whose features are Inception's.
    """
    if model.predictor is None:
        return None
    with torch.no_grad():
        return model.predictor.features(x.clamp(-1, 1))[-1].mean(dim=(2, 3))


def ms_ssim(a: Tensor, b: Tensor) -> list[float]:
    """Multi-scale structural similarity, 0 to 1 (Wang et al. 2003), of pictures (B, 3, H, W) in [-1, 1].

    As in PGGAN's code, the window is never larger than the picture, so that a side of 16 pixels is enough. The pictures
    are rounded to 8 bits. Raises ValueError for a smaller side.
    """
    if min(a.shape[-2:]) < 1 << (len(WEIGHTS) - 1):
        raise ValueError(f"MS-SSIM needs pictures of at least 16 pixels, not {tuple(a.shape[-2:])}")
    a, b = float64(quantise(a)), float64(quantise(b))
    total = torch.ones(len(a), dtype=a.dtype, device=a.device)
    for scale, weight in enumerate(WEIGHTS):
        luminance, contrast = _compared(a, b)
        part = contrast if scale < len(WEIGHTS) - 1 else luminance * contrast
        total = total * part.mean(dim=(1, 2, 3)).clamp_min(0) ** weight
        if scale < len(WEIGHTS) - 1:
            a, b = (torch.nn.functional.avg_pool2d(x, 2) for x in (a, b))
    return total.tolist()


def similarity_within(x: Tensor) -> float | None:
    """Mean MS-SSIM of the pairs of neighbours in a set (B, 3, H, W): lower for more diverse pictures.

    Odena et al. 2017. None for fewer than two pictures.
    """
    if len(x) < 2:
        return None
    values = ms_ssim(x, x.roll(1, dims=0))
    return sum(values) / len(values)


def _compared(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (B, 3, h, w) of luminance, and of contrast with structure, of pictures in 8-bit values."""
    side = min(WINDOW, *a.shape[-2:])
    line = torch.arange(side, dtype=a.dtype, device=a.device) - (side - 1) / 2
    weights = torch.softmax(-0.5 * (line / (SIGMA * side / WINDOW)).square(), dim=0)

    def smooth(x: Tensor) -> Tensor:
        x = x.flatten(0, 1)[:, None]
        x = torch.nn.functional.conv2d(x, weights.view(1, 1, 1, -1))
        return torch.nn.functional.conv2d(x, weights.view(1, 1, -1, 1)).view(*a.shape[:2], *_left(a, side))

    mean_a, mean_b = smooth(a), smooth(b)
    variances = smooth(a * a) - mean_a * mean_a + smooth(b * b) - mean_b * mean_b
    covariance = smooth(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a * mean_a + mean_b * mean_b + C1)
    return luminance, (2 * covariance + C2) / (variances + C2)


def _left(a: Tensor, side: int) -> tuple[int, int]:
    return a.shape[-2] - side + 1, a.shape[-1] - side + 1
