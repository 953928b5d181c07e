"""Runs one request on the device and says in plain data what happens: the part behind `inversion.serving.session`.

A request and the events of its run hold only names, numbers, uint8 arrays and CPU tensors, so that a lane may as well
live in another process (a ZeroGPU worker is forked and pickles what it is handed).
"""

from __future__ import annotations

import gc
import hashlib
import math
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np
import torch
from PIL import Image

from inversion import align, images, metrics
from inversion.align import Crop
from inversion.checkpoints import detector
from inversion.checkpoints.registry import DEFAULT, registry
from inversion.common.errors import UserError
from inversion.common.settings import checked, kind_of
from inversion.methods import Method, Result, Step, parse_method
from inversion.methods.codes import to_plain
from inversion.methods.run import invert
from inversion.serving.requests import Quick
from inversion.tasks import Task, make_task, task_class

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.model import Model

T = TypeVar("T")
SEED_LIMIT = 2**63  # torch.Generator takes signed 64-bit seeds; negative ones are refused


class LaneError(UserError):
    """A request that cannot be run; the text is one line for the user and says what to change."""


@dataclass(frozen=True, eq=False)
class CroppedPicture:
    """A second picture of a request: uint8 (H, W, 3), and the part of it that is used."""

    pixels: np.ndarray
    crop: Crop = Crop()


@dataclass(frozen=True)
class Request:
    """One method on one picture.

    picture: uint8 (H, W, 3), any size. crop: the part of it that is used. settings: "stage.field" -> value.
    inputs: the task's own fields by name: a number, a mask as uint8 (H, W) that is white (over 127) where it marks (for
    a crop with a quad H and W must be the picture's), or a `CroppedPicture`; a field that is left out has its default.
    measured: the picture already is what the task measures. budget: seconds.
    """

    task: str
    method: str
    picture: np.ndarray
    model: str = DEFAULT
    settings: Mapping[str, float] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    measured: bool = False
    budget: float = 300.0
    crop: Crop = Crop()


@dataclass(frozen=True)
class Ready:
    """The measurement is made. Pictures are uint8 (R, R, 3); `truth` is None when the upload was the measurement."""

    truth: np.ndarray | None
    measured: np.ndarray


@dataclass(frozen=True)
class Progress:
    """One step. Now and then with a picture and the figures of that picture."""

    stage: str
    step: int
    total: int
    seconds: float
    image: np.ndarray | None = None
    row: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Finished:
    """The last event. `code` is plain, see `to_plain`, or None; `weights` are CPU tensors."""

    image: np.ndarray
    row: Mapping[str, Any]
    curves: Mapping[str, list[float]]
    code: Any
    weights: Mapping[str, Tensor] | None
    message: str = ""


Event = Ready | Progress | Finished


class Lane:
    """Runs requests on one device. Not made for two callers at a time: `inversion.serving.session` sees to that."""

    def __init__(self, device: str = "auto", dtype: str = "auto") -> None:
        self.device, self.dtype = device, dtype

    def load(self, model: str) -> Model:
        """The model, from the hub's cache or its file. Raises HubError."""
        from inversion.checkpoints import hub  # imports all networks

        return hub.load(model, device=self.device, dtype=self.dtype)

    def warm(self, model: str) -> None:
        """Load a model and run it once: the first run in a process pays for imports and kernels. Raises UserError."""
        self.load(model)
        for _ in self(Request("reconstruct", "w", np.zeros((8, 8, 3), np.uint8), model, {"w.steps": 1})):
            pass

    def unavailable(self, model: str, methods: Mapping[str, Method]) -> dict[str, str]:
        """The reason for each of the methods that cannot run on the model. Loads the model; raises HubError."""
        loaded = self.load(model)
        reasons = {key: method.unavailable(loaded) for key, method in methods.items()}
        return {key: reason for key, reason in reasons.items() if reason is not None}

    def check(self, request: Request) -> str:
        """Check all that can be checked before the model is loaded; returns the method's label. Raises UserError."""
        own = [spec.name for spec in fields(task_class(request.task))]
        for name in request.inputs:
            if name not in own:
                raise LaneError(f"The task {request.task} has no input {name!r}: it has {', '.join(own) or 'none'}.")
        if request.model not in registry():
            raise LaneError(f"There is no model {request.model!r}.")
        more = [given.pixels for given in request.inputs.values() if isinstance(given, CroppedPicture)]
        for picture in (request.picture, *more):
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise LaneError("A picture is an array of bytes with three channels.")
        if not (math.isfinite(request.budget) and request.budget > 0):
            raise LaneError("The time budget must be a positive number of seconds.")
        if not 0 <= request.seed < SEED_LIMIT:
            raise LaneError("The seed must be a whole number, 0 or larger.")
        return _method(request).label

    def __call__(self, request: Request) -> Generator[Event, bool | None, None]:
        """Events of the run, `Finished` last. Send True to end it with the best so far; close it to drop it.

        Raises UserError, also if the memory is exhausted.
        """
        failed = False
        try:
            yield from self._run(request)
        except (MemoryError, RuntimeError) as error:
            # Only noted here: while the exception lives, its traceback keeps every tensor of the run alive.
            if not _out_of_memory(error):
                raise
            failed = True
        if failed:
            _out_of_room()

    def answer(self, request: Quick[T]) -> T:
        """The answer of a quick request, plain data. Raises UserError, also if the memory is exhausted."""
        try:
            return request(self.load(request.model))
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
        _out_of_room()

    def _run(self, request: Request) -> Generator[Event, bool | None, None]:
        model = self.load(request.model)
        method = _method(request)
        reason = method.unavailable(model)
        if reason is not None:
            raise LaneError(f"{method.label} cannot run on {request.model}: {reason}")
        task, truth, y = measurement(request, model)
        yield Ready(None if truth is None else images.to_array(truth), images.to_array(task.pinv(y)))
        judge = Judge(request, method, model, task, truth)
        computed, stop = 0.0, None
        with closing(invert(model, task, y, method, seed=request.seed, budget=request.budget)) as events:
            while True:
                resumed = time.perf_counter()
                event = events.send(stop)
                computed += time.perf_counter() - resumed  # judging, and whoever reads the events, do not count
                if isinstance(event, Result):
                    yield judge.finished(event)
                    return
                stop = yield judge.progress(event, computed)


