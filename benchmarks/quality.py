"""Quality tables: every method on every task, one row per picture.

``python -m benchmarks.quality --json quality.json`` writes the rows to the file and prints their means. Rows that the
file already has for the same settings, weights and picture are reused, so an interrupted run can be continued.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.common import SOURCES, Column, add_model, benchmark_parser, seeds_of, table
from inversion import images, metrics
from inversion.checkpoints import store
from inversion.checkpoints.registry import SERVE_ALL, registry
from inversion.cli.common import add_task_inputs
from inversion.common.commands import UsageError, add_device, guarded
from inversion.common.rows import Row, RowView
from inversion.common.settings import kind_of, split_settings
from inversion.methods import BASIC, parse_method
from inversion.model import Model
from inversion.serving.lane import Lane
from inversion.serving.measurement import measurement
from inversion.serving.runs import Finished, Request
from inversion.tasks import TASKS, task_class
from inversion.training.models import domain_of

PROG = "python -m benchmarks.quality"
MEASURED = "measured"  # pseudo-method: the measurement itself, enlarged with bicubic interpolation if it is small
TASK_SHARE = 4  # tasks other than reconstruction use a quarter of the pictures


@dataclass(frozen=True)
class Case:
    """One picture, uint8 (R, R, 3), with a name and the coverage (1, 1, R, R) of its smallest parts, None if unknown.

    The PSNR of the whole picture hides these parts (of faces: eyes, mouth, glasses).
    """

    name: str
    picture: np.ndarray
    details: Tensor | None = None


@dataclass(frozen=True)
class Job:
    """One row to compute. label: the method with the settings that the user changed."""

    label: str
    request: Request
    case: Case
    signature: str


def cases(model: Model, source: str, n: int) -> Iterator[Case]:
    """Test pictures of a model's resolution: held-out ones of its domain, out-of-domain ones, or the photo.

    Raises TrainingError if the domain has no renderer, and UsageError if it has no out-of-domain pictures.
    """
    if source == "photo":
        yield Case("astronaut", photo(model.resolution))
        return
    domain = domain_of(model)
    rows = [domain.classes.index(name) for name in domain.finest]
    for seed in seeds_of(domain, source, n):
        drawn = domain.draw([seed], model.resolution)
        yield Case(str(seed), images.to_array(drawn.picture), drawn.segmentation[:, rows].sum(1, keepdim=True))


def photo(resolution: int) -> np.ndarray:
    """scikit-image's astronaut (NASA, public domain), uint8 (R, R, 3): rows 0-255, columns 96-351, rescaled."""
    from PIL import Image
    from skimage.data import astronaut

    return np.asarray(images.fit(Image.fromarray(astronaut()[:256, 96:352]), resolution))


