"""The jobs that wait: for their turn on the device, or for the file of their model."""

from __future__ import annotations

from collections import deque

from inversion.serving.jobs import Job


class Queue:
    """Waiting jobs in their order, and the running one. Access only while holding the session's lock."""

    def __init__(self) -> None:
        self.running: Job | None = None
        self._turns: deque[Job] = deque()
        self._downloading: list[Job] = []  # jobs whose model's file is being downloaded

    def __len__(self) -> int:
        return len(self._turns) + len(self._downloading)

    @property
    def ready(self) -> bool:
        """Whether a job waits for its turn."""
        return bool(self._turns)

    def add(self, job: Job) -> None:
        """Add a job. It waits beside the queue while its model's file is downloaded, so that other jobs can run."""
        (self._turns if job.download is None else self._downloading).append(job)

    def remove(self, job: Job) -> bool:
        """Remove a waiting job. Returns whether it was waiting."""
        for jobs in (self._turns, self._downloading):
            if job in jobs:
                jobs.remove(job)
                return True
        return False

    def begin_turn(self) -> Job | None:
        """Make the next job the running one and return it; None if no job is ready."""
        self.running = self._turns.popleft() if self._turns else None
        return self.running

    def end_turn(self, job: Job) -> None:
        """Mark the running job as ended. It goes to the end of the queue if some of its runs have not started."""
        self.running = None
        if job.waiting:
            self._turns.append(job)

    def position(self, job: Job) -> int:
        """Number of jobs before this one; 0 if it does not wait for its turn."""
        return self._turns.index(job) + (self.running is not None) if job in self._turns else 0

    def turns(self) -> list[Job]:
        """Jobs that wait for their turn, the next one first."""
        return list(self._turns)

    def downloading(self, model: str | None = None) -> list[Job]:
        """Jobs that wait for the file of a model, or of any model."""
        return [job for job in self._downloading if model in (None, job.model)]
