"""A table of jobs in front of one device: one worker thread, fair turns, budgets, cancelling, bounded memory.

Only plain data crosses: requests go in (names, numbers, uint8 arrays), views come out (the same). A job belongs to
whoever knows its random key. It goes on within its time budget when nobody watches, so a reloaded page can pick it up
again. Jobs take turns run by run: a user who asked for eight methods does not hold up one who asked for a single one.
A job whose model has to be downloaded first waits beside the queue, so that others go on computing. Quick requests
(an edit of a result, a translation) are answered between two steps of whatever runs.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any, Protocol

import numpy as np

from inversion import align
from inversion.align import Crop, How
from inversion.checkpoints import fetch, hub
from inversion.checkpoints.downloads import Download, Downloads
from inversion.checkpoints.registry import Entry, HubError
from inversion.common.errors import UserError
from inversion.directions import Layers
from inversion.editing.requests import CardsRequest, Edited, EditRequest, InterpolateRequest, Inverted, MixRequest
from inversion.methods import METHODS, STAGES, Method, SettingError, parse_method
from inversion.serving.jobs import Job, JobView, Kept, RunView
from inversion.serving.lane import Event, Finished, Lane, LaneError, Quick, Request
from inversion.serving.lane import crop as choose_crop

__all__ = ["Busy", "JobView", "Kept", "LaneError", "Request", "RunView", "Session", "SessionError", "UnknownJob"]

log = logging.getLogger(__name__)

QUICK = 64  # quick requests that may wait
HEARTBEAT = 1.0  # seconds between views while nothing changes: lets a web server notice that its client has gone


class SessionError(UserError):
    """Base of this module's errors; the text is one line for the user."""


class Busy(SessionError):
    """Too many jobs are waiting."""


class UnknownJob(SessionError):
    """No such job: never there, expired, or pushed out by newer ones."""


class DeviceLane(Protocol):
    """What a session needs of a lane; see `inversion.serving.lane.Lane`."""

    def check(self, request: Request) -> str: ...
    def warm(self, model: str) -> None: ...
    def unavailable(self, model: str, methods: Mapping[str, Method]) -> dict[str, str]: ...
    def answer(self, request: Quick) -> Any: ...  # noqa: ANN401 - whatever the request is for
    def __call__(self, request: Request) -> Generator[Event, bool | None, None]: ...


