"""Shared by the commands: arguments of a run, progress bars, tables."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
from tqdm import tqdm

from inversion import images
from inversion.align import paste
from inversion.cli.codes import add_start, start_of, write_files
from inversion.cli.own import add_model, add_options, choose_model, options_of
from inversion.common.commands import Parser, UsageError, add_device, make_folder
from inversion.common.rows import Row
from inversion.common.settings import Kind, SettingError, checked, kind_of, split_settings
from inversion.methods import parse_method
from inversion.metrics import METRICS
from inversion.serving.lane import (
    AUTOMATIC_CROPS,
    CroppedPicture,
    Finished,
    Lane,
    LaneError,
    Progress,
    Ready,
    Request,
    TaskInput,
    crop,
)
from inversion.tasks import DEFAULT_TASK, TASKS, TaskError, task_class, task_fields


def run_parser(command: str, description: str) -> Parser:
    """A parser with the arguments of a run, except the method."""
    parser = Parser(prog=f"python -m inversion {command}", description=description, allow_abbrev=False)
    parser.add_argument("image", type=Path, metavar="IMAGE", help="the input picture")
    parser.add_argument("--task", default=DEFAULT_TASK, choices=list(TASKS), help="default: %(default)s")
    add_model(parser)
    add_options(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="stage.field=VALUE",
        help="a setting of a stage; may be repeated",
    )
    add_task_inputs(parser)
    add_start(parser)
    parser.add_argument(
        "--align",
        default="auto",
        choices=AUTOMATIC_CROPS,
        help="the part of IMAGE to use; auto: the face for models of aligned faces, otherwise the central square",
    )
    parser.add_argument("--face", type=int, default=1, metavar="N", help="which face; 1 is the largest (default)")
    parser.add_argument("--measured", action="store_true", help="IMAGE is the measurement, not the original")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default 0)")
    parser.add_argument("--budget", type=float, default=3600.0, metavar="SECONDS", help="time limit of a method")
    add_device(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="save pictures and figures in this folder")
    parser.add_argument("--json", action="store_true", help="print only JSON on stdout")
    return parser


def add_task_inputs(
    parser: argparse.ArgumentParser, kinds: Collection[Kind] = get_args(Kind), **defaults: object
) -> None:
    """Add a flag for each field of a task that is of one of these kinds. `defaults` replace those of the tasks."""
    try:
        known = task_fields()
    except TaskError as error:
        parser.error(str(error))
    for name, (spec, owners) in known.items():
        if kind_of(spec) not in kinds:
            continue
        numeric = kind_of(spec) == "number"
        text = f"for {', '.join(owners)}: {sentence_part(spec.metadata['help'])}"
        if kind_of(spec) == "mask":
            parser.add_argument(
                f"--invert-{name.replace('_', '-')}",
                action="store_true",
                help=f"for {', '.join(owners)}: mark the other part of the {spec.metadata['label'].lower()}",
            )
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=reader(spec) if numeric else Path,
            default=defaults.get(name),
            metavar=metavar(spec) if numeric else "FILE",
            help=(f"{text} (default {spec.default})" if numeric else text).replace("%", "%%"),
        )


def reader(spec: Field[Any]) -> Callable[[str], bool | int | float | str]:
    """The type of a flag for a field: it converts and checks the value like every other way to set the field."""

    def read(text: str) -> bool | int | float | str:
        try:
            return checked("the value", spec, text)
        except SettingError as error:
            raise argparse.ArgumentTypeError(str(error).rstrip(".")) from None

    return read


def metavar(spec: Field[Any]) -> str | None:
    """The placeholder in the help for the value of a field's flag; None: its name."""
    return "true|false" if isinstance(spec.default, bool) else None


def sentence_part(text: str) -> str:
    """A sentence as it follows a colon: with a small first letter, without a full stop."""
    return text[:1].lower() + text[1:].rstrip(".")


def task_inputs(args: argparse.Namespace, task: str, picture: np.ndarray, notes: list[str]) -> dict[str, TaskInput]:
    """Values of the task's fields from the flags; files are read, and facts about them are added to `notes`.

    picture: uint8 (H, W, 3), as large as a mask.
    """
    inputs: dict[str, TaskInput] = {}
    for spec in fields(task_class(task)):
        value = getattr(args, spec.name, None)
        if value is not None and kind_of(spec) == "mask":
            invert = getattr(args, f"invert_{spec.name}")
            mask = images.decode_mask(value, (picture.shape[0], picture.shape[1]), invert=invert)
            value = mask.pixels
            notes += mask.notes
        elif value is not None and kind_of(spec) == "picture":
            decoded = images.decode(value)
            second = np.asarray(decoded.picture)
            value = CroppedPicture(second, crop(second, args.model, args.align))
            notes += decoded.notes
        if value is not None:
            inputs[spec.name] = value
    return inputs


# Called with each result. Returns more fields of its row, and more pictures of the sheet.
AfterRun = Callable[[Lane, Request, Finished], tuple[Row, list[np.ndarray]]]


