"""The jobs that wait: for their turn on the device, or for the file of their model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from inversion.serving.jobs import PAGE_CLOSED, Job
from inversion.serving.limits import Limits


class Queue:
    """Waiting jobs in their order, and the running one. Access only while holding the session's lock.

    A turn lasts for a slice of time, then the job goes to the end of the queue. Its run stays open, suspended between
    two steps. Who may take a turn:

    - Any job with an open run. A new run may begin if fewer than `limits.open` are open, of these fewer than
      `limits.open_each` of the same visitor, and none of them tunes if it tunes too, for the memory. A short run always
      may: it ends within its first turn.
    - The visitor whose last turn is longest ago goes first, however many jobs others have.
    - A short run goes before longer ones, but never twice in a row.
    - A job that no client has polled for `limits.grace` seconds is paused. It ends after `limits.abandoned` seconds,
      or as soon as its open run keeps another job from beginning.

    clock: seconds, the same as that of the store.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.running: Job | None = None
        self._limits, self._clock = limits, clock
        self._turns: deque[Job] = deque()
        self._downloading: list[Job] = []  # jobs whose model's file is being downloaded
        self._last_was_short = False
        self._count = 0  # of turns
        self._last: dict[str, int] = {}  # number of the last turn of each visitor in the queue

    @property
    def ready(self) -> bool:
        """Whether a job may take a turn."""
        return any(self.may_run(job) for job in self._turns)

    def add(self, job: Job) -> None:
        """Add a job. It waits beside the queue while its model's file is downloaded, so that other jobs can run."""
        (self._turns if job.download is None else self._downloading).append(job)
        self._last = {one.visitor: self._last.get(one.visitor, self._count) for one in [*self.competing(), job]}

    def remove(self, job: Job) -> bool:
        """Remove a job that waits and has no open run. Returns whether it did."""
        for jobs in (self._turns, self._downloading):
            if job in jobs and job.current is None:
                jobs.remove(job)
                return True
        return False

    def begin_turn(self) -> Job | None:
        """The next job, which is now the running one; None if no job may take a turn."""
        able = [job for job in self._turns if self.may_run(job)]
        if not able:
            return None
        self.running = job = min(able, key=self._rank)  # the first one in the queue if several are equal
        self._last_was_short = job.plan.short if job.plan else False
        if self._is_overdue(job):
            job.cancel(PAGE_CLOSED)
        self._turns.remove(job)
        self._count += 1
        self._last[job.visitor] = self._count
        return job

    def end_turn(self, job: Job) -> None:
        """No job is running any more. The job goes to the end of the queue if some of its runs are not over."""
        self.running = None
        if job.waiting or job.current is not None:
            self._turns.append(job)

    def should_suspend(self, job: Job, seconds: float) -> bool:
        """Whether the running job's turn ends now, after `seconds` of computing."""
        if job.cancelled or job.plan is None or job.plan.short:
            return False
        if self.is_paused(job) or any(other.cancelled for other in self._turns):
            return True
        return seconds >= self._limits.slice and self.ready

    def may_run(self, job: Job) -> bool:
        """Whether the job may take a turn now, or has to be ended."""
        return job.cancelled or self._is_overdue(job) or (not self.is_paused(job) and self.has_room(job))

    def is_paused(self, job: Job) -> bool:
        """Whether no client has polled the job for `grace` seconds."""
        return self._clock() - job.touched > self._limits.grace

    def has_room(self, job: Job, without: Job | None = None) -> bool:
        """Whether the job's next run is open already or may be opened. without: a job whose run is ignored."""
        if job.current is not None or job.plan is None or job.plan.short:
            return True
        others = [other for other in self.open() if other is not without]
        tuning = any(other.plan is not None and other.plan.tunes for other in others)
        own = sum(other.visitor == job.visitor for other in others)
        full = len(others) >= self._limits.open or own >= self._limits.open_each
        return not full and not (job.plan.tunes and tuning)

    def open(self) -> list[Job]:
        """Jobs with an open run."""
        return [job for job in self.competing() if job.current is not None]

    def competing(self) -> list[Job]:
        """The running job and those that wait for their turn, the next one first."""
        return [*([self.running] if self.running else []), *self._turns]

    def before(self, job: Job) -> list[Job]:
        """Jobs that are not paused and come before a waiting one: those with an open run, and those ahead of it."""
        jobs = self.competing()
        ahead = jobs[: jobs.index(job)] if job in jobs else []
        return [other for other in jobs if (other.current is not None or other in ahead) and not self.is_paused(other)]

    def turns(self) -> list[Job]:
        """Jobs that wait for their turn, the next one first."""
        return list(self._turns)

    def downloading(self, model: str | None = None) -> list[Job]:
        """Jobs that wait for the file of a model, or of any model."""
        return [job for job in self._downloading if model in (None, job.model)]

    def _is_overdue(self, job: Job) -> bool:
        """Whether an abandoned job has to end: for its age, or because it keeps another one from beginning."""
        if self._clock() - job.touched > self._limits.abandoned:
            return True
        if job.current is None or not self.is_paused(job):
            return False
        kept_out = [other for other in self._turns if not self.is_paused(other) and not self.has_room(other)]
        return any(self.has_room(other, without=job) for other in kept_out)

    def _rank(self, job: Job) -> tuple[bool, bool, int]:
        """Jobs with a lower rank go first: those that end, then short ones, then by the last turn of their visitor."""
        ends = job.cancelled or self._is_overdue(job)
        short = job.plan is not None and job.plan.short
        return not ends, not (short and not self._last_was_short), self._last.get(job.visitor, 0)
