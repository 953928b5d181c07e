"""The thread that uses the device: jobs take turns, quick requests are answered between two steps."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from typing import Any, Generic, Protocol, TypeVar

from inversion.common.errors import UserError
from inversion.common.memory import return_freed_memory
from inversion.serving.costs import REFERENCE
from inversion.serving.estimates import Estimates
from inversion.serving.jobs import Busy, Job
from inversion.serving.queue import Queue
from inversion.serving.requests import Quick
from inversion.serving.runs import Event, Finished, LaneError, LaneLost, Request
from inversion.serving.store import Store

T = TypeVar("T")
Events = Generator[Event, "bool | None", None]  # see `DeviceLane.__call__`
PRUNE_EVERY = 30.0  # seconds between two searches for abandoned and expired jobs while nothing happens
SERVER_STOPPED = "The server was stopped"

log = logging.getLogger(__name__)


class DeviceLane(Protocol):
    """The part of `inversion.serving.lane.Lane` that a session uses. All but `check` run in the worker's thread."""

    def check(self, request: Request) -> str:
        """The label of the request's method. Raises UserError. May be called from any thread."""

    def warm(self, model: str) -> float | None:
        """Load a model. Returns the seconds of one step of W, None if they are unknown. Raises UserError."""

    def answer(self, request: Quick[T]) -> T:
        """The answer of a quick request. Raises UserError."""

    def tidy(self) -> None:
        """Forget what was kept for too long. Called from time to time."""

    def __call__(self, request: Request) -> Events:
        """Events of a run, `Finished` last; True sent to it ends the run early. Raises UserError."""


class Question(Generic[T]):
    """A quick request and its answer, which its caller waits for."""

    def __init__(self, request: Quick[T]) -> None:
        self.request = request
        self.answer: Future[T] = Future()

    def resolve(self, lane: DeviceLane) -> None:
        """Give the answer of the lane, or the error. Raises nothing."""
        try:
            self.answer.set_result(lane.answer(self.request))
        except BaseException as error:
            self.answer.set_exception(_for_user(error, type(self.request).__name__))


