"""The layers of a synthetic face, from back to front."""

from __future__ import annotations

from collections.abc import Callable

from inversion.synthetic.canvas import Canvas, Renderer
from inversion.synthetic.faces import features, surroundings
from inversion.synthetic.faces.factors import CLASSES
from inversion.synthetic.faces.head import Face

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

# Extras, with values (B,): `hat`, `hat_hue`, `paint`, `paint_hue`, `skin_odd` and `skin_hue`.
render: Renderer[Face] = Renderer(CLASSES, Face, surroundings.background, LAYERS)
