"""`grid`: any field of a run against one or two others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from inversion import images
from inversion.cli import sources
from inversion.cli.batch import add_images
from inversion.cli.common import write_json, write_table
from inversion.cli.interrupt import StopRequest
from inversion.cli.own import add_model, choose_model
from inversion.cli.runs import follow_all
from inversion.common.commands import Parser, UsageError, add_device, guarded, visible
from inversion.common.errors import UserError
from inversion.common.settings import SettingValue
from inversion.grids import (
    AXES,
    LIST_HELP,
    GridFiles,
    GridPlan,
    Materials,
    axes_of,
    grid_requests,
    originals,
    parameters,
    plan_grid,
    read_choices,
    summary,
    write_grid,
)
from inversion.grids.figures import rows
from inversion.grids.sheets import Named
from inversion.methods import parse_method
from inversion.metrics import METRICS
from inversion.serving.jobs import RunView
from inversion.serving.lane import Lane
from inversion.serving.runs import Request
from inversion.tasks import DEFAULT_TASK, TASKS

EPILOG = f"""An axis is NAME=LIST. Names: method, model, task, picture, preset, seed, a field of a task such as factor,
sigma or mask, a setting such as w.lr, or one of all stages such as steps. {LIST_HELP}"""


def main(argv: list[str]) -> int:
    """Run the cells, print a table and what is best, and save pictures, sheet and table with --out."""
    parser = Parser(
        prog="python -m inversion grid",
        description="Vary one, two or three things: every combination is a cell.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    add_images(parser, "the input pictures; several are named by picture= on an axis")
    for axis in AXES:
        parser.add_argument(f"--{axis}", required=axis == "x", metavar="NAME=LIST", help=f"what varies along {axis}")
    add_model(parser)
    parser.add_argument("--task", default=DEFAULT_TASK, choices=list(TASKS), help="default: %(default)s")
    parser.add_argument("--method", default="w", metavar="M", help="of all cells, unless an axis varies it")
    parser.add_argument(
        "--set", action="append", default=[], dest="settings", metavar="NAME=VALUE", help="a value of all cells"
    )
    parser.add_argument("--masks", nargs="+", type=Path, default=[], metavar="FILE", help="masks, used by their names")
    parser.add_argument("--out", type=Path, metavar="DIR", help="save pictures, grid.png, grid.csv and grid.json here")
    parser.add_argument("--json", action="store_true", help="print only JSON")
    add_device(parser)
    args = parser.parse_intermixed_args(argv)

    def run() -> int:
        choose_model(args)
        return _grid(args)

    return guarded(parser.prog, run)


class GridRuns(NamedTuple):
    """The runs of a grid, the originals, and the exit status."""

    views: list[RunView]
    originals: list[Named]
    status: int


def run_grid(plan: GridPlan, materials: Materials, lane: Lane, *, bars: bool = True) -> GridRuns:
    """Do the runs of a plan; after Ctrl-C, those that are left are cancelled.

    Raises UserError if no run has a result.
    """
    requests = grid_requests(plan.setups, materials)
    for request in requests:
        lane.check(request)
    views = [_view(request, "cancelled") for request in requests]
    failed: UserError | None = None
    with StopRequest() as stop:
        for index, (request, outcome) in enumerate(follow_all(lane, requests, stop, bars=bars)):
            if isinstance(outcome, UserError):
                failed = failed or outcome
                views[index] = _view(request, "failed", message=str(outcome))
                continue
            _, done = outcome
            state = "done" if stop.signal is None else "cancelled"
            facts = {"image": done.image, "row": done.row, "seconds": done.row["seconds"], "message": done.message}
            views[index] = _view(request, state, **facts)
    if failed is not None and all(view.image is None for view in views):
        raise failed
    return GridRuns(views, originals(requests).pictures, stop.status)


def _view(request: Request, state: str, **facts: object) -> RunView:
    return RunView(request.method, parse_method(request.method).label, state=state, **facts)  # type: ignore[arg-type]


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Files by the names that axes use: without their endings if those are different, else whole."""
    stems = [path.stem for path in paths]
    return {path.stem if stems.count(path.stem) == 1 else str(path): path for path in paths}


def _grid(args: argparse.Namespace) -> int:
    pictures = named(sources.expand(args.images, args.recursive))
    masks = named(args.masks)
    known = parameters(list(pictures), list(masks))
    first: dict[str, SettingValue] = {"picture": next(iter(pictures)), "budget": 3600.0}
    base = {**first, "task": args.task, "method": args.method, "model": args.model}
    fixed = read_choices(known, ";".join(args.settings))
    plan = plan_grid(known, {**base, **fixed}, axes_of(getattr(args, axis) for axis in AXES))
    if len(pictures) > 1 and len({setup.picture for setup in plan.setups}) == 1:
        raise UsageError("Several pictures need an axis: add --z picture=")
    sys.stderr.write(f"{len(plan.layout.runs)} cells, {len(plan.setups)} runs\n")
    materials = Materials({name: images.decode(path) for name, path in pictures.items()}, masks)
    done = run_grid(plan, materials, Lane(args.device, args.dtype))
    shown = done.views, plan.title, done.originals
    files = None if args.out is None else write_grid(args.out, plan.layout, *shown)
    _show(plan, done.views, args.json, files)
    return done.status


def _show(plan: GridPlan, views: Sequence[RunView], json: bool, files: GridFiles | None) -> None:
    """Print the cells as a table or as JSON, and what is best."""
    lines = rows(plan.layout, views)
    if json:
        write_json(lines)
        return
    axes = [axis.label for axis in plan.layout.axes]
    figures = [name for name in METRICS if any(line.get(name) is not None for line in lines)]
    write_table(lines, [*axes, *figures, "seconds", *(["message"] if any(line["message"] for line in lines) else [])])
    texts = [*summary(plan.layout, views), f"Sheet: {files.sheet}" if files else "Add --out DIR to save."]
    sys.stdout.writelines(f"{visible(text)}\n" for text in texts)
