"""Procedural houses in a landscape: 39 factors, 14 classes."""

from __future__ import annotations

from inversion.synthetic.base import Domain
from inversion.synthetic.houses.factors import CLASSES, NAMES, factors_of
from inversion.synthetic.houses.renderer import render

HOUSES = Domain(
    resolution=64,
    names=NAMES,
    classes=CLASSES,
    detail={"window": 0.6, "door": 0.6, "shutters": 0.6, "beams": 0.6, "chimney": 0.6, "fence": 0.4},
    factors=factors_of,
    render=render,
)

__all__ = ["CLASSES", "HOUSES", "NAMES"]
