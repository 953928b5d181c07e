"""Metrics of finished pictures, one value per picture. A metric that cannot be computed is None."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from inversion.common.devices import float64
from inversion.images import quantise

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.model import Model

ANY_SIZE = 1 << 30  # pixels
MAX_PSNR = 100.0  # dB, for pictures that are equal in 8 bits; keeps means finite and JSON valid


def psnr(a: Tensor, b: Tensor, mask: Tensor | None = None) -> list[float]:
    """Peak signal-to-noise ratio in dB of pictures (B, 3, H, W) in [-1, 1], after rounding to 8 bits.

    `mask` (1 or B, 1, H, W): weights of the pixels in [0, 1]. The result is nan for an empty mask.
    """
    error = (float64(quantise(a)) - float64(quantise(b))).square()
    weight = torch.ones_like(error) if mask is None else mask.to(error).expand_as(error)
    values = (error * weight).flatten(1).sum(dim=1) / weight.flatten(1).sum(dim=1)
    return [MAX_PSNR if e == 0 else 10 * math.log10(255**2 / e) for e in values.tolist()]


def ssim(a: Tensor, b: Tensor) -> list[float]:
    """Structural similarity, at most 1 (Wang et al. 2004; scikit-image, 7x7 window), of pictures (B, 3, H, W).

    The pictures are in [-1, 1] and are rounded to 8 bits. Raises ValueError if a side is smaller than 7 pixels.
    """
    from skimage.metrics import structural_similarity  # slow to import

    pairs = zip(
        quantise(a).permute(0, 2, 3, 1).cpu().numpy(), quantise(b).permute(0, 2, 3, 1).cpu().numpy(), strict=True
    )
    return [float(structural_similarity(p, q, channel_axis=2, data_range=255)) for p, q in pairs]


def lpips(a: Tensor, b: Tensor, model: Model, name: str = "lpips") -> list[float] | None:
    """LPIPS (Zhang et al. 2018) of pictures (B, 3, H, W) in [-1, 1], on AlexNet ("lpips") or VGG16 ("lpips_vgg").

    Values of the two networks are not comparable. None if the model does not have the network `name`.
    """
    if model.perceptual is None or model.perceptual.name != name:
        return None
    with torch.no_grad():
        return model.perceptual(a.clamp(-1, 1), b.clamp(-1, 1)).tolist()


def identity(a: Tensor, b: Tensor, model: Model) -> list[float] | None:
    """Cosine in [-1, 1] of the ArcFace embeddings (Deng et al. 2019) of pictures (B, 3, H, W) in [-1, 1].

    None if the model has no ArcFace.
    """
    if model.identity is None:
        return None
    with torch.no_grad():
        return (model.identity(a.clamp(-1, 1)) * model.identity(b.clamp(-1, 1))).sum(dim=1).tolist()


def synthetic_identity(a: Tensor, b: Tensor, model: Model) -> list[float] | None:
    """Cosine in [-1, 1] of the built-in predictor's identity embeddings of pictures (B, 3, H, W) in [-1, 1].

    1 means the same synthetic face. None if the model has no predictor.
    """
    if model.predictor is None:
        return None
    with torch.no_grad():
        return (model.predictor.embed(a.clamp(-1, 1)) * model.predictor.embed(b.clamp(-1, 1))).sum(dim=1).tolist()


def synthetic_perceptual(a: Tensor, b: Tensor, model: Model) -> list[float] | None:
    """Distance, 0 or more, between the built-in predictor's features of pictures (B, 3, H, W) in [-1, 1].

    None if the model has no predictor.
    """
    perceptual = model.synthetic_perceptual
    if perceptual is None:
        return None
    with torch.no_grad():
        return perceptual(a.clamp(-1, 1), b.clamp(-1, 1)).tolist()


@dataclass(frozen=True)
class Metric:
    """One metric of a result. Tables, cards, captions and rows are derived from these fields.

    fn: (image, truth, model) -> one value per picture, or None if the model lacks the network; pictures (B, 3, H, W)
    in [-1, 1]. cheap: side in pixels up to which previews have the metric, 0 for never. needs: the attribute of `Model`
    that holds the network, "" for none. of_edits: the metric also compares an edited picture with the unedited one.
    """

    label: str
    digits: int  # after the decimal point
    better: Literal["higher", "lower"]
    help: str
    fn: Callable[[Tensor, Tensor, Model], list[float] | None]
    cheap: int = 0
    needs: str = ""
    unit: str = ""
    of_edits: bool = False

    def score(self, image: Tensor, truth: Tensor, model: Model) -> float | None:
        """The metric of one picture (1, 3, H, W), rounded to 4 digits; None if the model lacks the network."""
        if self.needs and getattr(model, self.needs) is None:
            return None
        values = self.fn(image, truth, model)
        return None if values is None else round(values[0], 4)


METRICS: dict[str, Metric] = {
    "psnr": Metric(
        "PSNR",
        2,
        "higher",
        "Peak signal-to-noise ratio against your picture, in dB.",
        lambda image, truth, model: psnr(image, truth),
        cheap=ANY_SIZE,
        unit="dB",
    ),
    "ssim": Metric(
        "SSIM",
        3,
        "higher",
        "Structural similarity to your picture. 1 means equal.",
        lambda image, truth, model: ssim(image, truth),
        cheap=512,
    ),
    "lpips": Metric(
        "LPIPS",
        3,
        "lower",
        "Learned perceptual distance to your picture (AlexNet). 0 means equal.",
        lpips,
        needs="perceptual",
    ),
    "lpips_vgg": Metric(
        "LPIPS (VGG)",
        3,
        "lower",
        "Learned perceptual distance to your picture (VGG16). Not comparable with LPIPS on AlexNet.",
        lambda image, truth, model: lpips(image, truth, model, "lpips_vgg"),
        needs="perceptual",
    ),
    "identity": Metric(
        "Identity",
        3,
        "higher",
        "Similarity of the faces (cosine of ArcFace embeddings). 1 means the same person.",
        identity,
        needs="identity",
        of_edits=True,
    ),
    "synthetic_identity": Metric(
        "Same person?",
        3,
        "higher",
        "Similarity of synthetic faces (built-in predictor). 1 means the same person.",
        synthetic_identity,
        needs="predictor",
        of_edits=True,
    ),
    "synthetic_perceptual": Metric(
        "Perceptual (built-in)",
        3,
        "lower",
        "Perceptual distance to your picture, for synthetic faces (built-in predictor). 0 means equal.",
        synthetic_perceptual,
        needs="predictor",
    ),
}


def scores(image: Tensor, truth: Tensor | None, model: Model, preview: bool = False) -> dict[str, float | None]:
    """Every metric of one picture (1, 3, H, W) in [-1, 1] against the truth, by name, rounded to 4 digits.

    A metric is None if the truth is unknown, if the model lacks its network, or if it is too slow for a preview.
    """
    row: dict[str, float | None] = dict.fromkeys(METRICS)
    if truth is None:
        return row
    for name, metric in METRICS.items():
        if not preview or image.shape[-1] <= metric.cheap:
            row[name] = metric.score(image, truth, model)
    return row


def edit_scores(edited: Tensor, before: Tensor, model: Model) -> dict[str, float | None]:
    """The metrics that apply to edits, by name, of one edited picture (1, 3, H, W) against the unedited one."""
    return {name: metric.score(edited, before, model) for name, metric in METRICS.items() if metric.of_edits}


def identity_metric(model: Model) -> str | None:
    """The metric that compares the persons of two pictures with this model: ArcFace's if it is available.

    None if the model has no network for it.
    """
    known = [name for name in ("identity", "synthetic_identity") if getattr(model, METRICS[name].needs) is not None]
    return known[0] if known else None
