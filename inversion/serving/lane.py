"""Runs one request at a time on the device and reports its progress as plain data, for `inversion.serving.session`.

A request and its events hold only names, numbers, uint8 arrays and CPU tensors, so that a lane can run in another
process (a ZeroGPU worker is a fork and pickles its arguments).
"""

from __future__ import annotations

import gc
import hashlib
import math
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar, get_args

import numpy as np
import torch

from inversion import align, images, metrics
from inversion.align import Crop
from inversion.checkpoints import detector
from inversion.checkpoints.registry import DEFAULT, registry
from inversion.common import devices
from inversion.common.errors import UserError
from inversion.common.rows import Row, RowView
from inversion.common.settings import SettingValue, Spec, checked, kind_of
from inversion.methods import Method, Result, Step, parse_method
from inversion.methods.beginnings import Beginnings
from inversion.methods.codes import to_plain
from inversion.methods.run import RunOptions, invert
from inversion.methods.starts import opened, refusal
from inversion.model import checked_options
from inversion.serving.requests import Quick
from inversion.tasks import DEFAULT_TASK, Task, make_task, task_class

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.checkpoints.codes import SavedCode
    from inversion.methods.codes import PlainCode
    from inversion.model import Model

T = TypeVar("T")
WARM_STEPS = 6
ENLARGED = (
    "The picture was enlarged from {side} to {size} pixels a side, and then made small. If it is the small picture "
    "already, tick the box for that, or give --measured."
)
SEED_LIMIT = 2**63  # torch.Generator takes signed 64-bit seeds; negative ones are refused


class LaneError(UserError):
    """A request that cannot be run. The text is one line for the user and says what to change."""


@dataclass(frozen=True, eq=False)
class CroppedPicture:
    """A second picture of a request: uint8 (H, W, 3), and the part of it to use."""

    pixels: np.ndarray
    crop: Crop = Crop()


TaskInput = SettingValue | np.ndarray | CroppedPicture  # value of a task's own field


@dataclass(frozen=True)
class Request:
    """One method on one picture.

    picture: uint8 (H, W, 3), any size. crop: the part of it to use. settings: "stage.field" -> value.
    inputs: field of the task -> a number, a mask or a `CroppedPicture`; missing fields have their defaults. A mask is
    uint8 (H, W), marked where it exceeds 127; for a crop with a quad it must have the size of the picture.
    measured: the picture is already the measurement of the task. budget: seconds. notes: on how the files were read.
    options: field of `ModelOptions` -> value. start: a code to start from, instead of the method's own beginning.
    """

    task: str
    method: str
    picture: np.ndarray
    model: str = DEFAULT
    settings: Mapping[str, object] = field(default_factory=dict)
    inputs: Mapping[str, TaskInput] = field(default_factory=dict)
    seed: int = 0
    measured: bool = False
    budget: float = 300.0
    crop: Crop = Crop()
    notes: tuple[str, ...] = ()
    options: Mapping[str, SettingValue] = field(default_factory=dict)
    start: SavedCode | None = None


@dataclass(frozen=True)
class Ready:
    """The measurement is ready. Pictures are uint8 (R, R, 3); `truth` is None if the upload is the measurement.

    notes: sentences for the user on what was measured.
    """

    truth: np.ndarray | None
    measured: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """One step of the run. Some steps have a picture, uint8 (R, R, 3), and `row` with its metrics."""

    stage: str
    step: int
    total: int
    seconds: float
    image: np.ndarray | None = None
    row: RowView | None = None


@dataclass(frozen=True)
class Finished:
    """The last event. `code` comes from `to_plain` or is None; `weights` are the tuned weights as CPU tensors."""

    image: np.ndarray
    row: RowView
    curves: Mapping[str, list[float]]
    code: PlainCode | None
    weights: Mapping[str, Tensor] | None
    message: str = ""


Event = Ready | Progress | Finished


