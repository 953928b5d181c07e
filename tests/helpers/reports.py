"""Figures that tests print; `pytest -rP` shows them."""

from __future__ import annotations

import sys


def report(fed: str, came: object) -> None:
    """Print what a test fed, and what came of it."""
    sys.stdout.write(f"fed: {fed}\ncame: {came}\n")
