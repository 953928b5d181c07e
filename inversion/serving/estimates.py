"""How long jobs will take and wait, from measured times of steps."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from statistics import median_low

from inversion.serving.costs import REFERENCE, relative_cost
from inversion.serving.jobs import Job, JobView, RunView
from inversion.serving.limits import Limits
from inversion.serving.plans import Plan
from inversion.serving.queue import Queue

MEASURED = 3  # steps of a stage after which its speed counts as known
RECENT = 5  # measurements that count


class Recent(dict[Hashable, float]):
    """The newest measurements, by what was measured."""

    def note(self, source: Hashable, seconds: float) -> None:
        """Add a measurement, or replace that of the same source."""
        self[source] = seconds
        if len(self) > RECENT:
            del self[next(iter(self))]


class Estimates:
    """Expected times in seconds, None if no similar run has been measured. Access only while holding the lock.

    Assumes that the jobs that may take turns now share the lanes equally, and that no other jobs come. Speeds are
    medians of recent runs, so that a run which other programs slowed down does not set all times; a run that goes on
    has its own speed.
    """

    def __init__(self, queue: Queue, limits: Limits) -> None:
        self._queue, self._limits = queue, limits
        self._steps: defaultdict[tuple[str, str], Recent] = defaultdict(Recent)  # seconds per step by model and stage
        self._units: defaultdict[str, Recent] = defaultdict(Recent)  # seconds of a step of W by model, from any stage
        self._extras: defaultdict[str, Recent] = defaultdict(Recent)  # seconds of a run besides its steps, by model

    def note(self, job: Job, index: int) -> None:
        """Measure the speed of a run that has just made a step."""
        run = job.runs[index]
        speed = _own_speed(run)
        if speed is not None:
            self.measured(job.models[index], run.stage, speed, (job.key, index))

    def measured(self, model: str, stage: str, seconds: float, source: Hashable = None) -> None:
        """Remember the time of one step of a stage (its label). source: the run, None for the first measurement."""
        self._steps[model, stage].note(source, seconds)
        self._units[model].note((source, stage), seconds / relative_cost(stage))

    def finished(self, job: Job, index: int, seconds: float) -> None:
        """Learn from a finished run of a method: `seconds` with its metrics, without loading the model.

        The stages of a short run make too few steps to be measured while they run.
        """
        if job.requests[index].analysis:
            return
        model, stages, row = job.models[index], job.plans[index].stages, job.runs[index].row or {}
        computed = job.runs[index].seconds
        if job.plans[index].short and len(stages) == 1:
            [(stage, steps)] = stages
            self._steps[model, stage].note((job.key, index), computed / max(steps, 1))
        self._extras[model].note((job.key, index), max(0.0, seconds - computed + row.get("spent", 0.0)))

    def expected(self, model: str, plan: Plan) -> float | None:
        """Time of a run that is alone, with its metrics."""
        speeds = [(steps, self._speed(model, stage)) for stage, steps in plan.stages]
        if any(speed is None for _, speed in speeds):
            return None
        return self._extra(model) + sum(steps * speed for steps, speed in speeds if speed)

    def step(self, model: str) -> float | None:
        """Time of one step of W."""
        return self._speed(model, REFERENCE)

    def view(self, job: Job) -> JobView:
        """The job as it is now, with its place in the queue and expected times."""
        sharing = [other for other in self._queue.competing() if other is not job and self._queue.may_run(other)]
        others = [self._computing(other) for other in sharing]
        left = [self._shared(self._computing(job, [index]), others) for index in range(len(job.runs))]
        runs = [replace(run, remaining=seconds) for run, seconds in zip(job.runs, left, strict=True)]
        return replace(
            job.view(),
            runs=tuple(runs),
            position=0 if job.begun else len(self._queue.before(job)),
            wait=0.0 if job.begun else self._wait(job),
            remaining=self._together(job, others),
        )

    def _together(self, job: Job, others: list[float | None]) -> float | None:
        """Time until all runs of a job end, which share the lanes with each other and with jobs that need `others`."""
        left = [self._run(job, index) for index, run in enumerate(job.runs) if not run.over]
        longest = max((seconds for seconds in left if seconds is not None), default=0.0)
        return None if None in left else self._shared(self._computing(job), others, longest)

    def _computing(self, job: Job, indices: Sequence[int] | None = None) -> float | None:
        """Computing time that is left of all runs of a job, or of some."""
        chosen = range(len(job.runs)) if indices is None else indices
        left = [self._run(job, index) for index in chosen if not job.runs[index].over]
        return None if None in left else sum(seconds for seconds in left if seconds is not None)

    def _run(self, job: Job, index: int) -> float | None:
        """Computing time that is left of a run. It ends within its budget."""
        seconds, run = self._extra(job.models[index]), job.runs[index]
        for stage, steps in self._stages(job, index):
            speed = (_own_speed(run) if stage == run.stage else None) or self._speed(job.models[index], stage)
            if speed is None:
                return None
            seconds += steps * speed
        return min(seconds, max(0.0, run.budget - run.seconds))

    def _extra(self, model: str) -> float:
        """Seconds of a run besides its steps, such as for its metrics."""
        return median_low([*self._extras[model].values()] or [0.0])

    def _speed(self, model: str, stage: str) -> float | None:
        """Seconds of a step: the median of measurements and of what the model's other stages let expect."""
        units, known = self._units.get(model), [*self._steps.get((model, stage), {}).values()]
        known += [median_low(units.values()) * relative_cost(stage)] if units else []
        return median_low(known) if known else None

    @staticmethod
    def _stages(job: Job, index: int) -> list[tuple[str, int]]:
        """The stages that are not over, with the steps that are left of them."""
        run, stages = job.runs[index], list(job.plans[index].stages)
        labels = [label for label, _ in stages]
        if run.stage not in labels:  # it has not begun
            return stages
        return [(run.stage, max(0, run.total - run.step)), *stages[labels.index(run.stage) + 1 :]]

    def _wait(self, job: Job) -> float | None:
        """Time until the first step of a job that has not begun."""
        if job.download is not None or job.plan is None:
            return None
        before, lanes = self._queue.before(job), self._queue.lanes
        if job.plan.short:
            return sum(self._turn(other) for other in before[:1]) if len(before) >= lanes else 0.0
        rivals = [other for other in before if other.plan is not None and not other.plan.short]
        ends = [math.inf if end is None else end for end in self._ends(rivals)]
        tuning = [end for other, end in zip(rivals, ends, strict=True) if other.plan and other.plan.tunes]
        turns = [self._turn(other) for other in before if self._queue.may_run(other)]
        wait = sum(turns) / lanes if len(before) >= lanes else 0.0
        if len(rivals) >= self._limits.open * lanes:  # it begins when so many of them have ended that there is room
            wait = max(wait, sorted(ends)[len(rivals) - self._limits.open * lanes])
        if job.plan.tunes and len(tuning) >= lanes:
            wait = max(wait, sorted(tuning)[len(tuning) - lanes])
        return wait if wait < math.inf else None

    def _ends(self, jobs: Sequence[Job]) -> list[float | None]:
        """Time until the first run of each job ends that is not over, if they all share the lanes."""
        first = [next((index for index, run in enumerate(job.runs) if not run.over), None) for job in jobs]
        left = [None if index is None else self._run(job, index) for job, index in zip(jobs, first, strict=True)]
        return [self._shared(seconds, left[:i] + left[i + 1 :]) for i, seconds in enumerate(left)]

    def _shared(self, seconds: float | None, others: list[float | None], longest: float | None = None) -> float | None:
        """Time until work of `seconds` ends that shares the lanes with jobs that need `others`.

        longest: the part of it that only one lane can do; None: all of it.
        """
        if seconds is None:
            return None
        work = seconds + sum(seconds if other is None else min(seconds, other) for other in others)
        return max(seconds if longest is None else longest, work / self._queue.lanes)

    def _turn(self, job: Job) -> float:
        """Time of one turn of a job."""
        left = self._computing(job)
        return self._limits.slice if left is None else min(left, self._limits.slice)


def _own_speed(run: RunView) -> float | None:
    """Seconds of a step of the present stage, None if it has not made enough steps."""
    if run.state != "running" or run.step < MEASURED or run.seconds <= run.stage_began:
        return None
    return (run.seconds - run.stage_began) / run.step
