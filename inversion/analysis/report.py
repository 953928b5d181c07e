"""What an analysis yields, as plain data: pictures, plots, a table, and one sentence on what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from inversion.common.plot import Plot
from inversion.common.rows import Row

Cell = str | float | None


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture uint8 (H, W, 3) with a title and a line of figures."""

    title: str
    figures: str
    pixels: np.ndarray


class Column(NamedTuple):
    """A column of a table: its label, and the digits of its numbers after the decimal point."""

    label: str
    digits: int = 2

    def text(self, value: Cell) -> str:
        """A cell as text; a dash for a missing value."""
        if value is None:
            return "\N{EM DASH}"
        return value if isinstance(value, str) else f"{value:.{self.digits}f}"


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns; the first cell of a row names it."""

    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()

    def rows_as_text(self) -> list[list[str]]:
        """Every cell as text."""
        return [[column.text(cell) for column, cell in zip(self.columns, row, strict=True)] for row in self.rows]


@dataclass(frozen=True, eq=False)
class Report:
    """The state of an analysis.

    across: pictures in a row, 0 for as many as there is room for. finding: what the figures say about the claim, for
    the user; "" until enough is known.
    """

    pictures: Sequence[Shown] = ()
    plots: Sequence[Plot] = ()
    table: Table = Table()
    finding: str = ""
    across: int = 0

    def row(self) -> Row:
        """Figures, plots and captions as plain JSON, without the pictures."""
        return {
            "finding": self.finding,
            "table": [
                dict(zip((column.label for column in self.table.columns), line, strict=True))
                for line in self.table.rows
            ],
            "plots": [
                {
                    "title": plot.title,
                    "x": plot.x,
                    "y": plot.y,
                    "series": {one.label: [list(point) for point in one.points] for one in plot.series},
                }
                for plot in self.plots
            ],
            "pictures": [{"title": shown.title, "figures": shown.figures} for shown in self.pictures],
        }
