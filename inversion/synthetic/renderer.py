"""Draws synthetic faces from factors: picture, segmentation map and sketch; vectorised, on any device.

Layers are composited back to front, and label planes accumulate with the same coverages, so a segmentation map is exact
to a fraction of a pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from inversion.synthetic import features, surroundings
from inversion.synthetic.canvas import CLASSES, Canvas
from inversion.synthetic.head import Face

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


@dataclass(frozen=True)
class Rendering:
    """What one call draws, on the device of the factors."""

    picture: Tensor  # (B, 3, R, R) in [-1, 1]
    labels: Tensor  # (B, K, R, R): mixtures of the rows asked for, by coverage; K = 0 if none were


def render(
    u: Tensor,
    resolution: int = 128,
    *,
    labels: Tensor | None = None,
    extras: dict[str, Tensor] | None = None,
    chunk: int = 16,
) -> Rendering:
    """Draw faces from factors u (B, len(FACTORS)) in (-1, 1) at ``resolution`` pixels a side.

    ``labels`` (len(CLASSES), K) gives each class a row of K values that is carried along with its colour;
    ``torch.eye(len(CLASSES))`` makes a segmentation map. ``extras`` (values (B,)) draws what the domain does not have:
    ``hat``, ``hat_hue``, ``paint``, ``paint_hue``, ``skin_odd`` and ``skin_hue``. ``chunk`` faces are drawn at a time,
    so that the planes stay in cache.
    """
    rows = u.new_zeros(len(CLASSES), 0) if labels is None else labels.to(u)
    pictures, planes = [], []
    for i in range(0, len(u), chunk):
        piece = {name: value[i : i + chunk].to(u) for name, value in (extras or {}).items()}
        face = Face(u[i : i + chunk], resolution, piece)
        canvas = Canvas(surroundings.background(face), rows)
        for layer in LAYERS:
            layer(face, canvas)
        pictures.append(canvas.rgb.clamp(0, 1) * 2 - 1)
        planes.append(canvas.planes)
    return Rendering(torch.cat(pictures), torch.cat(planes))


def sketch(picture: Tensor, segmentation: Tensor) -> Tensor:
    """Line drawing (B, 1, R, R) in [-1, 1], 1 is paper: borders between classes, and faint ones of the luminance."""

    def slope(planes: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(planes, (1, 1, 1, 1), mode="replicate")
        dx = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
        dy = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
        return (dx.square() + dy.square()).sqrt().amax(dim=1, keepdim=True)

    grey = (picture * torch.tensor([0.299, 0.587, 0.114], device=picture.device)[:, None, None]).sum(1, keepdim=True)
    ink = torch.maximum(slope(segmentation) * 1.1, slope(grey) * 0.9)
    return 1 - 2 * ink.clamp(0, 1)
