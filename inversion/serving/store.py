"""Bounded storage of jobs, their results, and the photos to paste results into."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from inversion.serving.jobs import PAGE_CLOSED, Job, StoredResult, UnknownJob
from inversion.serving.limits import Limits
from inversion.serving.runs import CroppedPicture, Finished, Request

if TYPE_CHECKING:
    from inversion.serving.archive.archive import Archive

K = TypeVar("K", str, tuple[str, int])  # the key of a job, or a result of it
V = TypeVar("V")


class Store:
    """Jobs by key, and their results and photos. Access only while holding the session's lock.

    clock: seconds, for the expiry. archive: gets a copy of everything that a browser submits.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float], archive: Archive | None = None) -> None:
        self.limits, self._archive = limits, archive
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._results: OrderedDict[tuple[str, int], StoredResult] = OrderedDict()  # by job and run, oldest use first
        self._photos: OrderedDict[str, np.ndarray] = OrderedDict()  # uint8 (H, W, 3) by job, oldest first

    def add(self, job: Job) -> None:
        """Remember a new job."""
        self._jobs[job.key] = job
        self.touch(job)
        if self._archive is not None:
            self._archive.add(job)

    def recall(self, job: Job) -> None:
        """Remember a job that was kept on disk."""
        self._jobs.setdefault(job.key, job)
        self.touch(self._jobs[job.key])

    def knows(self, key: str) -> bool:
        """Whether the job is stored."""
        return key in self._jobs

    def forget(self, keys: Iterable[str]) -> None:
        """Forget jobs that are over, with all that they left."""
        for key in keys:
            job = self._jobs.pop(key)
            self._photos.pop(key, None)
            for index in range(len(job.runs)):
                self._results.pop((key, index), None)

    def find(self, key: str) -> Job:
        """The job with this key; resets its expiry. Raises UnknownJob."""
        job = self._jobs.get(key)
        if job is None:
            raise UnknownJob("The job has expired. Run it again.")
        self.touch(job)
        return job

    def touch(self, job: Job) -> None:
        """Reset the job's expiry."""
        job.touched = self._clock()

    def jobs(self) -> list[Job]:
        """All jobs, oldest first."""
        return list(self._jobs.values())

    def unfinished(self) -> list[Job]:
        """The jobs that are not over, oldest first."""
        return [job for job in self._jobs.values() if not job.released]

    def keep(self, job: Job, index: int, event: Finished, lane: int) -> None:
        """Remember the result of a run on a lane, and forget the least recently used ones that exceed the limits."""
        if self._archive is not None:
            self._archive.keep(job, index, event)
        holder = None if event.weights is None else lane
        result = StoredResult(event.code, event.weights, job.models[index], event.image, event.row, holder)
        self.restore(job.key, index, result)

    def restore(self, key: str, index: int, result: StoredResult) -> None:
        """As `keep`, for a result that was kept on disk."""
        self._results[key, index] = result
        tuned = [place for place, result in self._results.items() if result.weights is not None]
        # Tuned results of one job are forgotten together: joining two jobs needs every run of both. The last use of a
        # job is that of its last result.
        keys = list(dict.fromkeys(key for key, _ in reversed(tuned)))[::-1]
        for key in self._excess(keys, self.limits.tuned):
            for place in [place for place in tuned if place[0] == key]:
                del self._results[place]
        for place in self._excess([*self._results], self.limits.finished):
            del self._results[place]

    def result(self, key: str, index: int) -> StoredResult:
        """The result of a finished run. Raises UnknownJob if it is not remembered."""
        if (key, index) not in self._results:
            raise UnknownJob("That result is no longer kept. Run the method again.")
        self._results.move_to_end((key, index))
        return self._results[key, index]

    def photo(self, key: str) -> np.ndarray:
        """The photo that a job's picture was cut from, uint8 (H, W, 3). Raises UnknownJob if it is not remembered."""
        if key not in self._photos:
            raise UnknownJob("The photo that this was cut from is no longer kept. Run the method again.")
        return self._photos[key]

    def release(self, job: Job) -> None:
        """Forget the uploads of a job that is over, except the photo if a result can be pasted into it."""
        if not job.released and job.square is not None and any(run.image is not None for run in job.runs):
            self._photos[job.key] = job.requests[0].picture
            _shorten(self._photos, self.limits.photos)
        if not job.released:
            job.again = job.requests if job.owner or job.ending == PAGE_CLOSED else ()
            self._shorten_inputs()
            if self._archive is not None:
                self._archive.release(job)
        job.requests, job.context = (), Context()
        self.touch(job)

    def prune(self) -> None:
        """Forget finished jobs: those that have expired, and the least recently used ones that exceed the limit."""
        now = self._clock()
        finished = sorted((job for job in self._jobs.values() if job.released), key=lambda job: job.touched)
        keys = [job.key for job in finished]
        excess = self._excess(keys, self.limits.finished)
        excess += self._excess(keys, self.limits.finished_runs, lambda key: len(self._jobs[key].runs))
        expired = [job.key for job in finished if now - job.touched > self.limits.expiry]
        self.forget(dict.fromkeys([*excess, *expired]))

    def _shorten_inputs(self) -> None:
        """Forget the oldest pictures that were stored for another run and exceed the limit."""
        left = self.limits.inputs
        for job in sorted(self._jobs.values(), key=lambda job: job.made, reverse=True):
            left -= _input_bytes(job.again)
            if left < 0:
                job.again = ()

    def _excess(self, keys: Sequence[K], most: int, size: Callable[[K], int] = lambda key: 1) -> list[K]:
        """Which of these jobs or results, least recently used first, exceed the limit.

        They are the oldest of the visitor with the most. size: how much one of them counts.
        """
        left, dropped = list(keys), []
        while sum(map(size, left)) > most:
            shares = Counter[str]()
            for key in left:
                shares[self._visitor(key)] += size(key)
            largest = max(shares.values())
            dropped.append(next(key for key in left if shares[self._visitor(key)] == largest))
            left.remove(dropped[-1])
        return dropped

    def _visitor(self, key: str | tuple[str, int]) -> str:
        """The visitor of a job, or of one of its results."""
        job = key if isinstance(key, str) else key[0]
        return self._jobs[job].visitor if job in self._jobs else job


def _input_bytes(requests: Sequence[Request]) -> int:
    """Bytes of the pictures and masks of requests; those that they share count once."""
    values = [value for request in requests for value in (request.picture, *request.inputs.values())]
    arrays = [value.pixels if isinstance(value, CroppedPicture) else value for value in values]
    return sum({id(one): one.nbytes for one in arrays if isinstance(one, np.ndarray)}.values())


def _shorten(entries: OrderedDict[str, V], length: int) -> None:
    """Remove the first entries until no more than `length` are left."""
    while len(entries) > length:
        entries.popitem(last=False)
