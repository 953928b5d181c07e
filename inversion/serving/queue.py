"""The jobs that wait: for their turn on the device, or for the file of their model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from inversion.serving.jobs import PAGE_CLOSED, Job
from inversion.serving.limits import Limits
from inversion.serving.strands import Strand


class Queue:
    """Waiting jobs in their order, and those that run on lanes. Access only while holding the session's lock.

    A job has a strand for each lane, so its runs go on side by side where lanes are free. A turn lasts for a slice of
    time, then the strand goes to the end of the queue. Its run stays open, suspended between two steps. Who may take a
    turn on a lane:

    - Any strand with an open run on this lane. A new run may begin if fewer than `limits.open` are open on the lane, of
      these fewer than `limits.open_each` of the same visitor and none of the same job, and none of them tunes if it
      tunes too, for the memory. A short run always may: it ends within its first turn.
    - The next run of a strand waits for the lane of its last run, which remembers common stages, unless it is busy.
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
        self._running: dict[int, Strand] = {}  # by lane
        self._turns: deque[Strand] = deque()
        self._downloading: list[Job] = []  # jobs whose model's file is being downloaded
        self._last_was_short: dict[int, bool] = {}  # by lane
        self._count = 0  # of turns
        self._last: dict[str, int] = {}  # number of the last turn of each visitor in the queue

    def ready(self, lane: int) -> bool:
        """Whether a strand may take a turn on a lane."""
        return any(self._may_go_on(strand, lane) for strand in self._turns)

    def add(self, job: Job) -> None:
        """Add a job. It waits beside the queue while its model's file is downloaded, so that other jobs can run."""
        if job.download is None:
            self._turns.extend(Strand(job) for _ in range(min(self.lanes, len(job.runs))))
        else:
            self._downloading.append(job)
        self._last = {one.visitor: self._last.get(one.visitor, self._count) for one in [*self.competing(), job]}

    def remove(self, job: Job) -> bool:
        """Remove what waits of a job without an open run. Returns whether nothing of the job is left."""
        if job in self._downloading:
            self._downloading.remove(job)
            return True
        left = [strand for strand in self._turns if strand.job is not job or strand.current is not None]
        known, self._turns = len(left) < len(self._turns), deque(left)
        return known and job not in self.competing()

    def begin_turn(self, lane: int) -> Strand | None:
        """The next strand, which now runs on a lane; None if none may take a turn there."""
        able = [strand for strand in self._turns if self._may_go_on(strand, lane)]
        if not able:
            return None
        strand = min(able, key=lambda strand: self._rank(strand, lane))  # the first in the queue if several are equal
        job = strand.job
        self._running[lane], strand.lane = strand, lane
        self._last_was_short[lane] = strand.plan.short if strand.plan else False
        if self._is_overdue(job):
            job.cancel(PAGE_CLOSED)
        self._turns.remove(strand)
        self._drop_idle()
        self._count += 1
        self._last[job.visitor] = self._count
        return strand

    def end_turn(self, strand: Strand, lane: int) -> None:
        """The strand does not run any more. It goes to the end of the queue if there is work for it."""
        del self._running[lane]
        self._turns.append(strand)
        self._drop_idle()

    def should_suspend(self, strand: Strand, lane: int, seconds: float) -> bool:
        """Whether the turn of the strand that runs on a lane ends now, after `seconds` of computing."""
        if strand.job.cancelled or strand.plan is None or strand.plan.short:
            return False
        if self.is_paused(strand.job) or any(one.job.cancelled and self._may_use(one, lane) for one in self._turns):
            return True
        return seconds >= self._limits.slice and self.ready(lane)

    def may_run(self, job: Job) -> bool:
        """Whether the job may take a turn on any lane now, or has to be ended."""
        own = [strand for strand in self._strands() if strand.job is job]
        return any(self._may_go_on(strand, lane) for strand in own for lane in range(self.lanes))

    def is_paused(self, job: Job) -> bool:
        """Whether no client has polled the job for `grace` seconds."""
        return self._clock() - job.touched > self._limits.grace

    def open(self, lane: int | None = None) -> list[Strand]:
        """Strands with an open run, on one lane or on any."""
        return [one for one in self._strands() if one.current is not None and lane in (None, one.lane)]

    def running(self) -> list[Job]:
        """Jobs that run on the lanes."""
        return _jobs(self._running.values())

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
        return _jobs(self._strands())

    def before(self, job: Job) -> list[Job]:
        """Jobs that are not paused and come before a waiting one: those with an open run, and those ahead of it."""
        jobs, begun = self.competing(), _jobs(self.open())
        ahead = jobs[: jobs.index(job)] if job in jobs else []
        return [other for other in jobs if (other in begun or other in ahead) and not self.is_paused(other)]

    def turns(self) -> list[Job]:
        """Jobs that wait for their turn, the next one first."""
        return [job for job in _jobs(self._turns) if job not in self.running()]

    def downloading(self, model: str | None = None) -> list[Job]:
        """Jobs that wait for the file of a model, or of any model."""
        return [job for job in self._downloading if model in (None, job.model)]

    def _strands(self) -> list[Strand]:
        """Those that run and those that wait, the next one first."""
        return [*self._running.values(), *self._turns]

    def _may_go_on(self, strand: Strand, lane: int) -> bool:
        """Whether the strand may take a turn on the lane now, or has to be ended."""
        if not self._may_use(strand, lane):
            return False
        job = strand.job
        return job.cancelled or self._is_overdue(job) or (not self.is_paused(job) and self._has_room(strand, lane))

    def _may_use(self, strand: Strand, lane: int) -> bool:
        """Whether the strand may take a turn on the lane at all: an open run stays where it is."""
        if strand.lane is None or strand.lane == lane:
            return True
        return strand.current is None and self.is_busy(strand.lane)

    def _has_room(self, strand: Strand, lane: int, without: Strand | None = None) -> bool:
        """Whether the strand's next run is open already or may be opened. without: a strand whose run is ignored."""
        job, index, plan = strand.job, strand.index, strand.plan
        if strand.current is not None or index is None or plan is None:
            return True
        if not self.fits(job.models[index], lane):
            return False
        if plan.short:
            return True
        others = [other for other in self.open(lane) if other is not without]
        tuning = any(other.plan is not None and other.plan.tunes for other in others)
        own = sum(other.job.visitor == job.visitor for other in others)
        full = len(others) >= self._limits.open or own >= self._limits.open_each
        return not full and not (plan.tunes and tuning) and all(other.job is not job for other in others)

    def _is_overdue(self, job: Job) -> bool:
        """Whether an abandoned job has to end: for its age, or because it keeps another one from beginning."""
        if self._clock() - job.touched > self._limits.abandoned:
            return True
        if not self.is_paused(job):
            return False
        begun = _jobs(self.open())
        waiting = [one for one in self._turns if one.job not in begun and not self.is_paused(one.job)]
        kept_out = [one for one in waiting if not any(self._has_room(one, lane) for lane in range(self.lanes))]
        own = [strand for strand in self.open() if strand.job is job]
        return any(self._has_room(one, mine.lane, mine) for one in kept_out for mine in own if mine.lane is not None)

    def _rank(self, strand: Strand, lane: int) -> tuple[bool, bool, int]:
        """Lower ranks go first: jobs that end, then short runs, then by the last turn of the visitor."""
        job, plan = strand.job, strand.plan
        ends = job.cancelled or self._is_overdue(job)
        short = plan is not None and plan.short
        return not ends, not (short and not self._last_was_short.get(lane, False)), self._last.get(job.visitor, 0)

    def _drop_idle(self) -> None:
        """Forget waiting strands for which there is no work."""
        self._turns = deque(strand for strand in self._turns if strand.index is not None)


def _jobs(strands: Iterable[Strand]) -> list[Job]:
    """The jobs of strands, each once."""
    return list(dict.fromkeys(strand.job for strand in strands))
