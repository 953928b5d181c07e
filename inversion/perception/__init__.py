"""Networks that compare pictures: perceptual distances, and the predictor of attributes and identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inversion.common.lazy import attributes

if TYPE_CHECKING:
    from inversion.perception.distance import LPIPS, InDomainFeatures, Perceptual, cached_lpips
    from inversion.perception.networks import KerasVGG16, LPIPSNetwork
    from inversion.perception.predictor import Predictor

__getattr__ = attributes(
    __name__,
    {
        "distance": "LPIPS InDomainFeatures Perceptual cached_lpips",
        "networks": "KerasVGG16 LPIPSNetwork",
        "predictor": "Predictor",
    },
)

__all__ = ["LPIPS", "InDomainFeatures", "KerasVGG16", "LPIPSNetwork", "Perceptual", "Predictor", "cached_lpips"]
