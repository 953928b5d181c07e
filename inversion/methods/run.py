"""Runs the stages of a method in order, within a time budget, with previews, curves and a recipe."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import numpy
import torch

from inversion.common.settings import SettingError
from inversion.common.version import VERSION
from inversion.losses import LossWeights, Objective
from inversion.methods.base import Outcome, Problem, Result, Stage, Step
from inversion.methods.beginnings import Beginning, Beginnings, EarlierRuns, Reached
from inversion.methods.pipeline import Method
from inversion.methods.starts import start_of

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.methods.codes import Code
    from inversion.model import Model
    from inversion.tasks.base import Task


@dataclass(frozen=True)
class RunOptions:
    """How a run is computed and watched."""

    budget: float | None = None  # seconds of computing; None for no limit
    preview_every: float = 0.5  # least seconds between two steps with a picture
    clock: Callable[[], float] = time.perf_counter  # of the computing time
    weights: LossWeights | None = None  # of the terms of the objective; None for the default ones
    start: Code | None = None  # where the first stage starts, instead of at the code of an embed stage
    beginnings: Beginnings | None = None  # of earlier runs; the run goes on after the longest that is its own


def invert(
    model: Model, task: Task, y: Tensor, method: Method, seed: int = 0, options: RunOptions | None = None
) -> Generator[Step | Result, bool | None, None]:
    """Run `method` on the measurement y (B, ...) of `task`: yield Steps, then one Result.

    Refine stages take one picture. Other stages give each picture of a batch the result that it would get alone. A step
    has a picture (merged, not clamped) at most every `options.preview_every` seconds. After `options.budget` seconds,
    or if True is sent, the current stage ends with its best iterate, and later stages are skipped. Closing the
    generator cancels the run without a Result. The model is never changed. `seed` determines all random numbers. Stages
    that are taken from `options.beginnings` yield one Step, with `spent`.
    Raises SettingError on the first `next` if the method does not fit the model, the measurement or the start.
    """
    options = options or RunOptions()
    method = method if options.start is None else method.from_start()
    reason = method.unavailable(model)
    if reason is not None:
        raise SettingError(f"{method.label} cannot run: {reason}.")
    y = y.to(model.device)
    start = None if options.start is None else start_of(method, options.start, model, len(y))
    monitor = _Monitor(options.budget, options.preview_every, options.clock)
    problem = Problem(model, task, y, Objective(task, y, model, options.weights))
    rng = torch.Generator().manual_seed(seed)
    beginnings = Beginnings(limit=0) if options.beginnings is None else options.beginnings
    earlier = beginnings.of(problem, start, seed)
    reached = yield from _run_stages(method, problem, Reached(start), (rng, monitor, earlier))
    with torch.no_grad():
        image = task.merge(reached.picture, y)
    yield Result(
        image=image,
        code=reached.code,
        weights=reached.weights,
        curves=monitor.curves,
        recipe=_recipe(problem, method, seed),
        seconds=monitor.seconds,
        steps=sum(monitor.updates.values()),
        message=" ".join(reached.messages),
        spent=monitor.spent,
    )


def _run_stages(
    method: Method, problem: Problem, reached: Reached, run: tuple[torch.Generator, _Monitor, EarlierRuns]
) -> Generator[Step, bool | None, Reached]:
    """Run the stages in order, after those that an earlier run did. Returns what was reached after the last one."""
    rng, monitor, earlier = run
    notes: list[str] = []
    done, beginning = earlier.longest(method.stages)
    if beginning is not None:
        reached = beginning.reached
        rng.set_state(beginning.rng)
        names = ", ".join(stage.label for stage in method.stages[:done] if stage.kind != "embed")
        notes.append(f"{names}: taken from an earlier run with the same settings.")
        yield from _take_over(beginning, method.stages[done - 1], problem, monitor)
    for count, stage in enumerate(method.stages[done:], done + 1):
        if reached.image is not None and monitor.should_stop:
            monitor.cut_short = True
            reached = replace(reached, messages=(*reached.messages, f"{stage.label} was skipped."))
            continue
        outcome = yield from _run_stage(stage, problem, (reached.code, rng), monitor)
        reached = reached.after(outcome)
        if stage.kind != "embed" and not monitor.cut_short:
            earlier.keep(method.stages[:count], Beginning(reached, rng.get_state(), *monitor.state()))
    if reached.image is None:
        raise SettingError(f"{method.label} has no stages.")
    if monitor.cut_short:
        why = "on request" if monitor.stop_requested else f"after the time budget of {monitor.budget:g} s"
        notes.insert(0, f"Stopped {why}. This is the best picture so far.")
    return replace(reached, messages=(*notes, *reached.messages))


def _take_over(
    beginning: Beginning, last: Stage, problem: Problem, monitor: _Monitor
) -> Generator[Step, bool | None, None]:
    """Go on from an earlier run: one step stands for all steps of its stages, of which `last` is the last one."""
    monitor.take_over(beginning)
    with torch.no_grad():
        image = problem.task.merge(beginning.reached.picture, problem.y)
    losses = {
        name.removeprefix(f"{last.key}."): values[-1]
        for name, values in beginning.curves.items()
        if name.startswith(f"{last.key}.")
    }
    steps = beginning.updates.get(last.key, 0)
    monitor.pause()
    stop = yield Step(last.key, steps, steps, losses, image, beginning.seconds)
    monitor.stop_requested = bool(stop) or monitor.stop_requested
    monitor.resume()


def _run_stage(
    stage: Stage, problem: Problem, start: tuple[Code | None, torch.Generator], monitor: _Monitor
) -> Generator[Step, bool | None, Outcome]:
    """Forward the steps of a stage, record them, and return its outcome. start: the code and the random generator."""
    with closing(stage(problem, *start)) as events:
        event = next(events)
        while isinstance(event, Step):
            monitor.record(event, stage)
            image = None
            if event.image is not None and monitor.preview_due(event):
                with torch.no_grad():
                    image = problem.task.merge(event.image, problem.y)
            monitor.pause()
            stop = yield Step(event.stage, event.index, event.total, event.losses, image)
            monitor.stop_requested = bool(stop) or monitor.stop_requested
            monitor.resume()
            stop = monitor.should_stop and event.index < event.total
            monitor.cut_short = monitor.cut_short or stop
            event = events.send(stop)
    return event


@dataclass
class _Monitor:
    """Time, curves and numbers of updates of one run."""

    budget: float | None  # seconds
    preview_every: float  # seconds
    clock: Callable[[], float]  # of the computing time, in seconds
    curves: dict[str, list[float]] = field(default_factory=dict)
    updates: dict[str, int] = field(default_factory=dict)
    stop_requested: bool = False  # whether the consumer sent True
    cut_short: bool = False  # whether a request or the budget ended a stage early
    spent: float = 0.0  # seconds of an earlier run
    _resumed: float = 0.0
    _computed: float = 0.0
    _previewed: float = -1e9  # so that the first step has a picture

    def __post_init__(self) -> None:
        self.resume()

    @property
    def should_stop(self) -> bool:
        """Whether to end the run. The budget counts computing time, because a run may be suspended for long."""
        return self.stop_requested or (self.budget is not None and self.seconds >= self.budget)

    @property
    def seconds(self) -> float:
        """Computing time in seconds."""
        return self._computed + self.clock() - self._resumed

    def state(self) -> tuple[dict[str, list[float]], dict[str, int], float]:
        """Copies of the curves and the numbers of updates, and the seconds, for a `Beginning`."""
        return {name: list(values) for name, values in self.curves.items()}, dict(self.updates), self.seconds

    def take_over(self, beginning: Beginning) -> None:
        """Count the stages of an earlier run as this run's own."""
        self.curves = {name: list(values) for name, values in beginning.curves.items()}
        self.updates, self.spent = dict(beginning.updates), beginning.seconds
        self._computed += self.spent

    def pause(self) -> None:
        """Stop the clock of the computing time."""
        self._computed += self.clock() - self._resumed

    def resume(self) -> None:
        """Start the clock of the computing time again."""
        self._resumed = self.clock()

    def record(self, step: Step, stage: Stage) -> None:
        """Store the losses of the step and count its update."""
        for name, value in step.losses.items():
            self.curves.setdefault(f"{step.stage}.{name}", []).append(value)
        if stage.kind != "embed":
            self.updates[step.stage] = step.index

    def preview_due(self, step: Step) -> bool:
        """Whether to pass on the picture of the step; the last step of a stage always has one."""
        now = time.perf_counter()
        if step.index < step.total and now - self._previewed < self.preview_every:
            return False
        self._previewed = now
        return True


def _recipe(problem: Problem, method: Method, seed: int) -> dict[str, object]:
    """Everything that is needed to reproduce a result, as JSON values."""
    model, task, objective = problem.model, problem.task, problem.objective
    return {
        "task": {"name": task.name, **task.parameters()},
        "method": method.key,
        "stages": [stage.key for stage in method.stages],
        "settings": method.settings(),
        "seed": seed,
        "loss": asdict(objective.weights),
        "perceptual_loss": objective.perceptual_name,
        "model": model.name,
        "model_options": asdict(model.options),
        "sha256": model.sha256,
        "device": str(model.device),
        "dtype": str(model.prior.compute_dtype).removeprefix("torch.") if model.prior is not None else None,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of the hub, Python, torch and NumPy. The last bits of a result may depend on them."""
    found = {"hub": VERSION, "python": platform.python_version(), "torch": torch.__version__}
    return {**found, "numpy": numpy.__version__}
