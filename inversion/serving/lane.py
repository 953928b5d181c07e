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
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inversion import align, images, invert, metrics
from inversion.align import Crop
from inversion.checkpoints import detector, hub
from inversion.checkpoints.registry import HubError
from inversion.common.errors import UserError
from inversion.methods import Method, Result, SettingError, Step, parse_method
from inversion.methods.codes import to_plain
from inversion.model import Model
from inversion.tasks import APPLICATIONS, TASKS, Task, TaskError, make_task

CHEAP = 512  # pixels a side up to which SSIM may be computed for every preview
REFUSALS = (HubError, SettingError, TaskError, images.BadImage)  # their text is one line for the user
SEED_LIMIT = 2**63  # torch.Generator takes signed 64-bit seeds; negative ones are refused


class LaneError(UserError):
    """A request that cannot be run; the text is one line for the user and says what to change."""


@dataclass(frozen=True)
class Request:
    """One method on one picture.

    picture: uint8 (H, W, 3), any size. crop: the part of it that is used. mask: uint8 (H, W), white (over 127) is hole;
    for a crop with a quad H and W must be the picture's.
    measured: the picture already is what the task measures. settings: "stage.field" -> number. budget: seconds.
    context: uint8 (H, W, 3), the task diffuse's second picture, into which the white part of the first is put;
    context_crop: the part of it that is used.
    """

    task: str
    method: str
    picture: np.ndarray
    model: str = hub.DEFAULT
    settings: Mapping[str, float] = field(default_factory=dict)
    mask: np.ndarray | None = None
    factor: int = 4
    sigma: float = 0.1
    seed: int = 0
    measured: bool = False
    budget: float = 300.0
    crop: Crop = Crop()
    context: np.ndarray | None = None
    context_crop: Crop = Crop()


class Quick(Protocol):
    """A request of plain data that is answered at once: an edit of a result, a translation.

    It is called with its model and answers with plain data. What it raises of SettingError, TaskError, BadImage and
    HubError reaches the user as one line.
    """

    @property
    def model(self) -> str: ...
    def __call__(self, model: Model) -> Any: ...  # noqa: ANN401 - whatever the request is for


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
        """The model, from the hub's cache or its file. Raises LaneError."""
        try:
            return hub.load(model, device=self.device, dtype=self.dtype)
        except HubError as error:
            raise LaneError(str(error)) from None

    def warm(self, model: str) -> None:
        """Load a model and run it once: the first run in a process pays for imports and kernels. Raises LaneError."""
        self.load(model)
        for _ in self(Request("reconstruct", "w", np.zeros((8, 8, 3), np.uint8), model, {"w.steps": 1})):
            pass

    def unavailable(self, model: str, methods: Mapping[str, Method]) -> dict[str, str]:
        """Why each of the methods that cannot run on the model cannot. Loads the model; raises LaneError."""
        loaded = self.load(model)
        reasons = {key: method.unavailable(loaded) for key, method in methods.items()}
        return {key: reason for key, reason in reasons.items() if reason is not None}

    def check(self, request: Request) -> str:
        """Refuse, with LaneError, what can be refused before the model is there; returns the method's label."""
        if request.task not in TASKS and request.task not in APPLICATIONS:
            raise LaneError(f"There is no task {request.task!r}. Choose one of: {', '.join(TASKS)}.")
        if request.model not in hub.registry():
            raise LaneError(f"There is no model {request.model!r}.")
        for picture in (request.picture, request.context):
            if picture is not None and (picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3):
                raise LaneError("A picture is an array of bytes with three channels.")
        if not (math.isfinite(request.budget) and request.budget > 0):
            raise LaneError("The time budget must be a positive number of seconds.")
        if not 0 <= request.seed < SEED_LIMIT:
            raise LaneError("The seed must be a whole number, 0 or larger.")
        try:
            return _method(request).label
        except SettingError as error:
            raise LaneError(str(error)) from None

    def __call__(self, request: Request) -> Generator[Event, bool | None, None]:
        """Events of the run, `Finished` last. Send True to end it with the best so far; close it to drop it.

        Raises LaneError, also without memory.
        """
        failed = False
        try:
            yield from self._run(request)
        except REFUSALS as error:
            raise LaneError(str(error)) from None
        except (MemoryError, RuntimeError) as error:
            # Only noted here: while the exception lives, its traceback keeps every tensor of the run alive.
            if not _out_of_memory(error):
                raise
            failed = True
        if failed:
            _out_of_room()

    def answer(self, request: Quick) -> Any:  # noqa: ANN401 - whatever the request is for
        """The answer of a quick request, plain data. Raises LaneError, also without memory."""
        try:
            return request(self.load(request.model))
        except REFUSALS as error:
            raise LaneError(str(error)) from None
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
            **dict.fromkeys(metrics.SCORES),
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
        figures: dict[str, Any] = {}
        if self.truth is not None:
            figures["psnr"] = round(metrics.psnr(step.image, self.truth)[0], 4)
            if step.image.shape[-1] <= CHEAP:
                figures["ssim"] = round(metrics.ssim(step.image, self.truth)[0], 4)
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
    resolution = model.resolution
    mask = None if request.mask is None else _known_pixels(request.mask, request.crop, resolution)
    context = None
    if request.task in APPLICATIONS:
        if request.context is None or mask is None:
            raise TaskError(f"the task {request.task} needs a second picture and a mask of what goes into it")
        context = images.to_tensor(_cut(request.context, request.context_crop, resolution)).to(model.device)
        mask = 1 - mask  # what is painted is what is measured
    task = make_task(request.task, mask=mask, factor=request.factor, sigma=request.sigma, context=context)
    size = task.measured_size(resolution)
    if request.measured or context is not None:
        return task, None, task.read(images.to_tensor(_cut(request.picture, request.crop, size)).to(model.device))
    truth = images.to_tensor(_cut(request.picture, request.crop, resolution)).to(model.device)
    return task, truth, task.measure(truth, torch.Generator().manual_seed(request.seed))


def crop(picture: np.ndarray, model: str, how: align.How = "auto", face: int = 1) -> Crop:
    """Which part of uint8 (H, W, 3) the model should see. auto: the face, if the model's pictures were cut by one.

    `face` counts from the largest, 1. Raises LaneError.
    """
    entries = hub.registry()
    if how == "auto" and (model not in entries or entries[model].crop != "ffhq"):
        return Crop()
    try:
        return detector.choose(picture, how, lambda: detector.registered(entries), face)
    except (align.AlignError, HubError) as error:
        raise LaneError(str(error)) from None


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
