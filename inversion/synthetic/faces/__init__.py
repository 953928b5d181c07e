"""Procedural faces: 53 factors, 13 classes, mates of a person, a frontal view, and out-of-domain extras."""

from __future__ import annotations

from inversion.synthetic.base import Domain
from inversion.synthetic.faces.draw import Faces, draw_faces
from inversion.synthetic.faces.factors import CLASSES, NAMES, OUT_OF_DOMAIN, factors_of, mates
from inversion.synthetic.faces.renderer import render

FACES = Domain(
    resolution=128,
    names=NAMES,
    classes=CLASSES,
    detail={"eyes": 1.0, "mouth": 1.0, "glasses": 1.0, "brows": 0.6, "nose": 0.4},
    factors=factors_of,
    render=render,
    mates=mates,
)

__all__ = ["CLASSES", "FACES", "NAMES", "OUT_OF_DOMAIN", "Faces", "draw_faces"]