class Lane:
    """Runs requests on one device. Not thread-safe: `inversion.serving.session` lets only one caller use it.

    device: "auto", "cpu", "cuda", ... dtype: "auto" or the data type of the generator's computation.
    """

    def __init__(self, device: str = "auto", dtype: str = "auto") -> None:
        self.device, self.dtype = device, dtype
        self._beginnings = Beginnings()

    def load(self, model: str) -> Model:
        """The model, from the hub's cache or its file. Raises HubError if it cannot be loaded."""
        from inversion.checkpoints import hub  # imports all networks

        return hub.load(model, device=self.device, dtype=self.dtype)

    def warm(self, model: str) -> float | None:
        """Load a model and run it, so that the first user does not wait for imports. Raises UserError.

        Returns the seconds of one step of W, None if they were not measured.
        """
        self.load(model)
        request = Request(DEFAULT_TASK, "w", np.zeros((8, 8, 3), np.uint8), model, {"w.steps": WARM_STEPS})
        steps = [event for event in self(request) if isinstance(event, Progress) and event.total == WARM_STEPS]
        if len(steps) < WARM_STEPS:
            return None
        return (steps[-1].seconds - steps[0].seconds) / (WARM_STEPS - 1)  # the first step is slower

    def tidy(self) -> None:
        """Forget what was kept of earlier runs for too long."""
        self._beginnings.prune()

    def unavailable(
        self,
        model: str,
        methods: Mapping[str, Method],
        start: SavedCode | None = None,
        options: Mapping[str, SettingValue] | None = None,
    ) -> dict[str, str]:
        """Key -> reason, for the methods that cannot run on the model, or not from the start. Loads the model.

        options: of the model, as in a request. Raises HubError, CodeError and SettingError.
        """
        loaded = self.load(model).configured(options or {})
        code = None if start is None else opened(start, loaded)
        reasons = {
            key: method.unavailable(loaded) if code is None else refusal(method, code, loaded)
            for key, method in methods.items()
        }
        return {key: reason for key, reason in reasons.items() if reason is not None}

    def check(self, request: Request) -> str:
        """Check everything that does not need the model. Returns the method's label. Raises UserError."""
        own = [spec.name for spec in fields(task_class(request.task))]
        for name in request.inputs:
            if name not in own:
                available = ", ".join(own) or "none"
                raise LaneError(f"The task {request.task} has no input {name!r}. Choose one of: {available}.")
        entry = registry().get(request.model)
        if entry is None:
            raise LaneError(f"There is no model {request.model!r}.")
        checked_options(request.options, entry.classes)
        second = [value.pixels for value in request.inputs.values() if isinstance(value, CroppedPicture)]
        for picture in (request.picture, *second):
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise LaneError("A picture must be a uint8 array of shape (H, W, 3).")
        if not (math.isfinite(request.budget) and request.budget > 0):
            raise LaneError("The time budget must be a positive number of seconds.")
        if not 0 <= request.seed < SEED_LIMIT:
            raise LaneError("The seed must be a whole number from 0 to 2^63 - 1.")
        return _method(request).label

    def __call__(self, request: Request) -> Generator[Event, bool | None, None]:
        """Yield the events of the run: `Ready`, then `Progress`, `Finished` last.

        Send True to end the run with the best result so far; close the generator to cancel it. Raises UserError, also
        if the memory is exhausted.
        """
        failed = False
        try:
            yield from self._run(request)
        except (MemoryError, RuntimeError, TypeError) as error:
            devices.check_supported(error)
            # Free the memory later: the traceback of a live exception references every tensor of the run.
            if not _out_of_memory(error):
                raise
            failed = True
        if failed:
            _raise_out_of_memory()

    def answer(self, request: Quick[T]) -> T:
        """The answer of a quick request, plain data. Raises UserError, also if the memory is exhausted."""
        try:
            return request(self.load(request.model))
        except (MemoryError, RuntimeError, TypeError) as error:
            devices.check_supported(error)
            if not _out_of_memory(error):
                raise
        _raise_out_of_memory()

    def _run(self, request: Request) -> Generator[Event, bool | None, None]:
        model = self.load(request.model).configured(request.options)
        method = _method(request)
        reason = method.unavailable(model)
        if reason is not None:
            raise LaneError(f"{method.label} cannot run on {request.model}: {reason}.")
        start = None if request.start is None else opened(request.start, model)
        measured = measurement(request, model)
        task, truth, y, notes = measured
        yield Ready(None if truth is None else images.to_array(truth), images.to_array(task.pinv(y)), notes)
        reporter = RunReporter(request, method, model, measured)
        computed, stop = 0.0, None
        options = RunOptions(budget=request.budget, start=start, beginnings=self._beginnings)
        with closing(invert(model, task, y, method, request.seed, options)) as events:
            while True:
                resumed = time.perf_counter()
                event = events.send(stop)
                computed += time.perf_counter() - resumed  # without the time of metrics and of the consumer
                if isinstance(event, Result):
                    yield reporter.finished(event)
                    return
                computed += event.spent
                stop = yield reporter.progress(event, computed)


