"""The hub from Python and notebooks: `compare` runs methods on a picture, and its results show themselves."""

from __future__ import annotations

from inversion.interactive.comparing import CompareOptions, compare
from inversion.interactive.results import ComparedResult, Comparison

__all__ = ["CompareOptions", "ComparedResult", "Comparison", "compare"]
