"""A strand: the runs of a job that follow one another on a lane. A job with several has runs side by side."""

from __future__ import annotations

from contextvars import Context
from dataclasses import dataclass, field

from inversion.serving.jobs import Job
from inversion.serving.plans import Plan
from inversion.serving.runs import Event, Finished


@dataclass(eq=False)
class Strand:
    """Access only while holding the session's lock.

    current: index of the run that it has begun and that is not over. lane: of its current or last run, None if it has
    none. context: a copy of the job's, because only one thread at a time can be in a context.
    """

    job: Job
    current: int | None = None
    lane: int | None = None
    context: Context = field(init=False)

    def __post_init__(self) -> None:
        self.context = self.job.context.copy()

    @property
    def index(self) -> int | None:
        """Index of the current run, or of the next one of the job; None if no run is left."""
        return self.job.next if self.current is None else self.current

    @property
    def plan(self) -> Plan | None:
        """The plan of the current run, or of the next one; None if no run is left."""
        return None if self.index is None else self.job.plans[self.index]

    def begin(self) -> int | None:
        """Index of the current run, or of the next queued one, which begins; None if no run is left."""
        if self.current is None and self.index is not None:
            self.current = self.index
            self.job.begin(self.current)
        return self.current

    def take(self, index: int, event: Event, stopped: bool = False) -> None:
        """Record an event of the current run. stopped: the run was asked to stop before the event."""
        self.current = None if isinstance(event, Finished) else index
        self.job.take(index, event, stopped)

    def fail(self, index: int, message: str) -> None:
        """Mark the current run as failed, with the reason."""
        self.current = None
        self.job.fail(index, message)

    def restart(self, index: int, *, blameless: bool = False) -> bool:
        """Queue the current run again, see `Job.restart`. Returns False if it has to fail."""
        if not self.job.restart(index, blameless=blameless):
            return False
        self.current = self.lane = None
        return True