class RunReporter:
    """Turns the steps and the result of one run into events, with the metrics of their pictures."""

    def __init__(self, request: Request, method: Method, model: Model, measured: Measurement) -> None:
        self.model, self.truth, task = model, measured.truth, measured.task
        self.labels = {stage.key: stage.label for stage in method.stages}
        self.row: Row = {
            "task": request.task,
            "method": request.method,
            "model": request.model,
            "seed": request.seed,
            **dict.fromkeys(metrics.METRICS),
            "seconds": 0.0,
            "spent": 0.0,
            "steps": 0,
            "picture": hashlib.sha256(request.picture.tobytes()).hexdigest()[:16],
            "image": None,
            "measured": request.measured,
            "crop": {"how": request.crop.how, "quad": request.crop.quad, "note": request.crop.note},
            "parameters": task.parameters(),
            "start": None if request.start is None else request.start.digest,
            "hole_share": task.hole_share,
            "notes": list(measured.notes),
            "settings": method.settings(),
            "sha256": model.sha256,
            "domain": model.domain,
            "licence": model.licence,
        }

    def progress(self, step: Step, seconds: float) -> Progress:
        """The event of a step after `seconds` of computing. If it has a picture, it gets the cheap metrics."""
        stage = self.labels.get(step.stage, step.stage)
        if step.image is None:
            return Progress(stage, step.index, step.total, seconds)
        values = metrics.scores(step.image, self.truth, self.model, preview=True)
        row = {**self.row, **values, "seconds": round(seconds, 3), "steps": step.index, "partial": True}
        return Progress(stage, step.index, step.total, seconds, images.to_array(step.image), row)

    def finished(self, result: Result) -> Finished:
        """The event of the result, with all metrics."""
        values = metrics.scores(result.image, self.truth, self.model)
        row = {**self.row, **values, "seconds": round(result.seconds, 3), "spent": round(result.spent, 3)}
        row["steps"] = result.steps
        row |= {key: value for key, value in result.recipe.items() if key not in row}
        code = None if result.code is None else to_plain(result.code)
        return Finished(images.to_array(result.image), row, result.curves, code, result.weights, result.message)


class Measurement(NamedTuple):
    """The task, the truth (1, 3, R, R) in [-1, 1] or None, y, and sentences for the user. Tensors on the device."""

    task: Task
    truth: Tensor | None
    y: Tensor
    notes: tuple[str, ...]


