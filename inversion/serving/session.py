"""The interface of the page: jobs on one or more lanes, quick requests, edits, model files.

All arguments and results are plain data: requests (names, numbers, uint8 arrays), views and pictures. A job
is open to anyone with its random key. Jobs take turns. A job goes on for a while if no client follows it, so that a
reloaded page can follow it again; then it is paused, and later it is ended, see `Queue`.

One lock guards all that the threads share. The session makes it. `Worker` (the thread of a lane), `Queue` and `Store`
get it or rely on it, and say which of their fields need it.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from inversion import align
from inversion.align import Crop, CropMode
from inversion.checkpoints.downloads import Download, Downloads
from inversion.checkpoints.registry import weight_bytes
from inversion.common.rows import RowView
from inversion.common.settings import SettingValue
from inversion.methods import parse_method
from inversion.serving.additions import Additions
from inversion.serving.archive.archive import Archive
from inversion.serving.edits import Edits
from inversion.serving.estimates import Estimates
from inversion.serving.files import CLOSED, ModelFiles
from inversion.serving.history import History
from inversion.serving.jobs import Busy, Job, JobView, RunView, SessionError, StoredResult, UnknownJob
from inversion.serving.lane import Lane
from inversion.serving.limits import Limits, check_demand, device_memory, try_again
from inversion.serving.measurement import crop as choose_crop
from inversion.serving.plans import Plan
from inversion.serving.pool import LaneHealth, Pool
from inversion.serving.queue import Queue
from inversion.serving.requests import Quick, Unavailable, UnavailableRequest
from inversion.serving.runs import LaneError, Request
from inversion.serving.store import Store
from inversion.serving.worker import DeviceLane, Shared

__all__ = [
    "Busy",
    "JobView",
    "LaneError",
    "Limits",
    "Request",
    "RunView",
    "Session",
    "SessionError",
    "StoredResult",
    "UnknownJob",
]

HEARTBEAT = 1.0  # seconds between views while nothing changes: a web server then notices that its client has left
T = TypeVar("T")


@dataclass(frozen=True)
class Status:
    """Keys of the jobs that are running, wait for their turn, and wait for the file of their model."""

    running: tuple[str, ...]
    waiting: tuple[str, ...]
    downloading: tuple[str, ...]


class Session:
    """Lanes, shared by many callers. Every public method is thread-safe.

    files: the model files and their downloads. additions: files of the users, if the host allows them. edits: edits of
    stored results. history: what each browser has run. archive: keeps it on disk. lanes: one in this process by
    default, see `engines` for others.
    budget: the longest time in seconds that one run may compute. clock: seconds, for turns and the expiry of jobs.
    downloads: callers may start downloads. address: tells the address of the client that a call comes from, "" if it is
    unknown.
    """

    def __init__(
        self,
        device: str = "auto",
        dtype: str = "auto",
        budget: float = 300.0,
        *,
        lanes: Sequence[DeviceLane] = (),
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        additions: bool = False,
        downloads: bool = True,
        archive: Archive | None = None,
    ) -> None:
        self.budget, self._device = budget, device
        self.address: Callable[[], str] = str
        self.additions = Additions(additions)
        self.limits = Limits() if limits is None else limits
        lanes = lanes or [Lane(device, dtype)]
        self._check = lanes[0].check
        self._changed = threading.Condition()
        self._queue = Queue(self.limits, clock, len(lanes), weight_bytes)  # access only while holding the lock
        self._store = Store(self.limits, clock, archive)  # access only while holding the lock
        self.history = History(self._store, self._changed, self.limits, archive)
        self._estimates = Estimates(self._queue, self.limits)  # access only while holding the lock
        self._downloads = Downloads(self._note_download)
        self.files = ModelFiles(self._downloads, downloads)
        self.edits = Edits(self)
        self._pool = Pool(lanes, Shared(self._queue, self._store, self._estimates, self._changed, clock))

    def submit(
        self,
        requests: Sequence[Request],
        *,
        owner: str = "",
        place: str = "",
        replaces: str | None = None,
        about: RowView | None = None,
        listed: bool = True,
    ) -> str:
        """Queue the requests, one per method or cell of a grid, as one job; returns its key.

        Raises Busy, and UserError if a request is invalid. Only the file of the first model is downloaded for a job.
        owner: a secret of the browser, see `own_jobs`. place: where it was submitted, such as a tab of an open page. An
        accepted job cancels the job with the key `replaces`, if it has the same owner, and those of its place. about:
        JSON that is kept with the job. listed: the history shows it; a part of a larger action is not.
        """
        if not requests:
            raise LaneError("Choose at least one method.")
        if len(requests) > (most := self.limits.runs):
            raise LaneError(f"These are {len(requests)} runs, and one job may have {most}. Use fewer values.")
        allowed = tuple(replace(request, budget=min(request.budget, self.budget)) for request in requests)
        labels = [self._check(request) for request in allowed]
        runs = [RunView(r.method, label, budget=r.budget) for r, label in zip(allowed, labels, strict=True)]
        model, address = allowed[0].model, self.address()
        missing = self.files.missing(model)
        if missing and not self.files.open:
            raise LaneError(CLOSED.format(name=model))
        for other in {request.model for request in allowed} - {model}:
            if self.files.missing(other):
                raise LaneError(f"The model {other} has not been downloaded yet. Get it in the Models tab first.")
        self._check_demand(allowed)
        with self._changed:
            running = self._store.unfinished()
            own = [job for job in running if job.owner == owner]
            replaced = [job for job in own if job.key == replaces or (place and job.place == place)]
            job = Job(secrets.token_urlsafe(16), allowed, runs, owner=owner, place=place, address=address)
            job.about, job.listed = about or {}, listed
            self._check_room(job, replaced)
            job.download = (0, 0) if missing else None
            self._store.prune()
            self._store.add(job)
            self._queue.add(job)
            self._changed.notify_all()
        if missing:
            self._downloads.start(model, job.key)
        for old in replaced:
            with suppress(UnknownJob):  # it has just been forgotten
                self.cancel(old.key)
        return job.key

    def run_again(self, key: str, *, owner: str = "", place: str = "") -> str:
        """Submit the requests of a job once more; returns the new key. Raises UserError."""
        requests, about = self.history.requests(key), None
        with suppress(UnknownJob):  # it was interrupted before it was kept as a whole
            about = self.snapshot(key).about
        return self.submit(requests, owner=owner, place=place, about=about)

    def snapshot(self, key: str) -> JobView:
        """The job as it is now; a paused job goes on. Raises UnknownJob."""
        self.history.recall(key)
        with self._changed:
            job = self._store.find(key)
            self._changed.notify_all()  # the worker may be waiting for a job that is not paused
            return self._estimates.view(job)

    def own_jobs(self, owner: str) -> list[JobView]:
        """The jobs of an owner that are not over, oldest first. Does not count as following them."""
        with self._changed:
            jobs = self._store.unfinished() if owner else []
            return [self._estimates.view(j) for j in jobs if secrets.compare_digest(j.owner.encode(), owner.encode())]

    def follow(self, key: str, every: float = 0.2) -> Iterator[JobView]:
        """Views of the job as it changes, at least `every` and about HEARTBEAT seconds apart; the last one is over.

        The first views follow each other faster, because the first picture may be there after a tenth of a second.
        The job goes on for a while if the caller stops following it, see `Limits`. Raises UnknownJob.
        """
        begun, view = time.monotonic(), self.snapshot(key)
        while not view.over:
            yield view
            age = time.monotonic() - begun
            time.sleep(min(every, age / 2))  # a step may take a millisecond, and no viewer needs every step
            view = self._next_view(key, view.version)
        yield view

    def cancel(self, key: str, owner: str | None = None) -> None:
        """Drop the queued runs, and stop the current one within a step, with its best picture.

        owner: the one who asks, None for the server. Raises UnknownJob, SessionError if the job is another owner's.
        """
        with self._changed:
            job = self._store.find(key)
            if owner is not None and job.owner and not secrets.compare_digest(job.owner.encode(), owner.encode()):
                raise SessionError("Only the browser that started this run can cancel it.")
            job.cancel()
            if self._queue.remove(job):
                self._store.release(job)
            if job.download is not None:
                job.note_download(None)
            self._changed.notify_all()
        self._downloads.leave(job.model, key)

    def stored_result(self, key: str, index: int) -> StoredResult:
        """Code and tuned weights of a finished run. Raises UnknownJob if they are no longer stored."""
        return self.history.result(key, index)

    def pasted(self, key: str, index: int) -> np.ndarray:
        """The result of a run in the photo that it was cut from, uint8 (H, W, 3). Raises UnknownJob."""
        self.history.recall(key)
        with self._changed:
            job = self._store.find(key)
            image, square = job.runs[index].image, job.square
        photo = self.history.photo(key)
        if image is None or square is None:
            raise UnknownJob("This run has no result to paste.")
        return align.paste(photo, square, image)

    def ask(self, request: Quick[T], lane: int | None = None) -> T:
        """The answer of a quick request, given between two steps of the running job.

        lane: the one that holds its tensors, see `StoredResult`. Raises Busy, and UserError if it cannot be answered.
        """
        if self.files.missing(request.model):
            raise LaneError(f"The model {request.model} has not been downloaded yet. Get it in the Models tab first.")
        return self._pool.ask(request, lane)

    def unavailable(self, model: str) -> Unavailable:
        """Why methods and stages cannot run on the model. Waits for it to load. Raises the errors of `ask`."""
        return self.ask(UnavailableRequest(model))

    def expected(self, model: str, methods: Mapping[str, Mapping[str, SettingValue]]) -> dict[str, float]:
        """About how many seconds each method takes on this device, {key: settings} -> {key: seconds}.

        Methods of which nothing is known yet are left out. Raises SettingError.
        """
        plans = {key: Plan.of(parse_method(key).configured(settings), model) for key, settings in methods.items()}
        with self._changed:
            times = {key: self._estimates.expected(model, plan) for key, plan in plans.items()}
        return {key: seconds for key, seconds in times.items() if seconds is not None}

    def warm(self, model: str) -> None:
        """Load a model in the background, so that its first run begins at once."""
        self._pool.warm(model)

    def status(self) -> Status:
        """The jobs that are not over."""
        with self._changed:
            jobs = (self._queue.running(), self._queue.turns(), self._queue.downloading())
            return Status(*(tuple(job.key for job in some) for some in jobs))

    def health(self) -> tuple[LaneHealth, ...]:
        """The lanes."""
        return self._pool.health()

    def lane_states(self) -> list[str]:
        """The lanes in words that strangers may read."""
        return [one.state + (f", replaced {one.losses} times" if one.losses else "") for one in self.health()]

    def close(self) -> None:
        """Stop the lanes and cancel the running jobs."""
        self._pool.close()

    @staticmethod
    def crop(picture: np.ndarray, model: str, how: CropMode = "auto", face: int = 1) -> Crop:
        """The part of uint8 (H, W, 3) that a model should see, see `measurement.crop`. Raises UserError."""
        return choose_crop(picture, model, how, face)

    @staticmethod
    def stages(methods: Sequence[str]) -> dict[str, frozenset[str]]:
        """Keys of the stages of each method or combination. Raises SettingError if one is unknown."""
        return {key: frozenset(stage.key for stage in parse_method(key).stages) for key in methods}

    def expected_wait(self) -> float | None:
        """Seconds until the first of the jobs is expected to end, None if it is unknown."""
        with self._changed:
            times = [self._estimates.view(job).remaining for job in self._queue.competing()]
        return min((seconds for seconds in times if seconds is not None), default=None)

    def _check_room(self, job: Job, replaced: Sequence[Job]) -> None:
        """Raises Busy if the queue has no room for the job. replaced: jobs that it would end."""
        if self._pool.closed:
            raise Busy("The server is being stopped. Try again in a minute.")
        waiting = [one for one in (*self._queue.turns(), *self._queue.downloading()) if one not in replaced]
        own = sum(one.visitor == job.visitor for one in waiting)
        if own >= self.limits.waiting_each:
            raise Busy(f"{own} jobs of yours are waiting already. {try_again(self.expected_wait())}")
        if len(waiting) >= self.limits.waiting:
            raise Busy(f"{len(waiting)} jobs are waiting already. {try_again(self.expected_wait())}")

    def _check_demand(self, requests: Sequence[Request]) -> None:
        """Raises LaneError if one step of a request would take too much memory or time."""
        with self._changed:
            units = {request.model: self._estimates.step(request.model) for request in requests}
        for request in requests:
            check_demand(request, self.limits, device_memory(self._device), units[request.model])

    def _next_view(self, key: str, version: int) -> JobView:
        """The job's view when it differs from `version`, or after HEARTBEAT seconds."""
        with self._changed:
            job = self._store.find(key)
            self._changed.wait_for(lambda: job.version != version, timeout=HEARTBEAT)
            return self._estimates.view(job)

    def _note_download(self, download: Download) -> None:
        """Record a download in the jobs that wait for it, then queue or end them. May be called from any thread."""
        running = download.state == "running"
        with self._changed:
            for job in self._queue.downloading(download.name):
                job.note_download((download.done, download.total) if running else None)
                if running:
                    continue
                self._queue.remove(job)
                if download.state == "done":
                    self._queue.add(job)
                else:
                    for index in range(len(job.runs)):
                        job.fail(index, download.message)
                    self._store.release(job)
            self._changed.notify_all()
