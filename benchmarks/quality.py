"""Quality tables: every method on every task, one row per picture.

``python -m benchmarks.quality --json quality.json`` fills the file and prints the means; rows that the file already
holds for the same settings, weights and picture are not made again, so a stopped table goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from tqdm import tqdm

from inversion import images, metrics
from inversion.checkpoints import hub, store
from inversion.checkpoints.registry import SERVE_ALL, registry
from inversion.cli.common import add_task_inputs
from inversion.common.settings import kind_of, split_settings
from inversion.methods import BASIC, parse_method
from inversion.model import Model
from inversion.serving.lane import Finished, Lane, Request, measurement
from inversion.synthetic import HELD_OUT
from inversion.synthetic.faces import CLASSES, OUT_OF_DOMAIN, draw_faces
from inversion.tasks import task_class

DETAILS = ("eyes", "mouth", "glasses")  # the small features that a good PSNR may hide
COLUMNS = ("psnr", "detail_psnr", "ssim", "lpips", "synthetic_identity", "synthetic_perceptual", "seconds")
MEASURED = "measured"  # as if it were a method: nothing but what was measured, enlarged bicubically if it is small
SHARE = 4  # tasks other than reconstruction take a fourth of the pictures


@dataclass(frozen=True)
class Case:
    """One picture: its name, uint8 (R, R, 3), and the coverage (1, 1, R, R) of its details where that is known."""

    name: str
    picture: np.ndarray
    details: Any = None


def cases(source: str, n: int, resolution: int) -> Iterator[Case]:
    """Pictures to test on: `held-out` faces, `strange` ones from outside the domain, or the `photo`."""
    if source == "photo":
        yield Case("astronaut", photo(resolution))
        return
    first = {"held-out": HELD_OUT, "strange": OUT_OF_DOMAIN}[source]
    for seed in range(first, first + n):
        face = draw_faces([seed], resolution)
        rows = [CLASSES.index(name) for name in DETAILS]
        yield Case(str(seed), images.to_array(face.picture), face.segmentation[:, rows].sum(1, keepdim=True))


def photo(resolution: int) -> np.ndarray:
    """scikit-image's astronaut (NASA, public domain): rows 0-255, columns 96-351, scaled to the resolution."""
    from PIL import Image
    from skimage.data import astronaut

    return np.asarray(images.fit(Image.fromarray(astronaut()[:256, 96:352]), resolution))