def measurement(request: Request, model: Model) -> Measurement:
    """The measurement of a request's picture, on the model's device. Raises UserError."""
    specs = {spec.name: spec for spec in fields(task_class(request.task))}
    parameters = {name: _parameter(specs[name], value, request, model) for name, value in request.inputs.items()}
    task = make_task(request.task, **parameters)
    task.measured_size(model.resolution)  # refuses what does not fit the generator
    notes = [*request.notes, *task.remarks()]
    if request.measured:
        task, note = task.fitted(_side(request), model.resolution)
        notes += [*([note] if note else []), *_scaled(request, task.measured_size(model.resolution))]
    size = task.measured_size(model.resolution)
    if request.measured or not task.has_truth:
        y = task.read(images.to_tensor(align.part_of(request.picture, request.crop, size)).to(model.device))
        return Measurement(task, None, y, tuple(notes))
    if size < model.resolution and _side(request) < model.resolution:
        notes.append(ENLARGED.format(side=_side(request), size=model.resolution))
    truth = images.to_tensor(align.part_of(request.picture, request.crop, model.resolution)).to(model.device)
    y = task.measure(truth, torch.Generator().manual_seed(request.seed))
    return Measurement(task, truth, y, tuple(notes))


def _scaled(request: Request, size: int) -> list[str]:
    """How a measurement becomes a square of `size` pixels a side, if it is not one."""
    height, width = request.picture.shape[:2]
    side, lines = _side(request), []
    if request.crop.quad is None and height != width:
        lines.append(f"The input has {width}x{height} pixels; its central {side}x{side} pixels are used.")
    if side != size:
        lines.append(f"The input was scaled from {side}x{side} to {size}x{size} pixels.")
    return lines


def _side(request: Request) -> int:
    """Pixels a side of the part of the picture that is used."""
    quad = request.crop.quad
    return min(request.picture.shape[:2]) if quad is None else round(align.side_of(quad))


def _parameter(spec: Spec, value: TaskInput, request: Request, model: Model) -> SettingValue | Tensor:
    """The value of a task's field: a number, or a mask or picture as a tensor of the generator's resolution."""
    kind = kind_of(spec)
    if kind == "number":
        return checked(spec.name, spec, value)
    if kind == "mask" and isinstance(value, np.ndarray):
        known = _known_pixels(value, request.crop, model.resolution)
        return 1 - known if spec.metadata["white"] else known
    if kind == "picture" and isinstance(value, CroppedPicture):
        return images.to_tensor(align.part_of(value.pixels, value.crop, model.resolution)).to(model.device)
    raise LaneError(f"The input {spec.name} must be a {kind}, not {type(value).__name__}.")


AUTOMATIC_CROPS = tuple(mode for mode in get_args(align.CropMode) if mode != "hand")  # those that `crop` can compute


def crop(picture: np.ndarray, model: str, how: align.CropMode = "auto", face: int = 1) -> Crop:
    """The part of a picture, uint8 (H, W, 3), for the model. auto: the face, if the model needs aligned faces.

    `face`: which face, 1 for the largest. Raises AlignError or HubError, and LaneError for a face below 1.
    """
    if face < 1:
        raise LaneError(f"There is no face {face}. Count the faces from 1, the largest.")
    entries = registry()
    entry = entries.get(model)
    if how in ("centre", "hand") or (how == "auto" and (entry is None or entry.crop == "none")):
        return Crop()
    target = detector.target_of(entries, entry)
    return detector.choose(picture, how, lambda: detector.registered(entries), face, target)


def _known_pixels(mask: np.ndarray, crop: Crop, size: int) -> Tensor:
    """The cropped part of a mask as `images.known_pixels`: (1, 1, size, size), 0 where it is marked."""
    return images.known_pixels(mask if crop.quad is None else align.cut_mask(mask, crop.quad, size), size)


def _method(request: Request) -> Method:
    method = parse_method(request.method)
    method = method.configured(request.settings) if request.settings else method
    return method if request.start is None else method.from_start()


def _raise_out_of_memory() -> NoReturn:
    """Free the memory of the device and raise LaneError. Call it outside the except block; see `Lane.__call__`."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
    raise LaneError("Not enough memory for these settings. Use fewer codes or a smaller model.")


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        text in str(error) for text in ("can't allocate memory", "backend out of memory")
    )
