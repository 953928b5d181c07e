"""Procedural houses in a landscape: 39 factors, 14 classes."""

from __future__ import annotations

from inversion.synthetic.base import Domain, KnownDomain
from inversion.synthetic.houses.factors import FACTORS
from inversion.synthetic.houses.renderer import render

HOUSES = Domain(
    resolution=64,
    table=FACTORS,
    render=render,
    detail={"window": 0.6, "door": 0.6, "shutters": 0.6, "beams": 0.6, "chimney": 0.6, "fence": 0.4},
    often_omitted={"beams": "wall", "shutters": "wall", "bush": "lawn", "fence": "lawn", "chimney": "sky"},
    headline=("yaw", "roof_pitch", "season", "daytime"),
    noun="house",
    examples=(1_000_002, 1_000_008),
    drawn=(1_000_001, 1_000_003, 1_000_005, 1_000_012),
    known=KnownDomain("synthetic-houses", 22.0, "drawn houses", "house model"),
)

__all__ = ["HOUSES"]