class Worker:
    """Runs jobs and quick requests in a thread of its own. Public methods are thread-safe.

    The thread survives every exception: it ends the run or the quick request that raised it. A run that has used up
    its turn stays open: its generator is suspended between two steps, until the job's next turn.

    queue, store, estimates: access only while holding the lock. changed: the session's lock, notified after each change
    of a job. clock: seconds, for the length of a turn.
    """

    def __init__(
        self,
        lane: DeviceLane,
        queue: Queue,
        store: Store,
        estimates: Estimates,
        changed: threading.Condition,
        clock: Callable[[], float],
    ) -> None:
        self._lane = lane  # access only in the worker's thread
        self._suspended: dict[str, Events] = {}  # by job; access only in the worker's thread
        self._queue, self._store, self._estimates = queue, store, estimates
        self._changed, self._clock = changed, clock
        self._questions: deque[Question[Any]] = deque()  # each has its own T; access only while holding the lock
        self._models: deque[str] = deque()  # to be loaded; access only while holding the lock
        self._closed = False  # access only while holding the lock
        self._thread = threading.Thread(target=self._work, name="device-lane", daemon=True)
        self._thread.start()

    def ask(self, request: Quick[T]) -> T:
        """Wait for the answer of a quick request. Raises Busy, and UserError if the request cannot be answered."""
        question = Question(request)
        with self._changed:
            if self._closed or len(self._questions) >= self._store.limits.quick:
                raise Busy("Too many edits are waiting already. Please try again in a moment.")
            self._questions.append(question)
            self._changed.notify_all()
        return question.answer.result()

    def warm(self, model: str) -> None:
        """Load a model when the device is free, without waiting for it."""
        with self._changed:
            self._models.append(model)
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread after the current step; waiting quick requests raise Busy."""
        with self._changed:
            self._closed = True
            for job in self._store.jobs():
                job.cancel(SERVER_STOPPED)
            self._changed.notify_all()
        self._thread.join(timeout=30)

    # ---- in the worker's thread

    def _work(self) -> None:
        while self._wait():
            self._tidy()
            self._answer()
            with self._changed:
                model = self._models.popleft() if self._models else None
                job = self._queue.begin_turn() if model is None else None
                index = None if job is None else job.begin()
                self._changed.notify_all()
            if model is not None:
                self._load(model)
            if job is not None:
                self._take_turn(job, index)
        self._drop_suspended()

    def _wait(self) -> bool:
        """Wait for something to do. Returns False if the worker is closed."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._queue.ready or self._models or self._questions, timeout=PRUNE_EVERY
            )
            self._store.prune()
            if self._closed:
                while self._questions:
                    self._questions.popleft().answer.set_exception(Busy("The server is being stopped."))
            return not self._closed

    def _answer(self) -> None:
        """Answer the quick requests that wait. Those that arrive meanwhile wait for the next step of the run."""
        with self._changed:
            questions = [self._questions.popleft() for _ in range(len(self._questions))]
        for question in questions:
            question.resolve(self._lane)

    def _tidy(self) -> None:
        try:
            self._lane.tidy()
        except BaseException:  # of any kind: without this thread, no job would ever end
            log.exception("could not tidy the lane")

    def _load(self, model: str) -> None:
        try:
            seconds = self._lane.warm(model)
            if seconds is not None:
                with self._changed:
                    self._estimates.measured(model, REFERENCE, seconds)
        except BaseException:
            # A run on this model meets the same error and shows it.
            log.exception("could not load %s ahead of its first use", model)

    def _take_turn(self, job: Job, index: int | None) -> None:
        """Go on with the run that has this index, if any, then end the job's turn."""
        problem, lost = None, False
        if index is not None:
            try:
                self._run(job, index)
            except BaseException as error:
                lost = isinstance(error, LaneLost)
                # As text: while the exception lives, its traceback keeps every tensor of the run alive.
                problem = str(_for_user(error, f"{job.runs[index].method} on {job.task}"))
        with self._changed:
            if problem is not None and index is not None and not (lost and job.restart(index)):
                job.fail(index, problem)
            self._queue.end_turn(job)
            if not job.waiting and job.current is None:
                self._store.release(job)
                return_freed_memory()
            self._changed.notify_all()

    def _run(self, job: Job, index: int) -> None:
        """Record the events of a run until it ends or its turn is over, and answer quick requests between them."""
        suspended = self._suspended.pop(job.key, None)
        events = self._lane(job.requests[index]) if suspended is None else suspended
        stop = None if suspended is None else job.cancelled  # a generator that has not begun takes None only
        seconds = 0.0  # of computing in this turn
        with ExitStack() as stack:
            stack.callback(events.close)
            while True:
                began = self._clock()
                event = job.context.run(events.send, stop)
                seconds += self._clock() - began
                self._record(job, index, event, bool(stop))
                if isinstance(event, Finished):
                    return
                self._answer()
                with self._changed:
                    if self._queue.should_suspend(job, seconds):
                        self._suspended[job.key] = events
                        stack.pop_all()  # leaves the generator open
                        return
                    stop = job.cancelled

    def _record(self, job: Job, index: int, event: Event, stopped: bool) -> None:
        """Record an event of a run. stopped: the run was asked to stop before the event."""
        with self._changed:
            job.take(index, event, stopped)
            self._estimates.note(job, index)
            if isinstance(event, Finished):
                self._store.keep(job, index, event)
            self._changed.notify_all()

    def _drop_suspended(self) -> None:
        """Close the suspended runs; the worker is being closed."""
        with self._changed:
            for job in self._queue.open():
                if job.current is not None:
                    job.fail(job.current, f"{SERVER_STOPPED}.")
            self._changed.notify_all()
        for events in self._suspended.values():
            with suppress(Exception):
                events.close()
        self._suspended.clear()


def _for_user(error: BaseException, subject: str) -> UserError:
    """The error itself if its text is for the user; otherwise it is logged and replaced by one for the user."""
    if isinstance(error, UserError):
        return error
    log.error("%s failed", subject, exc_info=error)
    return LaneError("The run stopped with an unexpected error. See the server's log.")