def centre_hole(resolution: int) -> np.ndarray:
    """A mask (R, R) whose white centre is a fourth of the picture's area."""
    mask = np.zeros((resolution, resolution), np.uint8)
    mask[resolution // 4 : -resolution // 4, resolution // 4 : -resolution // 4] = 255
    return mask


def request(task: str, method: str, case: Case, settings: dict[str, Any], args: argparse.Namespace) -> Request:
    """What the app would ask of the lane."""
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
    """Hashes of the files that a method's rows depend on: its networks, and those that judge or are behind a loss.

    What the model lacks does not count: its rows differ from those that are made when it has come.
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


def signature(asked: Request, case: Case, weights: Sequence[str]) -> str:
    """What makes two rows the same: method and all its settings, task, weights, picture, seed."""
    steps = {} if asked.method == MEASURED else parse_method(asked.method).configured(asked.settings).settings()
    text = json.dumps(
        [
            asked.task,
            asked.method,
            steps,
            {name: value for name, value in asked.inputs.items() if not isinstance(value, np.ndarray)},
            asked.seed,
            weights,
            hashlib.sha256(case.picture.tobytes()).hexdigest(),
        ]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run(lane: Lane, asked: Request, case: Case) -> tuple[dict[str, Any], np.ndarray]:
    """One row, and the picture it is of."""
    row, image = as_measured(lane, asked) if asked.method == MEASURED else finished(lane, asked)
    made, truth = images.to_tensor(image), images.to_tensor(case.picture)
    detail = None if case.details is None else metrics.psnr(made, truth, case.details)[0]
    return {**row, "picture": case.name, "detail_psnr": detail}, image


def finished(lane: Lane, asked: Request) -> tuple[dict[str, Any], np.ndarray]:
    """What a method makes."""
    for event in lane(asked):
        if isinstance(event, Finished):
            return dict(event.row), event.image
    raise RuntimeError(f"{asked.method} ended without a result")


def as_measured(lane: Lane, asked: Request) -> tuple[dict[str, Any], np.ndarray]:
    """What there is without a method."""
    model = lane.load(asked.model)
    task, truth, y = measurement(asked, model)
    small = y.shape[-1] < model.resolution
    size = (model.resolution, model.resolution)
    picture = F.interpolate(y, size, mode="bicubic").clamp(-1, 1) if small else task.pinv(y)
    row = {"task": asked.task, "method": asked.method, "seconds": 0.0, **metrics.scores(picture, truth, model)}
    return row, images.to_array(picture)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Means over pictures as a Markdown table, one line per task, method and settings that were asked for."""
    lines = ["| task | method | n | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 3) + "|"]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["label"]), []).append(row)
    for (task, label), members in groups.items():
        cells = []
        for column in COLUMNS:
            known = [m[column] for m in members if m.get(column) is not None]
            cells.append(
                f"{statistics.fmean(known):.{2 if 'psnr' in column else 3 if column != 'seconds' else 1}f}"
                if known
                else "-"
            )
        lines.append(f"| {task} | {label} | {len(members)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def keep(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows so that the file is whole at any time: whoever stops in the middle keeps those before."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(rows, indent=1) + "\n")
    part.replace(path)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--n", type=int, default=32, help="pictures for reconstruction; other tasks take a fourth")
    parser.add_argument("--tasks", default="reconstruct,colorize,superres,inpaint")
    parser.add_argument("--methods", default=",".join(BASIC))
    parser.add_argument("--source", default="held-out", choices=("held-out", "strange", "photo"))
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="stage.field=VALUE")
    parser.add_argument("--model", default=hub.DEFAULT)
    add_task_inputs(parser, ("number",), factor=8, sigma=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--json", type=Path, required=True, help="rows are kept and looked up here")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures made")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Fill the table and print its means."""
    args = parse(argv)
    rows = json.loads(args.json.read_text()) if args.json.exists() else []
    known = {row["signature"] for row in rows}
    lane = Lane(args.device, args.dtype)
    model = lane.load(args.model)
    methods = args.methods.split(",")
    weights = {key: weights_of(model, key) for key in methods}
    lacking = lane.unavailable(args.model, {key: parse_method(key) for key in methods if key != MEASURED})
    for key, reason in lacking.items():
        sys.stderr.write(f"{key} is left out: {reason}\n")
    stages = {key: [] if key == MEASURED else [stage.key for stage in parse_method(key).stages] for key in methods}
    chosen = split_settings(stages, dict(text.split("=", 1) for text in args.settings))
    methods = [key for key in methods if key not in lacking]
    jobs = []
    for task in args.tasks.split(","):
        n = args.n if task == "reconstruct" else max(1, args.n // SHARE)
        for case in cases(args.source, n, model.resolution):
            for method in methods:
                settings = chosen[method]
                label = " ".join([method, *(f"{name}={value}" for name, value in settings.items())])
                jobs.append((label, request(task, method, case, settings, args), case))
    wanted = []
    for label, asked, case in tqdm(jobs):
        mark = signature(asked, case, weights[asked.method])
        wanted.append(mark)
        if mark in known:
            continue
        row, image = run(lane, asked, case)
        rows.append({**row, "signature": mark, "label": label, "source": args.source})
        known.add(mark)
        keep(args.json, rows)
        if args.pictures is not None:
            args.pictures.mkdir(parents=True, exist_ok=True)
            name = "_".join([args.source, asked.task, *label.split(), case.name])
            images.write_png(args.pictures / f"{name}.png", image)
    marks = set(wanted)
    sys.stdout.write(table([row for row in rows if row["signature"] in marks]) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
