"""The hub from Python: `compare` runs methods, `grid` varies anything, `analyse` checks claims of papers."""

from __future__ import annotations

from inversion.interactive.analysing import Analysed, analyse
from inversion.interactive.comparing import CompareOptions, compare
from inversion.interactive.gridding import GridResult, grid
from inversion.interactive.results import ComparedResult, Comparison

__all__ = ["Analysed", "CompareOptions", "ComparedResult", "Comparison", "GridResult", "analyse", "compare", "grid"]
