"""Draws synthetic faces from factors: picture and segmentation map; vectorised, on any device.

Layers are composited from back to front. Label planes accumulate with the same coverages, so a segmentation map is
exact to a fraction of a pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from inversion.synthetic.base import Rendering
from inversion.synthetic.canvas import Canvas
from inversion.synthetic.faces import features, surroundings
from inversion.synthetic.faces.factors import CLASSES
from inversion.synthetic.faces.head import Face

if TYPE_CHECKING:
    from torch import Tensor

LAYERS: tuple[Callable[[Face, Canvas], None], ...] = (
    surroundings.back_hair,
    surroundings.ears,
    surroundings.neck,
    surroundings.clothes,
    surroundings.side_hair,
    features.skin,
    features.nose,
    features.wrinkles,
    features.beard,
    features.mouth,
    features.eyes,
    features.brows,
    surroundings.paint,
    surroundings.front_hair,
    features.glasses,
    surroundings.hat,
)


def render(
    u: Tensor,
    resolution: int = 128,
    *,
    labels: Tensor | None = None,
    extras: dict[str, Tensor] | None = None,
    chunk: int = 16,
) -> Rendering:
    """Draw faces from factors u (B, len(FACTORS)) in (-1, 1) at ``resolution`` pixels a side.

    ``labels`` (len(CLASSES), K) gives each class a row of K values that is blended like its colour;
    ``torch.eye(len(CLASSES))`` gives a segmentation map. ``extras`` (values (B,)) draws out-of-domain extras: ``hat``,
    ``hat_hue``, ``paint``, ``paint_hue``, ``skin_odd`` and ``skin_hue``. ``chunk`` faces are drawn at a time, so that
    the planes stay in the cache.
    """
    rows = u.new_zeros(len(CLASSES), 0) if labels is None else labels.to(u)
    pictures, planes = [], []
    for i in range(0, len(u), chunk):
        piece = {name: value[i : i + chunk].to(u) for name, value in (extras or {}).items()}
        face = Face(u[i : i + chunk], resolution, piece)
        canvas = Canvas(surroundings.background(face), rows, CLASSES)
        for layer in LAYERS:
            layer(face, canvas)
        pictures.append(canvas.rgb.clamp(0, 1) * 2 - 1)
        planes.append(canvas.planes)
    return Rendering(torch.cat(pictures), torch.cat(planes))
