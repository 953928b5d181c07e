"""`grid`: the cells of `python -m inversion grid`, from Python values; it shows itself in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from inversion.checkpoints.registry import DEFAULT
from inversion.cli.common import table_lines
from inversion.cli.grid import run_grid
from inversion.cli.html import data_address
from inversion.common.rows import Row
from inversion.common.settings import SettingError, SettingValue
from inversion.grids import (
    GridPlan,
    Materials,
    axes_of,
    given_choices,
    parameters,
    plan_grid,
    sheet,
    summary,
    write_grid,
)
from inversion.grids.figures import rows
from inversion.grids.sheets import Named
from inversion.interactive.comparing import Source, decoded
from inversion.metrics import METRICS
from inversion.serving.jobs import RunView
from inversion.serving.lane import Lane
from inversion.tasks import DEFAULT_TASK

SHOWN = 1600  # largest side in pixels of the sheet in a notebook


class GridResult:
    """The cells of a grid: plan.layout says where they are, runs holds the run of each."""

    def __init__(self, plan: GridPlan, runs: Sequence[RunView], originals: Sequence[Named]) -> None:
        self.plan, self.runs, self.originals = plan, tuple(runs), tuple(originals)

    @property
    def rows(self) -> list[Row]:
        """A row for each cell, for a table: `pandas.DataFrame(result.rows)`."""
        return rows(self.plan.layout, self.runs)

    @property
    def sheet(self) -> Image.Image:
        """All cells in one picture, with the values of the axes."""
        return sheet(self.plan.layout, self.runs, self.plan.title, self.originals)

    @property
    def summary(self) -> list[str]:
        """What is best, in sentences, where figures can be compared."""
        return summary(self.plan.layout, self.runs)

    def picture(self, x: int, y: int = 0, z: int = 0) -> np.ndarray | None:
        """The picture of the cell at these places, uint8 (R, R, 3); None if it has none. Raises IndexError."""
        across, down, _ = self.plan.layout.sizes
        return self.runs[self.plan.layout.runs[(z * down + y) * across + x]].image

    def save(self, folder: str | Path) -> Path:
        """Write pictures, grid.png, grid.csv and grid.json to a folder. Returns the sheet. Raises OSError."""
        return write_grid(Path(folder), self.plan.layout, self.runs, self.plan.title, self.originals).sheet

    def __repr__(self) -> str:
        """A table of the figures, and what is best."""
        lines = self.rows
        known = [name for name in METRICS if any(line.get(name) is not None for line in lines)]
        columns = [axis.label for axis in self.plan.layout.axes]
        return "\n".join([*table_lines(lines, [*columns, *known, "seconds"]), *self.summary])

    def _repr_html_(self) -> str:
        """The sheet and what is best, for a notebook."""
        shown = f'<img alt="grid" style="max-width:100%" src="{data_address(np.asarray(self.sheet), SHOWN)}">'
        return shown + "".join(f'<p style="margin:4px 0">{escape(line)}</p>' for line in self.summary)


def grid(
    picture: Source | Mapping[str, Source],
    x: str,
    y: str = "",
    z: str = "",
    *,
    settings: Mapping[str, SettingValue] | None = None,
    **options: object,
) -> GridResult:
    """Run every combination of the values on the axes, as in `grid("face.png", x="method=w,psp", y="steps=28,300")`.

    picture: as of `compare`, or several by name for `z="picture="`. x, y, z: NAME=LIST as on the command line.
    settings: values of all cells, such as {"w.lr": 0.05}. options: the same for task, method, model, seed, factor, ...;
    and device, dtype, progress, masks ({name: file}).

    A run that fails is a cell without a picture. Raises UserError for wrong axes, and if no cell has a result.
    """
    several = picture if isinstance(picture, Mapping) else {}
    found = {name: decoded(one)[1] for name, one in several.items()}
    if not isinstance(picture, Mapping):
        name, one = decoded(picture)
        found = {Path(name).stem: one}
    masks, bars = options.pop("masks", {}), bool(options.pop("progress", True))
    lane = Lane(str(options.pop("device", "auto")), str(options.pop("dtype", "auto")))
    if not isinstance(masks, Mapping):
        raise SettingError("masks must be {name: file}.")
    known = parameters(list(found), list(masks))
    base: dict[str, SettingValue] = {"task": DEFAULT_TASK, "method": "w", "model": DEFAULT, "budget": 3600.0}
    base["picture"] = next(iter(found))
    base |= given_choices(known, {**(settings or {}), **options})
    plan = plan_grid(known, base, axes_of((x, y, z)))
    done = run_grid(plan, Materials(found, masks), lane, bars=bars)
    return GridResult(plan, done.views, done.originals)
