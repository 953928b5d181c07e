"""Draws synthetic houses from factors: picture and segmentation map; vectorised, on any device."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from inversion.synthetic.base import Rendering
from inversion.synthetic.canvas import Canvas
from inversion.synthetic.houses import building, landscape
from inversion.synthetic.houses.factors import CLASSES
from inversion.synthetic.houses.scene import Scene

if TYPE_CHECKING:
    from torch import Tensor

LAYERS: tuple[Callable[[Scene, Canvas], None], ...] = (
    landscape.sun,
    landscape.clouds,
    landscape.hills,
    landscape.lawn,
    landscape.pine,
    landscape.oak,
    landscape.path,
    landscape.shadow,
    building.chimney,
    building.far_roof,
    building.walls,
    building.windows,
    building.door,
    building.near_roof,
    landscape.bushes,
    building.porch,
    landscape.fence,
)


def render(u: Tensor, resolution: int = 64, *, labels: Tensor | None = None, chunk: int = 16) -> Rendering:
    """Draw houses from factors u (B, len(FACTORS)) in (-1, 1) at ``resolution`` pixels a side.

    ``labels`` (len(CLASSES), K) gives each class a row of K values that is blended like its colour;
    ``torch.eye(len(CLASSES))`` gives a segmentation map. ``chunk`` houses are drawn at a time.
    """
    rows = u.new_zeros(len(CLASSES), 0) if labels is None else labels.to(u)
    pictures, planes = [], []
    for part in u.split(chunk):
        scene = Scene(part, resolution)
        canvas = Canvas(landscape.sky(scene), rows, CLASSES)
        for layer in LAYERS:
            layer(scene, canvas)
        pictures.append(canvas.rgb.clamp(0, 1) * 2 - 1)
        planes.append(canvas.planes)
    return Rendering(torch.cat(pictures), torch.cat(planes))
