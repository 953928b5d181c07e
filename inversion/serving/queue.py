"""The jobs that wait: for their turn on the device, or for the file of their model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from inversion.serving.jobs import PAGE_CLOSED, Job
from inversion.serving.limits import Limits


class Queue:
    """Waiting jobs in their order, and those that run on lanes. Access only while holding the session's lock.

    A turn lasts for a slice of time, then the job goes to the end of the queue. Its run stays open, suspended between
    two steps. Who may take a turn on a lane:

    - Any job with an open run on this lane. A new run may begin if fewer than `limits.open` are open on the lane, of
      these fewer than `limits.open_each` of the same visitor, and none of them tunes if it tunes too, for the memory. A
      short run always may: it ends within its first turn.
    - The next run of a job waits for the lane of its last run, which remembers their common stages, unless it is busy.
    - The visitor whose last turn is longest ago goes first, however many jobs others have.
    - A short run goes before longer ones, but never twice in a row.
    - A new run waits for a lane whose memory holds the weights of its model, if there is one.
    - A job that no client has polled for `limits.grace` seconds is paused. It ends after `limits.abandoned` seconds,
      or as soon as its open run keeps another job from beginning.

    clock: seconds, the same as that of the store. lanes: their number. weights: bytes of a model.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float],
        lanes: int = 1,
        weights: Callable[[str], int] = lambda model: 0,
    ) -> None:
        self.lanes, self._weights = lanes, weights
        self.away: set[int] = set()  # lanes that cannot take turns now
        self._rooms: dict[int, int] = {}  # bytes of memory by lane, where they are known
        self._limits, self._clock = limits, clock
        self._running: dict[int, Job] = {}  # by lane
        self._turns: deque[Job] = deque()
        self._downloading: list[Job] = []  # jobs whose model's file is being downloaded
        self._last_was_short: dict[int, bool] = {}  # by lane
        self._count = 0  # of turns
        self._last: dict[str, int] = {}  # number of the last turn of each visitor in the queue

    def ready(self, lane: int) -> bool:
        """Whether a job may take a turn on a lane."""
        return any(self.may_run(job, lane) for job in self._turns)

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

    def begin_turn(self, lane: int) -> Job | None:
        """The next job, which now runs on a lane; None if no job may take a turn there."""
        able = [job for job in self._turns if self.may_run(job, lane)]
        if not able:
            return None
        job = min(able, key=lambda job: self._rank(job, lane))  # the first one in the queue if several are equal
        self._running[lane], job.lane = job, lane
        self._last_was_short[lane] = job.plan.short if job.plan else False
        if self._is_overdue(job):
            job.cancel(PAGE_CLOSED)
        self._turns.remove(job)
        self._count += 1
        self._last[job.visitor] = self._count
        return job

    def end_turn(self, job: Job, lane: int) -> None:
        """The job does not run any more. It goes to the end of the queue if some of its runs are not over."""
        del self._running[lane]
        if job.waiting or job.current is not None:
            self._turns.append(job)

    def should_suspend(self, job: Job, lane: int, seconds: float) -> bool:
        """Whether the turn of the job that runs on a lane ends now, after `seconds` of computing."""
        if job.cancelled or job.plan is None or job.plan.short:
            return False
        if self.is_paused(job) or any(other.cancelled and self._may_use(other, lane) for other in self._turns):
            return True
        return seconds >= self._limits.slice and self.ready(lane)

    def may_run(self, job: Job, lane: int | None = None) -> bool:
        """Whether the job may take a turn now, or has to be ended. lane: None for any lane."""
        if lane is None:
            return any(self.may_run(job, one) for one in range(self.lanes))
        if not self._may_use(job, lane):
            return False
        return job.cancelled or self._is_overdue(job) or (not self.is_paused(job) and self._has_room(job, lane))

    def is_paused(self, job: Job) -> bool:
        """Whether no client has polled the job for `grace` seconds."""
        return self._clock() - job.touched > self._limits.grace

    def open(self, lane: int | None = None) -> list[Job]:
        """Jobs with an open run, on one lane or on any."""
        return [job for job in self.competing() if job.current is not None and lane in (None, job.lane)]

    def running(self) -> list[Job]:
        """Jobs that run on the lanes."""
        return list(self._running.values())

    def is_busy(self, lane: int) -> bool:
        """Whether a job runs on the lane, or the lane cannot take turns now."""
        return lane in self._running or lane in self.away

    def fits(self, model: str, lane: int) -> bool:
        """Whether the memory of the lane holds the weights of a model, or no other lane's does."""
        if not self._rooms:
            return True
        need = self._weights(model)
        able = [one for one in range(self.lanes) if self._rooms.get(one, need) >= need]
        return lane in able or not able

    def note_room(self, lane: int, room: int | None) -> None:
        """Remember the bytes of memory of a lane, None if they are unknown; 0 for a lane that does not open."""
        if room is None:
            self._rooms.pop(lane, None)
        else:
            self._rooms[lane] = room

    def competing(self) -> list[Job]:
        """The running jobs and those that wait for their turn, the next one first."""
        return [*self._running.values(), *self._turns]

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

    def _may_use(self, job: Job, lane: int) -> bool:
        """Whether the job may take a turn on the lane at all: an open run stays where it is."""
        if job.lane is None or job.lane == lane:
            return True
        return job.current is None and self.is_busy(job.lane)

    def _has_room(self, job: Job, lane: int, without: Job | None = None) -> bool:
        """Whether the job's next run is open already or may be opened. without: a job whose run is ignored."""
        if job.current is not None or job.index is None or job.plan is None:
            return True
        if not self.fits(job.models[job.index], lane):
            return False
        if job.plan.short:
            return True
        others = [other for other in self.open(lane) if other is not without]
        tuning = any(other.plan is not None and other.plan.tunes for other in others)
        own = sum(other.visitor == job.visitor for other in others)
        full = len(others) >= self._limits.open or own >= self._limits.open_each
        return not full and not (job.plan.tunes and tuning)

    def _is_overdue(self, job: Job) -> bool:
        """Whether an abandoned job has to end: for its age, or because it keeps another one from beginning."""
        if self._clock() - job.touched > self._limits.abandoned:
            return True
        lane = job.lane
        if job.current is None or lane is None or not self.is_paused(job):
            return False
        waiting = [other for other in self._turns if not self.is_paused(other)]
        kept_out = [other for other in waiting if not any(self._has_room(other, one) for one in range(self.lanes))]
        return any(self._has_room(other, lane, without=job) for other in kept_out)

    def _rank(self, job: Job, lane: int) -> tuple[bool, bool, int]:
        """Jobs with a lower rank go first: those that end, then short ones, then by the last turn of their visitor."""
        ends = job.cancelled or self._is_overdue(job)
        short = job.plan is not None and job.plan.short
        return not ends, not (short and not self._last_was_short.get(lane, False)), self._last.get(job.visitor, 0)
