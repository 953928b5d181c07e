"""Relative cost of a step of each stage; a step of W costs 1. Times of stages that never ran are estimated from it."""

from __future__ import annotations

from inversion.analysis import ANALYSES
from inversion.methods import STAGES

REFERENCE = STAGES["w"].label


def relative_cost(label: str) -> float:
    """Cost of a step of the stage or analysis with this label, 1 if it is unknown."""
    for kind in STAGES.values():
        if kind.label == label:
            return kind.cost
    return next((kind().cost for kind in ANALYSES.values() if kind.label == label), 1.0)