def centre_hole(resolution: int) -> np.ndarray:
    """A mask, uint8 (R, R), whose white centre has a quarter of the area."""
    mask = np.zeros((resolution, resolution), np.uint8)
    mask[resolution // 4 : -resolution // 4, resolution // 4 : -resolution // 4] = 255
    return mask


def request_for(
    task: str, method: str, case: Case, settings: Mapping[str, object], args: argparse.Namespace
) -> Request:
    """The request that the page would send to the lane."""
    specs = fields(task_class(task))
    inputs = {s.name: centre_hole(case.picture.shape[0]) for s in specs if kind_of(s) == "mask"}
    inputs |= {s.name: getattr(args, s.name) for s in specs if getattr(args, s.name, None) is not None}
    return Request(
        task=task,
        method=method,
        picture=case.picture,
        model=args.model,
        settings=settings,
        inputs=inputs,
        seed=args.seed,
        budget=3600.0,
    )


def weights_of(model: Model, method: str) -> list[str]:
    """Hashes of the files that the rows of a method depend on: its networks and those of losses and metrics.

    Missing files do not count. So the rows are computed again when a file becomes available.
    """
    needs = frozenset() if method == MEASURED else parse_method(method).needs
    found = []
    for entry in registry().values():
        own = model.name in (entry.name, entry.generator)
        if (
            (own and (entry.kind in ("generator", *needs) or f"encoders.{entry.role}" in needs))
            or (entry.kind == "predictor" and entry.domain == model.domain)
            or (entry.kind in SERVE_ALL and (own or entry.generator is None))
        ) and entry.name not in model.absent:
            found.append(store.expected(entry)[0] or entry.name)
    return found


def signature(request: Request, case: Case, weights: Sequence[str]) -> str:
    """A hash of everything that a row depends on: method and all its settings, task, weights, picture, seed."""
    steps = {} if request.method == MEASURED else parse_method(request.method).configured(request.settings).settings()
    text = json.dumps(
        [
            request.task,
            request.method,
            steps,
            {name: value for name, value in request.inputs.items() if not isinstance(value, np.ndarray)},
            request.seed,
            weights,
            hashlib.sha256(case.picture.tobytes()).hexdigest(),
        ]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run(lane: Lane, request: Request, case: Case) -> tuple[Row, np.ndarray]:
    """One row and its picture, uint8 (R, R, 3)."""
    row, image = measured_row(lane, request) if request.method == MEASURED else method_row(lane, request)
    result, truth = images.to_tensor(image), images.to_tensor(case.picture)
    detail = None if case.details is None else metrics.psnr(result, truth, case.details)[0]
    return {**row, "picture": case.name, "detail_psnr": detail}, image


def method_row(lane: Lane, request: Request) -> tuple[Row, np.ndarray]:
    """Row and picture of a method's result."""
    for event in lane(request):
        if isinstance(event, Finished):
            return dict(event.row), event.image
    raise RuntimeError(f"{request.method} ended without a result")


def measured_row(lane: Lane, request: Request) -> tuple[Row, np.ndarray]:
    """Row and picture of the measurement, without a method."""
    model = lane.load(request.model)
    task, truth, y, _ = measurement(request, model)
    small = y.shape[-1] < model.resolution
    size = (model.resolution, model.resolution)
    enlarged = torch.nn.functional.interpolate(y, size, mode="bicubic").clamp(-1, 1) if small else task.pinv(y)
    row = {"task": request.task, "method": request.method, "seconds": 0.0, **metrics.scores(enlarged, truth, model)}
    return row, images.to_array(enlarged)


def columns() -> dict[str, Column]:
    """The columns of the table by their key in a row: every metric, the PSNR of details, and the time."""
    return {
        **{name: Column(metric.label, metric.digits) for name, metric in metrics.METRICS.items()},
        "detail_psnr": Column("Detail PSNR", metrics.METRICS["psnr"].digits),
        "seconds": Column("Seconds", 1),
    }


def means_table(rows: Sequence[RowView]) -> str:
    """Means over pictures as a Markdown table, one line per task and label. Columns without a value are left out."""
    shown = {key: column for key, column in columns().items() if any(row.get(key) is not None for row in rows)}
    groups: dict[tuple[str, str], list[RowView]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["label"]), []).append(row)
    lines: list[list[object]] = []
    for (task, label), members in groups.items():
        cells: list[object] = [task, label, len(members)]
        for key, column in shown.items():
            values = [member[key] for member in members if member.get(key) is not None]
            cells.append(column.text(statistics.fmean(values) if values else None))
        lines.append(cells)
    return table(["Task", "Method", "n", *(column.label for column in shown.values())], lines)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = benchmark_parser("quality", __doc__)
    add_model(parser, n=32)
    parser.add_argument("--tasks", default=",".join(TASKS), help="separated by commas")
    parser.add_argument("--methods", default=",".join(BASIC), help=f"separated by commas; {MEASURED}: the input itself")
    parser.add_argument("--source", default="held-out", choices=(*SOURCES, "photo"), help="the kind of test pictures")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="stage.field=VALUE")
    add_task_inputs(parser, kinds=["number"], factor=8, sigma=0.2)
    parser.add_argument("--seed", type=int, default=0)
    add_device(parser)
    parser.add_argument("--pictures", type=Path, help="folder for the resulting pictures")
    return parser.parse_args(argv)


def jobs_of(args: argparse.Namespace, lane: Lane) -> list[Job]:
    """A job for each task, picture and method. Methods that the model cannot run are reported on stderr."""
    model = lane.load(args.model)
    methods = args.methods.split(",")
    missing = lane.unavailable(args.model, {key: parse_method(key) for key in methods if key != MEASURED})
    for key, reason in missing.items():
        sys.stderr.write(f"{key} is left out: {reason}\n")
    for text in args.settings:
        if "=" not in text:
            raise UsageError(f"--set needs stage.field=VALUE, not {text!r}")
    stages = {key: [] if key == MEASURED else [stage.key for stage in parse_method(key).stages] for key in methods}
    settings = split_settings(stages, dict(text.split("=", 1) for text in args.settings))
    weights = {key: weights_of(model, key) for key in methods if key not in missing}
    jobs = []
    for task in args.tasks.split(","):
        n = args.n if task_class(task).exact else max(1, args.n // TASK_SHARE)
        for case in cases(model, args.source, n):
            for method, files in weights.items():
                label = " ".join([method, *(f"{name}={value}" for name, value in settings[method].items())])
                request = request_for(task, method, case, settings[method], args)
                jobs.append(Job(label, request, case, signature(request, case, files)))
    return jobs


def fill(args: argparse.Namespace) -> None:
    """Compute the missing rows and print the means of the requested ones."""
    rows = [row for row in args.json.rows() if "signature" in row]
    known = {row["signature"] for row in rows}
    lane = Lane(args.device, args.dtype)
    jobs = jobs_of(args, lane)
    for job in tqdm(jobs):
        if job.signature in known:
            continue
        row, image = run(lane, job.request, job.case)
        facts = {"benchmark": "quality", "signature": job.signature, "label": job.label, "source": args.source}
        rows.append({**row, **facts})
        known.add(job.signature)
        args.json.add(rows[-1])
        if args.pictures is not None:
            args.pictures.mkdir(parents=True, exist_ok=True)
            name = "_".join([args.source, job.request.task, *job.label.split(), job.case.name])
            images.write_png(args.pictures / f"{name}.png", image)
    requested = {job.signature for job in jobs}
    sys.stdout.write(means_table([row for row in rows if row["signature"] in requested]) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Compute the table. Returns the exit status: 0, or 2 with one line on stderr."""
    args = parse(argv)
    return guarded(PROG, lambda: fill(args))


if __name__ == "__main__":
    raise SystemExit(main())
