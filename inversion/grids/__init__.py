"""Grids: any field of a run against one or two others. A plan first, then requests for a session or a lane."""

from __future__ import annotations

from inversion.grids.figures import best_cells, summary, table
from inversion.grids.files import GridFiles, pack_grid, write_grid
from inversion.grids.parameters import Parameter, parameters
from inversion.grids.plans import (
    AXES,
    Estimate,
    GridPlan,
    Layout,
    axes_of,
    estimate,
    given_choices,
    plan_grid,
    read_choices,
)
from inversion.grids.requests import Materials, grid_requests, originals
from inversion.grids.sheets import sheet
from inversion.grids.values import LIST_HELP, MAX_CELLS, GridError

__all__ = [
    "AXES",
    "LIST_HELP",
    "MAX_CELLS",
    "Estimate",
    "GridError",
    "GridFiles",
    "GridPlan",
    "Layout",
    "Materials",
    "Parameter",
    "axes_of",
    "best_cells",
    "estimate",
    "given_choices",
    "grid_requests",
    "originals",
    "pack_grid",
    "parameters",
    "plan_grid",
    "read_choices",
    "sheet",
    "summary",
    "table",
    "write_grid",
]