class Session:
    """The device lane that the app, and whoever else shares one device, talks to. Every public method is thread-safe.

    budget: the longest time in seconds that one run may take. waiting: jobs that may wait. kept: finished jobs that are
    remembered. tuned: jobs that keep tuned weights. uploads: jobs whose results can be pasted into the photo.
    expiry: seconds after which an untouched job is forgotten.
    """

    def __init__(
        self,
        device: str = "auto",
        dtype: str = "auto",
        budget: float = 300.0,
        *,
        lane: DeviceLane | None = None,
        waiting: int = 16,
        kept: int = 32,
        tuned: int = 4,
        uploads: int = 4,
        expiry: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget, self.expiry = budget, expiry
        self._limits = {"waiting": waiting, "kept": kept, "tuned": tuned, "uploads": uploads}
        self._lane: DeviceLane = lane if lane is not None else Lane(device, dtype)
        self._clock = clock
        self._changed = threading.Condition()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._ring: deque[Job] = deque()
        self._fetching: list[Job] = []  # jobs that wait for their model's file
        self._downloads = Downloads(self._downloaded)
        self._uploads: OrderedDict[str, np.ndarray] = OrderedDict()  # photos of jobs with a crop that can be put back
        self._current: Job | None = None
        self._warm: deque[str] = deque()
        self._quick: deque[tuple[Quick, Future[Any]]] = deque()
        self._kept: OrderedDict[tuple[str, int], Kept] = OrderedDict()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="device-lane", daemon=True)
        self._thread.start()

    # ---- what users call

    def submit(self, requests: Sequence[Request]) -> str:
        """Queue the requests, one per method, as one job; returns its key. Raises LaneError (bad request) or Busy."""
        if not requests:
            raise LaneError("Choose at least one method.")
        allowed = tuple(replace(request, budget=min(request.budget, self.budget)) for request in requests)
        labels = [self._lane.check(request) for request in allowed]
        runs = [RunView(r.method, label, budget=r.budget) for r, label in zip(allowed, labels, strict=True)]
        job = Job(secrets.token_urlsafe(16), allowed[0].task, allowed, runs, self._clock())
        absent = self._downloads.missing(job.model)
        job.download = (0, 0) if absent else None
        with self._changed:
            waiting = len(self._ring) + len(self._fetching)
            if waiting >= self._limits["waiting"]:
                raise Busy(f"{waiting} jobs are waiting already. Please try again in a minute.")
            self._prune()
            self._jobs[job.key] = job
            (self._fetching if absent else self._ring).append(job)
            self._changed.notify_all()
        if absent:
            self._downloads.start(job.model, job.key)
        return job.key

    def snapshot(self, key: str) -> JobView:
        """The job as it is now. Raises UnknownJob."""
        with self._changed:
            return self._view(self._find(key))

    def cancel(self, key: str) -> None:
        """Drop what waits and end what runs, within one step, with its best picture so far. Raises UnknownJob."""
        with self._changed:
            job = self._find(key)
            job.cancel()
            for waiting in (self._ring, self._fetching):
                if job in waiting:
                    waiting.remove(job)
                    self._release(job)
            job.download = None
            self._changed.notify_all()
        self._downloads.leave(job.model, key)

    def follow(self, key: str, every: float = 0.2) -> Iterator[JobView]:
        """Views of the job as it changes, every `every` seconds at most and every second at least; the last is over.

        Leaving does not stop the job. Raises UnknownJob.
        """
        view = self.snapshot(key)
        while True:
            yield view
            if view.over:
                return
            time.sleep(every)  # steps may take a millisecond: nobody can look at them one by one
            with self._changed:
                job, seen = self._find(key), view.version
                self._changed.wait_for(lambda job=job, seen=seen: job.version != seen, timeout=HEARTBEAT)  # type: ignore[misc]
                view = self._view(job)

    def kept(self, key: str, index: int) -> Kept:
        """Code and tuned weights of a finished run. Raises UnknownJob when they are gone."""
        with self._changed:
            if (key, index) not in self._kept:
                raise UnknownJob("That result is no longer kept. Run the method again.")
            self._kept.move_to_end((key, index))
            return self._kept[key, index]

    def ask(self, request: Quick) -> Any:  # noqa: ANN401 - whatever the request is for
        """The answer of a quick request, served between two steps of the run at work. Raises LaneError or Busy."""
        if self._downloads.missing(request.model):
            raise LaneError(f"The model {request.model} has not been downloaded yet. Get it in the Models tab first.")
        answer: Future[Any] = Future()
        with self._changed:
            if self._closed or len(self._quick) >= QUICK:
                raise Busy("Too many edits are waiting already. Please try again in a moment.")
            self._quick.append((request, answer))
            self._changed.notify_all()
        return answer.result()

    def directions(self, model: str, layers: Layers | None = None) -> list[dict[str, Any]]:
        """The sliders of a model as plain data: name, label, group (attributes, sefa, ganspace), low, high, unit.

        layers: the styles that SeFa looks at. Raises LaneError.
        """
        return self.ask(CardsRequest(model, layers))

    def edit(
        self,
        key: str,
        index: int,
        moves: Mapping[str, float],
        layers: Layers | None = None,
        keep: Sequence[str] = (),
    ) -> Edited:
        """A finished run's result moved along directions: name -> strength in deviations; see `inversion.editing`.

        layers: the styles that are moved, first and last. keep: attributes to run along the boundaries of. Raises
        UnknownJob when the result is gone, LaneError.
        """
        kept = self.kept(key, index)
        result = Inverted(kept.code, kept.weights)
        return self.ask(EditRequest(kept.model, result, kept.image, dict(moves), layers, tuple(keep)))

    def interpolate(self, first: tuple[str, int], second: tuple[str, int], frames: int = 7) -> list[np.ndarray]:
        """Pictures uint8 (R, R, 3) from one finished run's result to another's, ends included.

        Runs are named by (key, index). Raises UnknownJob, LaneError.
        """
        a, b, model = self._two(first, second)
        return self.ask(InterpolateRequest(model, a, b, frames))

    def mix(self, content: tuple[str, int], style: tuple[str, int], start: int) -> np.ndarray:
        """The content's result with the style's styles from layer `start` on. Raises UnknownJob, LaneError."""
        a, b, model = self._two(content, style)
        return self.ask(MixRequest(model, a, b, start))

    def _two(self, first: tuple[str, int], second: tuple[str, int]) -> tuple[Inverted, Inverted, str]:
        """Two results of one model, and its name."""
        a, b = self.kept(*first), self.kept(*second)
        if a.model != b.model:
            raise LaneError(f"One result is of {a.model}, the other of {b.model}: invert both with the same model.")
        return Inverted(a.code, a.weights), Inverted(b.code, b.weights), a.model

    @staticmethod
    def crop(picture: np.ndarray, model: str, how: How = "auto", face: int = 1) -> Crop:
        """Which part of uint8 (H, W, 3) a model should see; see `inversion.serving.lane.crop`. Raises LaneError."""
        return choose_crop(picture, model, how, face)

    def pasted(self, key: str, index: int) -> np.ndarray:
        """The result of a finished run in the photo that it was cut from, uint8 (H, W, 3). Raises UnknownJob."""
        with self._changed:
            job = self._find(key)
            image, photo, quad = job.runs[index].image, self._uploads.get(key), job.crop.quad
        if image is None or photo is None or quad is None:
            raise UnknownJob("The picture that this was cut from is no longer kept. Run the method again.")
        return align.paste(photo, quad, image)

    def models(self, asker: str = "") -> list[dict[str, Any]]:
        """Every registered file as plain data: the fields of its `Entry`, whether it is "embedded", "cached" or to be
        got "by_hand", the "damage" that it is known to have ("": none), its "download" (the fields of a `Download`, or
        None) and whether that is "mine", for `asker`."""
        return [self._listed(entry, asker) for entry in hub.registry().values()]

    def model(self, name: str, asker: str = "") -> dict[str, Any]:
        """One of `models`. Raises LaneError."""
        entry = hub.registry().get(name)
        if entry is None:
            raise LaneError(f"There is no model {name!r}.")
        return self._listed(entry, asker)

    def _listed(self, entry: Entry, asker: str) -> dict[str, Any]:
        download = self._downloads.view(entry.name)
        return {
            **asdict(entry),
            "bytes": fetch.size_of(entry),
            "embedded": entry.file is not None,
            "cached": fetch.cached(entry) is not None,
            "damage": fetch.damage(entry),
            "by_hand": entry.by_hand,
            "download": None if download is None else asdict(download),
            "mine": self._downloads.wanted(entry.name, asker),
        }

    def download(self, model: str, asker: str) -> None:
        """Download a model's file for `asker`, beside what is computed, or join who does. Raises LaneError."""
        try:
            self._downloads.start(model, asker)
        except HubError as error:
            raise LaneError(str(error)) from None

    def follow_download(self, model: str, asker: str, every: float = 0.5) -> Iterator[dict[str, Any]]:
        """The fields of the model's `Download`, until it is over or `asker` has left it."""
        while self._downloads.wanted(model, asker):
            view = self._downloads.view(model)
            if view is not None:
                yield asdict(view)
            time.sleep(every)

    def cancel_download(self, model: str, asker: str) -> None:
        """`asker` wants the file no more; the download goes on as long as somebody does."""
        self._downloads.leave(model, asker)

    def absent(self, model: str) -> bool:
        """Whether the model's file has to be downloaded first. Asks no network."""
        return self._downloads.missing(model)

    def warm(self, model: str) -> None:
        """Load a model in the background, so that the first run starts at once."""
        with self._changed:
            self._warm.append(model)
            self._changed.notify_all()

    def unavailable(self, model: str) -> dict[str, str]:
        """Why each registered method that cannot run on the model cannot, by key. Loads the model; raises LaneError."""
        return self._lane.unavailable(model, METHODS)

    def unavailable_stages(self, model: str) -> dict[str, str]:
        """The same for each stage by itself."""
        alone = {key: Method(key, stage.label, (stage(),)) for key, stage in STAGES.items()}
        return self._lane.unavailable(model, alone)

    @staticmethod
    def stages(methods: Sequence[str]) -> dict[str, frozenset[str]]:
        """Keys of the stages that each method, or combination, is made of. Raises LaneError for an unknown one."""
        try:
            return {key: frozenset(stage.key for stage in parse_method(key).stages) for key in methods}
        except SettingError as error:
            raise LaneError(str(error)) from None

    def close(self) -> None:
        """Stop the worker: what runs is cancelled."""
        with self._changed:
            self._closed = True
            for job in self._jobs.values():
                job.cancelled = True
            self._changed.notify_all()
        self._thread.join(timeout=30)

    # ---- under the lock

    def _find(self, key: str) -> Job:
        job = self._jobs.get(key)
        if job is None:
            raise UnknownJob("That job is not known here any more. Run it again.")
        job.touched = self._clock()
        return job

    def _view(self, job: Job) -> JobView:
        ahead = self._ring.index(job) + (self._current is not None) if job in self._ring else 0
        pictures = (job.truth, job.measured)
        return JobView(
            job.key, job.task, tuple(job.runs), ahead, job.version, *pictures, job.model, job.crop, job.download
        )

    def _prune(self) -> None:
        """Forget finished jobs: the expired ones, and the oldest ones beyond the limit."""
        now = self._clock()
        waiting = {self._current, *self._ring, *self._fetching}
        over = [job for job in self._jobs.values() if job not in waiting]
        over.sort(key=lambda job: job.touched)
        excess = max(0, len(over) - self._limits["kept"])
        for job in over[:excess] + [job for job in over[excess:] if now - job.touched > self.expiry]:
            del self._jobs[job.key]
            self._uploads.pop(job.key, None)
            for index in range(len(job.runs)):
                self._kept.pop((job.key, index), None)

    def _keep(self, key: str, index: int, event: Finished) -> None:
        model = self._jobs[key].model
        self._kept[key, index] = Kept(event.code, event.weights, model, event.image, event.row)
        tuned = [place for place, kept in reversed(self._kept.items()) if kept.weights is not None]
        # A job's are let go together: some of them are of no use to whoever joins every one with another job's.
        newest = list(dict.fromkeys(job for job, _ in tuned))[: self._limits["tuned"]]
        for place in [place for place in tuned if place[0] not in newest]:
            del self._kept[place]
        while len(self._kept) > self._limits["kept"]:
            self._kept.popitem(last=False)

    def _release(self, job: Job) -> None:
        """Let go of an ended job's uploads, but for a photo that results can be pasted back into."""
        if job.requests and job.crop.quad is not None and any(run.image is not None for run in job.runs):
            self._uploads[job.key] = job.requests[0].picture
            while len(self._uploads) > self._limits["uploads"]:
                self._uploads.popitem(last=False)
        job.requests = ()

    # ---- the download's thread

    def _downloaded(self, download: Download) -> None:
        """Tell the jobs that wait for this model, and let them into the queue when it is there."""
        with self._changed:
            for job in [job for job in self._fetching if job.model == download.name]:
                job.download = (download.done, download.total) if download.state == "running" else None
                job.version += 1
                if download.state == "running":
                    continue
                self._fetching.remove(job)
                if download.state == "done":
                    self._ring.append(job)
                else:
                    for index in range(len(job.runs)):
                        job.fail(index, download.message)
                    self._release(job)
                    job.touched = self._clock()
            self._changed.notify_all()

    # ---- the worker

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._ring or self._warm or self._quick, timeout=30)
                self._prune()
                if self._closed:
                    self._refuse()
                    return
                model = self._warm.popleft() if self._warm else None
                job = self._current = self._ring.popleft() if self._ring and model is None else None
            self._serve()
            if model is not None:
                self._load(model)
            if job is not None:
                self._turn(job)

    def _serve(self) -> None:
        """Answer the quick requests that wait now; those that come meanwhile let the run at work take a step first."""
        with self._changed:
            waiting = [self._quick.popleft() for _ in range(len(self._quick))]
        for request, answer in waiting:
            try:
                answer.set_result(self._lane.answer(request))
            except UserError as error:
                answer.set_exception(error)
            except Exception as error:
                log.exception("%s failed", type(request).__name__)
                answer.set_exception(LaneError(_unexpected(error)))

    def _refuse(self) -> None:
        """Tell those who wait for a quick answer that none will come."""
        while self._quick:
            self._quick.popleft()[1].set_exception(Busy("The server is being stopped."))

    def _load(self, model: str) -> None:
        try:
            self._lane.warm(model)
        except Exception:
            # A run with this model meets the same error and tells its user.
            log.exception("could not load %s ahead of its first use", model)

    def _turn(self, job: Job) -> None:
        """Run the job's next method, then put the job behind the others if it has more to do."""
        index = job.waiting()
        if index is not None:
            problem = self._run(job, index)
            with self._changed:
                if problem is not None:
                    job.fail(index, problem)
        with self._changed:
            self._current = None
            if job.waiting() is not None:
                self._ring.append(job)
            else:
                self._release(job)
            job.touched = self._clock()
            self._changed.notify_all()

    def _run(self, job: Job, index: int) -> str | None:
        """Consume one run of the lane; returns what went wrong, in one line, or None."""
        request = job.requests[index]
        with self._changed:
            job.change(index, state="running", stage="loading the model")
            self._changed.notify_all()
        try:
            with closing(self._lane(request)) as events:
                event, stop = next(events), False
                while True:
                    with self._changed:
                        job.take(index, event, cut=stop)
                        if isinstance(event, Finished):
                            self._keep(job.key, index, event)
                        self._changed.notify_all()
                        stop = job.cancelled
                    if isinstance(event, Finished):
                        return None
                    self._serve()
                    event = events.send(stop)
        except UserError as error:
            return str(error)
        except Exception as error:
            log.exception("%s on %s failed", request.method, request.task)
            return _unexpected(error)


def _unexpected(error: Exception) -> str:
    return f"It stopped with an unexpected {type(error).__name__}. The server's log says more."
