"""The renderer of all domains: a canvas, and layers that are painted on it from back to front."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import torch

if TYPE_CHECKING:
    from torch import Tensor

Scene = TypeVar("Scene")


class Canvas:
    """Picture and label planes under construction, painted from back to front.

    background (B, 3, H, W) in [0, 1]; labels (len(classes), K): the label row of each class. The background has the
    first class.
    """

    def __init__(self, background: Tensor, labels: Tensor, classes: Sequence[str]) -> None:
        self.rgb = background  # (B, 3, H, W) in [0, 1]
        self.rows = dict(zip(classes, labels[:, :, None, None], strict=True))  # name -> (K, 1, 1)
        # (B, K, H, W): the label rows of the visible parts, mixed by coverage
        self.planes = self.rows[classes[0]].expand(len(background), -1, *background.shape[2:])

    def paint(self, alpha: Tensor, colour: Tensor, name: str | None = None) -> None:
        """Lay a colour (B, 3, H or 1, W or 1) over the picture with coverage alpha (B, H, W).

        `name` is the class of the painted part; None leaves the class below it.
        """
        self.rgb = torch.lerp(self.rgb, colour.expand_as(self.rgb), alpha[:, None])
        if name is not None and self.planes.shape[1]:
            self.planes = torch.lerp(self.planes, self.rows[name].expand_as(self.planes), alpha[:, None])


@dataclass(frozen=True)
class Rendering:
    """Result of one call of a renderer, on the device of the factors."""

    picture: Tensor  # (B, 3, R, R) in [-1, 1]
    labels: Tensor  # (B, K, R, R): the given label rows, mixed by coverage; K = 0 if no label rows were given


@dataclass(frozen=True)
class Renderer(Generic[Scene]):
    """Draws pictures from factors, on any device.

    Label planes accumulate with the same coverages as colours, so a segmentation map is exact to a fraction of a pixel.
    """

    classes: tuple[str, ...]  # of the segmentation map; the first one is the background
    scene: Callable[[Tensor, int, Mapping[str, Tensor]], Scene]  # (u, resolution, extras) -> data for all layers
    background: Callable[[Scene], Tensor]  # (B, 3, R, R) in [0, 1]
    layers: tuple[Callable[[Scene, Canvas], None], ...]  # from back to front

    def __call__(
        self,
        u: Tensor,
        resolution: int,
        *,
        labels: Tensor | None = None,
        extras: Mapping[str, Tensor] | None = None,
        chunk: int = 16,
    ) -> Rendering:
        """Draw factors u (B, K) in (-1, 1) at `resolution` pixels a side.

        `labels` (len(classes), L) gives each class a row of L values that is blended like its colour;
        `torch.eye(len(classes))` gives a segmentation map. `extras` (values (B,)) are parts from outside the
        domain. `chunk` pictures are drawn at a time, so that the planes stay in the cache.
        """
        rows = u.new_zeros(len(self.classes), 0) if labels is None else labels.to(u)
        pictures, planes = [], []
        for i in range(0, max(1, len(u)), chunk):
            part = {name: value[i : i + chunk].to(u) for name, value in (extras or {}).items()}
            scene = self.scene(u[i : i + chunk], resolution, part)
            canvas = Canvas(self.background(scene), rows, self.classes)
            for layer in self.layers:
                layer(scene, canvas)
            pictures.append(canvas.rgb.clamp(0, 1) * 2 - 1)
            planes.append(canvas.planes)
        return Rendering(torch.cat(pictures), torch.cat(planes))
