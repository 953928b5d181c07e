"""The hub from Python and notebooks: `compare` runs methods, `grid` varies anything. Results show themselves."""

from __future__ import annotations

from inversion.interactive.comparing import CompareOptions, compare
from inversion.interactive.gridding import GridResult, grid
from inversion.interactive.results import ComparedResult, Comparison

__all__ = ["CompareOptions", "ComparedResult", "Comparison", "GridResult", "compare", "grid"]
