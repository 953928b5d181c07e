"""Runs one request at a time on the device and reports its progress as plain data, for `inversion.serving.session`.

A request and its events hold only names, numbers, uint8 arrays and CPU tensors, so that a lane can run in another
process (a ZeroGPU worker is a fork and pickles its arguments).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import fields
from statistics import median
from typing import TYPE_CHECKING, NoReturn, TypeVar

import numpy as np
import torch

from inversion import align, images, metrics
from inversion.checkpoints.registry import registry
from inversion.common import devices, memory
from inversion.common.errors import UserError
from inversion.common.rows import Row
from inversion.common.settings import SettingValue
from inversion.methods import Method, Result, Step, preset_of
from inversion.methods.beginnings import Beginnings
from inversion.methods.codes import to_plain
from inversion.methods.run import RunOptions, invert
from inversion.methods.starts import opened, refusal
from inversion.model import checked_options
from inversion.serving.analyses import analysed
from inversion.serving.measurement import Measurement, measurement
from inversion.serving.plans import method_of, plan_of
from inversion.serving.requests import Quick
from inversion.serving.runs import CroppedPicture, Event, Finished, LaneError, Progress, Ready, Request, picture_digest
from inversion.serving.translating import translated
from inversion.tasks import DEFAULT_TASK, task_class

if TYPE_CHECKING:
    from inversion.checkpoints.codes import SavedCode
    from inversion.model import Model

T = TypeVar("T")
WARM_STEPS = 4
# Words of errors of torch and of the system, in small letters, which have no class of their own.
OUT_OF_MEMORY = ("out of memory", "allocate memory", "unable to mmap", "alloc_failed", "bad_alloc")
SEED_LIMIT = 2**63  # torch.Generator takes signed 64-bit seeds; negative ones are refused


class Lane:
    """Runs requests on one device. Not thread-safe: `inversion.serving.session` lets only one caller use it.

    device: "auto", "cpu", "cuda", ... dtype: "auto" or the data type of the generator's computation. clock: of the
    seconds of runs, in seconds.
    """

    def __init__(
        self, device: str = "auto", dtype: str = "auto", clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.device, self.dtype, self.clock = device, dtype, clock
        self._beginnings = Beginnings()
        self._loading = ""  # name of the model that is being loaded

    @property
    def opened(self) -> bool:
        """Whether it can compute at once. A lane in this process always can."""
        return True

    @property
    def warms(self) -> bool:
        """Whether it is to load models ahead of their first use."""
        return True

    def open(self) -> None:
        """Does nothing, because a lane in this process is always open."""

    def close(self) -> None:
        """Does nothing: the models belong to the process."""

    def place(self) -> str:
        """The device, in words."""
        return self.device

    def room(self) -> int | None:
        """Bytes of the GPU that models may take, see `devices.room`."""
        return devices.room(self.device)

    def load(self, model: str) -> Model:
        """The model, from the hub's cache or its file. Raises HubError if it cannot be loaded."""
        from inversion.checkpoints import hub  # imports all networks

        self._loading = model
        try:
            loaded = hub.load(model, device=self.device, dtype=self.dtype)
        except UserError:
            self._loading = ""
            raise
        self._loading = ""
        return loaded

    def warm(self, model: str) -> float | None:
        """Load a model and run it, so that the first user does not wait for imports. Raises UserError.

        Returns the seconds of one step of W, None if they were not measured. On the CPU they are at most the processor
        time of a step in one thread: if other programs slow the machine down now, later runs may be much faster.
        """
        device = self.load(model).device
        walls, processors = self._step_times(model, 0, time.perf_counter), []
        if walls and device.type == "cpu":
            threads = torch.get_num_threads()
            torch.set_num_threads(
                1
            )  # several threads wait for each other, which costs processor time on a busy machine
            try:
                processors = self._step_times(model, 1, time.thread_time)
            finally:
                torch.set_num_threads(threads)
        return min((median(times) for times in (walls, processors) if times), default=None)

    def _step_times(self, model: str, seed: int, clock: Callable[[], float]) -> list[float]:
        """Times of steps of W by this clock, without the first step, which is slower. Raises UserError."""
        request = Request(DEFAULT_TASK, "w", np.zeros((8, 8, 3), np.uint8), model, {"w.steps": WARM_STEPS}, seed=seed)
        steps = [clock() for event in self(request) if isinstance(event, Progress) and event.total == WARM_STEPS]
        return [after - before for before, after in itertools.pairwise(steps)]

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
        """Check everything that does not need the model. Returns the label of the run. Raises UserError."""
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
        return plan_of(request).label

    def __call__(self, request: Request) -> Generator[Event, bool | None, None]:
        """Yield the events of the run: `Ready`, then `Progress`, `Finished` last.

        Send True to end the run with the best result so far; close the generator to cancel it. Raises UserError, also
        if the memory is exhausted.
        """
        failed = False
        try:
            yield from self._run(request)
        except (MemoryError, RuntimeError, TypeError, OSError) as error:
            devices.check_supported(error)
            # Free the memory later: the traceback of a live exception references every tensor of the run.
            if not _out_of_memory(error):
                raise
            failed = True
        if failed:
            self._raise_out_of_memory()

    def answer(self, request: Quick[T]) -> T:
        """The answer of a quick request, plain data. Raises UserError, also if the memory is exhausted."""
        try:
            return request(self.load(request.model))
        except (MemoryError, RuntimeError, TypeError, OSError) as error:
            devices.check_supported(error)
            if not _out_of_memory(error):
                raise
        self._raise_out_of_memory()

    def _raise_out_of_memory(self) -> NoReturn:
        """Free the memory of the device and raise LaneError. Call it outside the except block; see `__call__`."""
        loading, self._loading = self._loading, ""
        if loading:  # other models may take the memory
            from inversion.checkpoints import hub

            hub.models.clear()
        memory.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        elif torch.backends.mps.is_available():
            torch.mps.empty_cache()
        if loading:
            raise LaneError(f"Not enough memory to load {loading}. Try again in a minute, or use a smaller model.")
        raise LaneError("Not enough memory for these settings. Use fewer codes or a smaller model.")

    def _run(self, request: Request) -> Generator[Event, bool | None, None]:
        model = self.load(request.model).configured(request.options)
        if request.translation:
            yield from translated(request, model)
            return
        if request.analysis:
            whole = align.part_of(request.picture, request.crop, model.resolution)
            yield from analysed(request, model, images.to_tensor(whole).to(model.device), self._beginnings)
            return
        method = method_of(request)
        reason = method.unavailable(model)
        if reason is not None:
            raise LaneError(f"{method.label} cannot run on {request.model}: {reason}.")
        start = None if request.start is None else opened(request.start, model)
        measured = measurement(request, model)
        task, truth, y, notes = measured
        yield Ready(None if truth is None else images.to_array(truth), images.to_array(task.pinv(y)), notes)
        reporter = RunReporter(request, method, model, measured)
        computed, stop = 0.0, None
        options = RunOptions(budget=request.budget, clock=self.clock, start=start, beginnings=self._beginnings)
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
            "picture": picture_digest(request.picture),
            **({"picture_name": request.name} if request.name else {}),
            "image": None,
            "measured": request.measured,
            "crop": {"how": request.crop.how, "quad": request.crop.quad, "note": request.crop.note},
            "parameters": task.parameters(),
            "start": None if request.start is None else request.start.digest,
            "hole_share": task.hole_share,
            "notes": list(measured.notes),
            "settings": method.settings(),
            "preset": preset_of(method),
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


def _out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in OUT_OF_MEMORY)
