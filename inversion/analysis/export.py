"""The files of a report: pictures on a sheet, the table, all figures, and the plots."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inversion import images
from inversion.analysis.report import Report
from inversion.common.names import numbered
from inversion.common.plot import draw
from inversion.common.rows import RowView
from inversion.images.sheets import Tile, sheet

ACROSS = 5  # pictures in a row of a sheet if the report has no rows of its own


class Files(NamedTuple):
    """Paths below a folder. sheet: None without pictures."""

    sheet: Path | None
    table: Path
    figures: Path
    plots: tuple[Path, ...]


def write(report: Report, row: RowView, folder: Path, stem: str) -> Files:
    """Write a report into a folder under names that begin with `stem`. row: goes into the JSON. Raises OSError.

    Files of an earlier report are kept: the new names begin with STEM-2.
    """
    stem = next(one.name for one in numbered(folder / stem) if not (folder / f"{one.name}.json").exists())
    table, figures = folder / f"{stem}.csv", folder / f"{stem}.json"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[column.label for column in report.table.columns], *report.table.rows])
    figures.write_text(json.dumps(row, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    plots = []
    for i, plot in enumerate([plot for plot in report.plots if not plot.empty], 1):
        plots.append(folder / f"{stem}-plot-{i}.svg")
        plots[-1].write_text(draw(plot, alone=True), encoding="utf-8")
    page = None
    if report.pictures:
        page = folder / f"{stem}-sheet.png"
        recipe = {name: value for name, value in row.items() if name not in report.row()}
        images.write_png(page, picture_sheet(report), recipe)
    return Files(page, table, figures, tuple(plots))


def picture_sheet(report: Report) -> np.ndarray:
    """All pictures of a report with their captions, uint8 (H, W, 3). Needs a picture."""
    tiles = [Tile(shown.title, shown.figures, shown.pixels) for shown in report.pictures]
    return np.asarray(sheet(tiles, report.across or ACROSS))
