"""The files of a grid: its pictures, the sheet, the table, and an archive of all."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inversion import images
from inversion.common.names import numbered
from inversion.grids.figures import picture_names, rows, table
from inversion.grids.plans import Layout
from inversion.grids.sheets import Named, sheet
from inversion.serving.jobs import RunView

NAMES = ("grid.png", "grid.csv", "grid.json", "grid.zip")


@dataclass(frozen=True)
class GridFiles:
    """Paths of the files. pictures: by run."""

    pictures: dict[int, Path]
    sheet: Path
    table: Path
    rows: Path


def write_grid(
    folder: Path, layout: Layout, runs: Sequence[RunView], title: str = "", originals: Sequence[Named] = ()
) -> GridFiles:
    """Write pictures with their recipes, sheet (PNG), table (CSV) and rows (JSON) to a folder. Raises OSError.

    A folder with a grid is kept: the new folder is NAME-2.
    """
    folder = next(one for one in numbered(folder) if not (one / NAMES[0]).exists())
    folder.mkdir(parents=True, exist_ok=True)
    names = picture_names(layout, runs)
    for run, name in names.items():
        image = runs[run].image
        if image is not None:
            images.write_png(folder / name, image, dict(runs[run].row or {}))
    page, lines, recipes, _ = (folder / name for name in NAMES)
    sheet(layout, runs, title, originals).save(page)
    lines.write_text(table(layout, runs, names), encoding="utf-8", errors="backslashreplace", newline="")
    text = json.dumps(rows(layout, runs, names), indent=1, allow_nan=False)
    recipes.write_text(text, encoding="utf-8")
    return GridFiles({run: folder / name for run, name in names.items()}, page, lines, recipes)


def pack_grid(files: GridFiles) -> Path:
    """Write an archive of all files of a grid beside them. Raises OSError."""
    archive = files.sheet.with_name(NAMES[-1])
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for path in [*files.pictures.values(), files.sheet, files.table, files.rows]:
            packed.write(path, path.name)
    return archive
