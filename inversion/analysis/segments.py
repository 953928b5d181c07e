"""Which part of a picture each pixel belongs to: by the renderer for examples, else estimated."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import numpy as np

from inversion import metrics
from inversion.synthetic import DOMAINS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from inversion.analysis.base import Case
    from inversion.synthetic.base import Domain

SAME = 35.0  # dB from which a picture counts as an example of the renderer
EXACT, ESTIMATED = "exact, by the renderer", "estimated from the picture's attributes"
SMALLEST = 0.002  # part of the picture that a class must cover to count


class Segments:
    """The classes of a picture. labels: (classes, R, R) coverages. source: how they are known, in words."""

    def __init__(self, names: tuple[str, ...], labels: Tensor, source: str) -> None:
        self.source = source
        index = labels.argmax(dim=0)
        self._masks = {name: index == i for i, name in enumerate(names)}
        hues = np.array([colorsys.hsv_to_rgb(i * 0.382 % 1, 0.45 + 0.3 * (i % 2), 0.9) for i in range(len(names))])
        self.coloured: np.ndarray = (255 * hues[index.cpu().numpy()]).astype(np.uint8)

    def mask(self, name: str) -> torch.Tensor:
        """Where a class is, booleans (R, R)."""
        return self._masks[name]

    def overlaps(self, area: torch.Tensor) -> dict[str, float]:
        """Intersection over union of an area (R, R), booleans, with every class that the picture has."""
        found = {}
        for name, mask in self._masks.items():
            if mask.float().mean() >= SMALLEST:
                either = (mask | area).sum().item()
                found[name] = (mask & area).sum().item() / either if either else 0.0
        return found


def segments_of(case: Case) -> Segments | None:
    """The segments of the picture of a case; None if the model's domain has no renderer or no predictor.

    An example is rendered again. For another picture, the renderer draws the attributes that the predictor reads.
    """
    domain = DOMAINS.get(case.model.domain)
    if domain is None:
        return None
    side = case.picture.shape[-1]
    for seed in domain.examples:
        drawn = domain.draw([seed], side)
        if metrics.psnr(drawn.picture.to(case.picture), case.picture)[0] > SAME:
            return Segments(domain.classes, drawn.segmentation[0].to(case.picture), EXACT)
    return _estimated(case, domain)


def _estimated(case: Case, domain: Domain) -> Segments | None:
    import torch

    predictor = case.model.predictor
    if predictor is None or predictor.names != domain.names:
        return None
    with torch.no_grad():
        factors = predictor.heads(case.picture)[0].clamp(-0.999, 0.999).cpu()
    drawn = domain.render(factors, case.picture.shape[-1], labels=torch.eye(len(domain.classes)))
    return Segments(domain.classes, drawn.labels[0].to(case.picture), ESTIMATED)