def run_methods(
    args: argparse.Namespace, methods: Sequence[str], then: AfterRun | None = None, *, optional: bool = False
) -> Iterator[Row]:
    """One row per method, when its run is over. With --out, saves pictures, a sheet of them, and the rows as JSON.

    Raises LaneError before the first run if the model cannot run a method; `optional` methods are skipped instead.
    """
    choose_model(args)
    decoded = images.decode(args.image)
    picture = np.asarray(decoded.picture)
    if args.out is not None:
        make_folder(args.out)
    lane = Lane(args.device, args.dtype)
    requests = _possible(lane, _requests(args, methods, decoded), optional)
    rows: list[Row] = []
    sheet: list[np.ndarray] = []
    printed: set[str] = set()
    try:
        for request in requests:
            ready, finished = _run(lane, request, printed)
            row = {**finished.row, "picture": str(args.image), "message": finished.message}
            sheet = sheet or [p for p in (ready.truth, ready.measured) if p is not None]
            sheet.append(finished.image)
            if args.out is not None:
                path = args.out / f"{args.image.stem}_{args.task}_{request.method}.png"
                images.write_png(path, finished.image)
                row["image"] = str(path)
                row |= write_files(path, lane, request, finished)
                quad = request.crop.quad
                if quad is not None:
                    images.write_png(path.with_stem(f"{path.stem}_pasted"), paste(picture, quad, finished.image))
            if then is not None:
                added, more = then(lane, request, finished)
                row |= added
                sheet += more
            rows.append(row)
            yield row
    finally:  # if a method fails, the results before it are saved
        if rows and args.out is not None:
            stem = args.out / f"{args.image.stem}_{args.task}"
            images.write_png(f"{stem}_sheet.png", np.concatenate(sheet, axis=1))
            Path(f"{stem}.json").write_text(dumps(rows) + "\n", encoding="utf-8")


def write_json(value: object) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(dumps(value) + "\n")


def dumps(value: object) -> str:
    """JSON text. Raises ValueError for NaN, which strict JSON does not have."""
    return json.dumps(value, indent=1, allow_nan=False)


def write_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Print rows as aligned columns on stdout. A missing value is a dash."""
    cells = [list(columns), *([_cell(row.get(c)) for c in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        sys.stdout.write("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() + "\n")


def write_notes(notes: Sequence[str], printed: set[str]) -> None:
    """Print the notes that are not in `printed` on stderr, and add them to it."""
    for note in dict.fromkeys(notes):
        if note not in printed:
            sys.stderr.write(f"{note}\n")
    printed.update(notes)


def write_rows(rows: Sequence[Row], args: argparse.Namespace) -> None:
    """Print the figures of runs as a table on stdout."""
    known = [name for name in METRICS if any(row.get(name) is not None for row in rows)]
    write_table(rows, ["method", *known, "seconds", "image"])
    for row in rows:
        if row["message"]:
            sys.stdout.write(f"{row['method']}: {row['message']}\n")
    if args.out is None:
        sys.stdout.write("No pictures were saved: add --out DIR to save them.\n")


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _run(lane: Lane, request: Request, printed: set[str]) -> tuple[Ready, Finished]:
    """Do one run, with a progress bar for each stage on stderr, after the notes that are not in `printed`."""
    bar: tqdm | None = None
    stage = ""
    ready: Ready | None = None
    try:
        for event in lane(request):
            if isinstance(event, Ready):
                ready = event
                write_notes(event.notes, printed)
            elif isinstance(event, Progress):
                if bar is None or event.stage != stage:
                    if bar is not None:
                        bar.close()
                    stage = event.stage
                    bar = tqdm(total=event.total, desc=f"{request.method}: {stage}", file=sys.stderr)
                bar.update(event.step - bar.n)
            elif ready is not None:
                return ready, event
    finally:
        if bar is not None:
            bar.close()
    raise LaneError(f"{request.method} ended without a result")


def _requests(args: argparse.Namespace, methods: Sequence[str], decoded: images.Decoded) -> list[Request]:
    """One request per method. Prints the note of the crop, if any, on stderr."""
    chosen, picture, notes = _settings(args.settings, methods), np.asarray(decoded.picture), [*decoded.notes]
    inputs, start = task_inputs(args, args.task, picture, notes), start_of(args)
    part = crop(picture, args.model, args.align, args.face)
    if part.note:
        sys.stderr.write(f"{part.note}\n")
    return [
        Request(
            task=args.task,
            method=method,
            picture=picture,
            model=args.model,
            settings=chosen[method],
            inputs=inputs,
            seed=args.seed,
            measured=args.measured,
            budget=args.budget,
            crop=part,
            options=options_of(args),
            start=start,
            notes=tuple(notes),
        )
        for method in methods
    ]


def _possible(lane: Lane, requests: Sequence[Request], optional: bool) -> list[Request]:
    """The requests that the model can run. Raises LaneError for the rest, if not `optional` or if none can run."""
    for request in requests:
        lane.check(request)
    lacking = lane.unavailable(requests[0].model, {r.method: parse_method(r.method) for r in requests})
    possible = [request for request in requests if request.method not in lacking]
    reasons = [f"{method} cannot run: {reason}" for method, reason in lacking.items()]
    if reasons and not (optional and possible):
        raise LaneError("; ".join(reasons))
    for reason in reasons:
        sys.stderr.write(f"{reason}\n")
    return possible


def _settings(texts: Sequence[str], methods: Sequence[str]) -> dict[str, dict[str, str]]:
    """The --set values for the stages of each method. Raises UsageError, or SettingError if no method has the stage."""
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageError(f"--set needs stage.field=VALUE, not {text!r}")
        values[name] = value
    return split_settings({method: [stage.key for stage in parse_method(method).stages] for method in methods}, values)