class Judge:
    """Turns the steps and the result of one run into events: merged pictures with their figures."""

    def __init__(self, request: Request, method: Method, model: Model, task: Task, truth: Tensor | None) -> None:
        self.model, self.truth = model, truth
        self.labels = {stage.key: stage.label for stage in method.stages}
        self.row: dict[str, Any] = {
            "task": request.task,
            "method": request.method,
            "model": request.model,
            "seed": request.seed,
            **dict.fromkeys(metrics.METRICS),
            "seconds": 0.0,
            "steps": 0,
            "picture": hashlib.sha256(request.picture.tobytes()).hexdigest()[:16],
            "image": None,
            "measured": request.measured,
            "crop": {"how": request.crop.how, "quad": request.crop.quad, "note": request.crop.note},
            "parameters": task.parameters(),
            "settings": method.settings(),
            "sha256": model.sha256,
            "domain": model.domain,
            "licence": model.licence,
        }

    def progress(self, step: Step, seconds: float) -> Progress:
        """A step after so many seconds of computing; one with a picture gets the figures that are cheap."""
        stage = self.labels.get(step.stage, step.stage)
        if step.image is None:
            return Progress(stage, step.index, step.total, seconds)
        figures = metrics.scores(step.image, self.truth, self.model, preview=True)
        row = {**self.row, **figures, "seconds": round(seconds, 3), "steps": step.index, "partial": True}
        return Progress(stage, step.index, step.total, seconds, images.to_array(step.image), row)

    def finished(self, result: Result) -> Finished:
        """The result with all figures."""
        figures = metrics.scores(result.image, self.truth, self.model)
        row = {**self.row, **figures, "seconds": round(result.seconds, 3), "steps": result.steps}
        row |= {key: value for key, value in result.recipe.items() if key not in row}
        code = None if result.code is None else to_plain(result.code)
        return Finished(images.to_array(result.image), row, result.curves, code, result.weights, result.message)


def measurement(request: Request, model: Model) -> tuple[Task, Tensor | None, Tensor]:
    """Task, truth (1, 3, R, R) or None, and y, on the model's device. Raises TaskError or BadImage."""
    specs = {spec.name: spec for spec in fields(task_class(request.task))}
    parameters = {name: _parameter(specs[name], value, request, model) for name, value in request.inputs.items()}
    task = make_task(request.task, **parameters)
    size = task.measured_size(model.resolution)
    if request.measured or not task.has_truth:
        return task, None, task.read(images.to_tensor(_cut(request.picture, request.crop, size)).to(model.device))
    truth = images.to_tensor(_cut(request.picture, request.crop, model.resolution)).to(model.device)
    return task, truth, task.measure(truth, torch.Generator().manual_seed(request.seed))


def _parameter(spec: Field[Any], value: Any, request: Request, model: Model) -> Any:  # noqa: ANN401 - by its kind
    """The value of a task's field: a number, or a mask or picture as a tensor of the generator's resolution."""
    if kind_of(spec) == "mask":
        known = _known_pixels(value, request.crop, model.resolution)
        return 1 - known if spec.metadata["white"] else known
    if kind_of(spec) == "picture":
        return images.to_tensor(_cut(value.pixels, value.crop, model.resolution)).to(model.device)
    return checked(spec.name, spec, value)


def crop(picture: np.ndarray, model: str, how: align.How = "auto", face: int = 1) -> Crop:
    """Which part of uint8 (H, W, 3) the model should see. auto: the face, if the model's pictures were cut by one.

    `face` counts from the largest, 1. Raises AlignError or HubError.
    """
    entries = registry()
    if how == "auto" and (model not in entries or entries[model].crop != "ffhq"):
        return Crop()
    return detector.choose(picture, how, lambda: detector.registered(entries), face)


def _cut(picture: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """The part of a picture that is used, uint8 (size, size, 3)."""
    if crop.quad is None:
        return np.asarray(images.fit(Image.fromarray(picture), size))
    return align.cut(picture, crop.quad, size)


def _known_pixels(mask: np.ndarray, crop: Crop, size: int) -> Tensor:
    """The mask's part for a crop, as `images.known_pixels` gives it."""
    return images.known_pixels(mask if crop.quad is None else align.cut_mask(mask, crop.quad, size), size)


def _method(request: Request) -> Method:
    method = parse_method(request.method)
    return method.configured(request.settings) if request.settings else method


def _out_of_room() -> NoReturn:
    """Give back what the device still holds and say so. Not to be called while the exception lives."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise LaneError("Not enough memory for this setting. Try fewer codes, or a smaller model.")


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
