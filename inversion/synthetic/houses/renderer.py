"""The layers of a synthetic house in its landscape, from back to front."""

from __future__ import annotations

from collections.abc import Callable

from inversion.synthetic.canvas import Canvas, Renderer
from inversion.synthetic.houses import building, landscape
from inversion.synthetic.houses.factors import CLASSES
from inversion.synthetic.houses.scene import Scene

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

# Houses have no extras.
render: Renderer[Scene] = Renderer(CLASSES, lambda u, resolution, _: Scene(u, resolution), landscape.sky, LAYERS)
