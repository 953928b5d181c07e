"""Runs a method: stage after stage, within a time budget, with previews, curves and a recipe."""

from __future__ import annotations

import platform
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy
import torch

from inversion.common.settings import SettingError
from inversion.losses import LossWeights, Objective
from inversion.methods.base import Outcome, Problem, Result, Stage, Step
from inversion.methods.pipeline import Method

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.methods.codes import Code
    from inversion.model import Model
    from inversion.tasks.base import Task


def invert(
    model: Model,
    task: Task,
    y: Tensor,
    method: Method,
    seed: int = 0,
    budget: float | None = None,
    preview_every: float = 0.5,
    weights: LossWeights | None = None,
) -> Generator[Step | Result, bool | None, None]:
    """Steps, then one Result: what `method` finds for the measurement y (B, ...) of `task`.

    A batch must fit the method (refine stages take one picture), and every picture's result is what it would be alone.
    A step carries a picture (merged, not clamped) at most every `preview_every` seconds. After `budget` seconds the
    stage at work ends with its best and the rest is left out; so it is when True is sent. Closing the generator cancels
    without a Result. The model is never changed.
    Raises SettingError (on the first `next`).
    """
    reason = method.unavailable(model)
    if reason is not None:
        raise SettingError(f"{method.label} cannot run: {reason}")
    y = y.to(model.device)
    watch = _Watch(budget, preview_every)
    problem = Problem(model, task, y, Objective(task, y, model, weights))
    rng = torch.Generator().manual_seed(seed)
    outcome: Outcome | None = None
    code: Code | None = None
    notes: list[str] = []
    tuned: dict[str, Tensor] | None = None
    for stage in method.stages:
        if outcome is not None and watch.over:
            watch.stopped = True
            notes.append(f"{stage.label} was left out")
            continue
        outcome = yield from _run(stage, problem, (code, rng), watch)
        code = code if outcome.code is None else outcome.code
        tuned = tuned if outcome.weights is None else outcome.weights
        notes += [outcome.message] if outcome.message else []
    if watch.stopped:
        why = "on request" if watch.asked else f"after the time budget of {budget:g} s"
        notes.insert(0, f"stopped {why} with the best picture so far")
    if outcome is None:
        raise SettingError(f"{method.label} has no stages")
    with torch.no_grad():
        image = task.merge(outcome.image, y)
    yield Result(
        image=image,
        code=code,
        weights=tuned,
        curves=watch.curves,
        recipe=_recipe(problem, method, seed),
        seconds=watch.seconds,
        steps=sum(watch.updates.values()),
        message="; ".join(notes),
    )


def _run(
    stage: Stage, problem: Problem, start: tuple[Code | None, torch.Generator], watch: _Watch
) -> Generator[Step, bool | None, Outcome]:
    """Forward a stage's steps, record them, and return its outcome. start: the code and the random generator."""
    with closing(stage(problem, *start)) as events:
        event = next(events)
        while isinstance(event, Step):
            watch.record(event, stage)
            image = None
            if event.image is not None and watch.due(event):
                with torch.no_grad():
                    image = problem.task.merge(event.image, problem.y)
            watch.pause()
            watch.asked = bool((yield Step(event.stage, event.index, event.total, event.losses, image))) or watch.asked
            watch.resume()
            stop = watch.over and event.index < event.total
            watch.stopped = watch.stopped or stop
            event = events.send(stop)
    return event


@dataclass
class _Watch:
    """Time, curves and counts of one run."""

    budget: float | None
    preview_every: float
    curves: dict[str, list[float]] = field(default_factory=dict)
    updates: dict[str, int] = field(default_factory=dict)
    asked: bool = False  # whether whoever reads the steps wants no more
    stopped: bool = False  # whether that, or the budget, cut anything short
    _begun: float = field(default_factory=time.perf_counter)
    _resumed: float = field(default_factory=time.perf_counter)
    _computed: float = 0.0
    _shown: float = -1e9  # so that the first step shows

    @property
    def over(self) -> bool:
        """Whether to end: asked to, or out of budget. That counts wall-clock time, the consumer's pauses included."""
        return self.asked or self.budget is not None and time.perf_counter() - self._begun >= self.budget

    @property
    def seconds(self) -> float:
        """Time spent computing."""
        return self._computed + time.perf_counter() - self._resumed

    def pause(self) -> None:
        self._computed += time.perf_counter() - self._resumed

    def resume(self) -> None:
        self._resumed = time.perf_counter()

    def record(self, step: Step, stage: Stage) -> None:
        """Keep the step's losses and count its update."""
        for name, value in step.losses.items():
            self.curves.setdefault(f"{step.stage}.{name}", []).append(value)
        if stage.kind != "embed":
            self.updates[step.stage] = step.index

    def due(self, step: Step) -> bool:
        """Whether it is time to show the step's picture; a stage's last always shows."""
        now = time.perf_counter()
        if step.index < step.total and now - self._shown < self.preview_every:
            return False
        self._shown = now
        return True


def _recipe(problem: Problem, method: Method, seed: int) -> dict[str, Any]:
    """All that is needed to make a result again, as JSON."""
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
        "sha256": model.sha256,
        "device": str(model.device),
        "dtype": str(model.prior.compute_dtype).removeprefix("torch.") if model.prior is not None else None,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions that a result may depend on."""
    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__}
