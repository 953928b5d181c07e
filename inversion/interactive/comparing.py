"""`compare`: the requests of the command line and the page, made of Python values."""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from PIL import Image

from inversion import images
from inversion.align import CropMode
from inversion.checkpoints.codes import read_code
from inversion.checkpoints.registry import DEFAULT
from inversion.cli.common import require_inputs, task_inputs
from inversion.cli.interrupt import StopRequest
from inversion.cli.runs import follow_all
from inversion.common.errors import UserError
from inversion.common.settings import SettingError, SettingValue, kind_of, split_settings
from inversion.interactive.results import ComparedResult, Comparison
from inversion.methods import BASIC, Method, parse_method
from inversion.model import ModelOptions
from inversion.serving.lane import Lane
from inversion.serving.measurement import AUTOMATIC_CROPS, crop
from inversion.serving.runs import LaneError, Ready, Request
from inversion.tasks import DEFAULT_TASK, task_class

Source = str | Path | bytes | Image.Image | np.ndarray  # of a picture or mask: a file or its content; uint8 arrays


@dataclass(frozen=True)
class CompareOptions:
    """The options of `compare` that every task and model has; they mean what the flags of the command line mean.

    seed: of all random draws. budget: seconds for each method. measured: the picture is already the measurement.
    align: the part of the picture to use. face: which one, 1 is the largest. start: the file of a code to start from.
    progress: whether to show progress bars.
    """

    seed: int = 0
    budget: float = 3600.0
    measured: bool = False
    align: CropMode = "auto"
    face: int = 1
    start: str | Path | None = None
    device: str = "auto"
    dtype: str = "auto"
    progress: bool = True
    preset: str = "quick"  # one of PRESETS, "" for the methods' defaults; `settings` changes single values


def compare(
    picture: Source,
    methods: str | Sequence[str] | None = None,
    task: str = DEFAULT_TASK,
    *,
    model: str = DEFAULT,
    settings: Mapping[str, SettingValue] | None = None,
    **options: object,
) -> Comparison:
    """Run methods on a picture, one after the other, with progress bars. In a notebook the results show themselves.

    picture: a file, its bytes, a PIL picture, or an array uint8 (H, W, 3). methods: keys, or stages joined by + as in
    "psp+wplus"; the default is those of `BASIC` that the model can run. settings: {"stage.field": value}. options:
    fields of `CompareOptions`, of the task (factor=8, mask="mask.png", invert_mask=True), and of `ModelOptions`.

    A method that fails is listed under `failed` of the comparison. Ctrl-C, or the stop button of a notebook, ends the
    present run with its best picture so far. Raises UserError for wrong arguments, and if no method has a result.
    """
    own, inputs, model_options = _sorted(task, options)
    lane = Lane(own.device, own.dtype)
    start = None if own.start is None else read_code(Path(own.start))
    chosen = [methods] if isinstance(methods, str) else list(dict.fromkeys(BASIC if methods is None else methods))
    parsed = {method: parse_method(method) for method in chosen}
    given = split_settings({key: [stage.key for stage in one.stages] for key, one in parsed.items()}, settings or {})
    values = {key: one.changed(own.preset, given[key]) for key, one in parsed.items()}
    name, content = decoded(picture)
    pixels, notes = np.asarray(content.picture), [*content.notes]
    fields_given = argparse.Namespace(task=task, model=model, align=own.align, **inputs)
    given_inputs = task_inputs(fields_given, Path(name), content, notes)
    require_inputs(task, given_inputs, "{}=FILE")
    request = Request(
        task=task,
        method="",
        picture=pixels,
        model=model,
        inputs=given_inputs,
        seed=own.seed,
        measured=own.measured,
        budget=own.budget,
        crop=crop(pixels, model, own.align, own.face),
        options=model_options,
        start=start,
    )
    request = replace(request, notes=(*notes, *([request.crop.note] if request.crop.note else [])))
    requests = [replace(request, method=method, settings=values[method]) for method in parsed]
    for one in requests:
        lane.check(one)
    available = _available(lane, request, parsed, optional=methods is None)
    return _run(lane, [one for one in requests if one.method in available], name, own.progress)


def _run(lane: Lane, requests: Sequence[Request], name: str, bars: bool) -> Comparison:
    """Do the runs until one is interrupted."""
    results: list[ComparedResult] = []
    failed: dict[str, UserError] = {}
    ready: Ready | None = None
    with StopRequest() as stop:
        for request, outcome in follow_all(lane, requests, stop, bars=bars):
            if isinstance(outcome, UserError):
                failed[request.method] = outcome
                continue
            ready, finished = outcome
            row = {**finished.row, "picture": name, "message": finished.message, "error": ""}
            row["interrupted"] = stop.signal is not None
            results.append(ComparedResult(lane, request, replace(finished, row=row)))
    if ready is None:
        raise next(iter(failed.values()))
    return Comparison(name, results, ready, {method: str(error) for method, error in failed.items()})


def _sorted(
    task: str, options: Mapping[str, object]
) -> tuple[CompareOptions, dict[str, object], dict[str, SettingValue]]:
    """The options by their owners: of every run, of the task, of the model. Raises SettingError for other names."""
    common = [spec.name for spec in fields(CompareOptions)]
    of_model = [spec.name for spec in fields(ModelOptions)]
    of_task: dict[str, object] = {}
    for spec in fields(task_class(task)):
        of_task[spec.name] = None
        if kind_of(spec) == "mask":
            of_task[f"invert_{spec.name}"] = False
    for name, value in options.items():
        if name in of_task:
            of_task[name] = _file(value)
        elif name not in (*common, *of_model):
            known = ", ".join([*common, *of_model, *of_task])
            raise SettingError(f"There is no option {name!r}. Choose one of: {known}.")
    own = CompareOptions(**{name: value for name, value in options.items() if name in common})  # type: ignore[arg-type]
    if own.align not in AUTOMATIC_CROPS:
        raise SettingError(f"align must be one of {', '.join(AUTOMATIC_CROPS)}, not {own.align!r}.")
    return own, of_task, {name: value for name, value in options.items() if name in of_model}  # type: ignore[misc]


def _file(value: object) -> object:
    """A value of a task's field: the path or the bytes of a picture or mask; other values as they are."""
    if isinstance(value, np.ndarray):
        value = Image.fromarray(value)
    if isinstance(value, Image.Image):
        return _png(value)
    return value


def decoded(source: Source) -> tuple[str, images.Decoded]:
    """The name and the content of a picture. Raises BadImage."""
    if isinstance(source, str | Path):
        return str(source), images.decode(source)
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
            raise images.BadImage(f"A picture must be uint8 (H, W, 3), not {source.dtype} {source.shape}.")
        return "picture", images.Decoded(Image.fromarray(source))
    return "picture", images.decode(_png(source) if isinstance(source, Image.Image) else source)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _available(lane: Lane, request: Request, methods: Mapping[str, Method], *, optional: bool) -> list[str]:
    """The methods that the model can run. Raises LaneError if a method that is not optional is missing, or all are."""
    lacking = lane.unavailable(request.model, methods, request.start, request.options)
    found = [method for method in methods if method not in lacking]
    if lacking and not (optional and found):
        raise LaneError("; ".join(f"{method} cannot run: {reason}" for method, reason in lacking.items()) + ".")
    return found
