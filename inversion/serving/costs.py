"""Relative cost of a step of each stage; a step of W costs 1. Times of stages that never ran are estimated from it."""

from __future__ import annotations

from inversion.methods import STAGES

REFERENCE = STAGES["w"].label
# Stage -> cost of a step, in processor time of one thread on the built-in face model.
COSTS = {
    "mean": 0.4,
    "random": 8.0,
    "encoder": 0.7,
    "guided": 0.8,
    "psp": 0.8,
    "e4e": 0.9,
    "restyle": 3.8,
    "z": 1.0,
    "w": 1.0,
    "wplus": 1.0,
    "projector": 1.0,
    "multicode": 5.5,
    "indomain": 1.1,
    "pulse": 1.1,
    "pti": 1.8,
    "clone": 6.2,
    "dip": 0.8,
}
_BY_LABEL = {STAGES[key].label: cost for key, cost in COSTS.items()}


def relative_cost(label: str) -> float:
    """Cost of a step of the stage with this label, 1 if it is unknown."""
    return _BY_LABEL.get(label, 1.0)
