"""The thread of a lane: strands of jobs take turns, quick requests are answered between two steps."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from inversion.common.errors import UserError
from inversion.common.memory import return_freed_memory
from inversion.serving.costs import REFERENCE
from inversion.serving.estimates import Estimates
from inversion.serving.jobs import Busy
from inversion.serving.queue import Queue
from inversion.serving.requests import Quick
from inversion.serving.runs import Event, Finished, LaneError, LaneLost, Ready, Request
from inversion.serving.store import Store
from inversion.serving.strands import Strand

T = TypeVar("T")
Events = Generator[Event, "bool | None", None]  # see `DeviceLane.__call__`
PRUNE_EVERY = 30.0  # seconds between two searches for abandoned and expired jobs while nothing happens
REOPEN_EVERY = 5.0  # seconds between two attempts to open a lane
SERVER_STOPPED = "The server was stopped"
MODELS = 4  # that a lane is taken to hold, as `checkpoints.hub.MAX_MODELS`

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

    @property
    def opened(self) -> bool:
        """Whether it can compute at once."""

    @property
    def warms(self) -> bool:
        """Whether it is to load models ahead of their first use, all of them on every lane."""

    def open(self) -> None:
        """Get ready, such as by starting a process. Raises UserError."""

    def close(self) -> None:
        """Free everything. May be called from any thread."""

    def room(self) -> int | None:
        """Bytes of memory that its models may take; None if this is unknown or only limited by the machine's memory."""

    def place(self) -> str:
        """Where it computes, such as a device and a process, in words. May be called from any thread."""

    def __call__(self, request: Request) -> Events:
        """Events of a run, `Finished` last; True sent to it ends the run early. Raises UserError."""


class Question(Generic[T]):
    """A quick request and its answer, which its caller waits for."""

    def __init__(self, request: Quick[T]) -> None:
        self.request = request
        self.answer: Future[T] = Future()

    def resolve(self, lane: DeviceLane) -> None:
        """Give the answer of the lane, or the error. Asks twice if the lane's process ends. Raises nothing."""
        try:
            try:
                answer = lane.answer(self.request)
            except LaneLost:
                answer = lane.answer(self.request)
            self.answer.set_result(answer)
        except BaseException as error:
            self.answer.set_exception(_for_user(error, type(self.request).__name__))


@dataclass
class Shared:
    """The parts of a session that the workers of all lanes use.

    queue, store, estimates: access only while holding the lock. changed: the session's lock, notified after each change
    of a job. clock: seconds, for the length of a turn. closed: the session is being closed.
    """

    queue: Queue
    store: Store
    estimates: Estimates
    changed: threading.Condition
    clock: Callable[[], float]
    closed: bool = False


class Worker:
    """Runs jobs and quick requests on one lane, in a thread of its own.

    The thread survives every exception: it ends the run or the quick request that raised it. A run that has used up
    its turn stays open: its generator is suspended between two steps, until its strand's next turn.

    questions, models, recent: access only while holding the lock.
    """

    def __init__(self, lane: DeviceLane, number: int, shared: Shared) -> None:
        self.lane, self.number = lane, number
        self.questions: deque[Question[Any]] = deque()  # each has its own T
        self.models: deque[str] = deque()  # to be loaded
        self.recent: deque[str] = deque(maxlen=MODELS)  # models that were used last, which the lane holds
        self.losses = 0  # how often its process has ended
        self._suspended: dict[Strand, Events] = {}  # access only in the worker's thread
        self._earlier: dict[Strand, float] = {}  # seconds of suspended runs in their earlier turns; likewise
        self._shared, self._queue, self._store = shared, shared.queue, shared.store
        self._changed = shared.changed
        self._thread = threading.Thread(target=self._work, name="device-lane", daemon=True)
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread, after `Shared.closed` has been set, then close the lane."""
        self._thread.join(timeout)
        self.lane.close()

    # ---- in the worker's thread

    def _work(self) -> None:
        while self._wait():
            if not self._open():
                continue
            self._tidy()
            self._answer()
            with self._changed:
                model = self.models.popleft() if self.models else None
                strand = self._queue.begin_turn(self.number) if model is None else None
                index = None if strand is None else strand.begin()
                self._changed.notify_all()
            if model is not None:
                self._load(model)
            if strand is not None:
                self._take_turn(strand, index)
        self._drop_suspended()

    def _wait(self) -> bool:
        """Wait for something to do. Returns False if the worker is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._shared.closed or self._has_work(), timeout=PRUNE_EVERY)
            self._store.prune()
            if self._shared.closed:
                while self.questions:
                    self.questions.popleft().answer.set_exception(Busy("The server is being stopped."))
            return not self._shared.closed

    def _has_work(self) -> bool:
        return bool(self.models or self.questions or self._queue.ready(self.number))

    def _open(self) -> bool:
        """Open the lane if there is work. Returns False if others may do it, because this lane does not open."""
        with self._changed:
            if self.lane.opened or not self._has_work():
                return True
            self._queue.away.add(self.number)  # a job need not wait for this lane
        problem = None
        try:
            self.lane.open()
        except BaseException as error:
            problem = _for_user(error, f"lane {self.number}")
        with self._changed:
            if problem is None or len(self._queue.away) == self._queue.lanes:  # the run shows the problem
                self._queue.away.discard(self.number)
                return True
            self._queue.note_room(self.number, 0)
            self._changed.notify_all()  # others need not wait for this lane
            if not self._shared.closed:
                log.warning("lane %d: %s", self.number, problem)
            while self.questions:
                self.questions.popleft().answer.set_exception(problem)
            self.models.clear()
            self._changed.wait_for(lambda: self._shared.closed, timeout=REOPEN_EVERY)
        return False

    def _used(self, model: str) -> None:
        """Remember that the lane holds a model."""
        with self._changed:
            if model in self.recent:
                self.recent.remove(model)
            self.recent.append(model)

    def _lost(self) -> None:
        """The process of the lane has ended. Access only while holding the lock."""
        self.losses += 1
        self.recent.clear()

    def _answer(self) -> None:
        """Answer the quick requests that wait. Those that arrive meanwhile wait for the next step of the run."""
        with self._changed:
            questions = [self.questions.popleft() for _ in range(len(self.questions))]
        for question in questions:
            question.resolve(self.lane)
            self._used(question.request.model)

    def _tidy(self) -> None:
        try:
            self.lane.tidy()
            room = self.lane.room()
        except BaseException:  # of any kind: without this thread, no job would ever end
            log.exception("could not tidy the lane")
            return
        with self._changed:
            self._queue.note_room(self.number, room)

    def _load(self, model: str) -> None:
        try:
            seconds = self.lane.warm(model)
            self._used(model)
            if seconds is not None:
                with self._changed:
                    self._shared.estimates.measured(model, REFERENCE, seconds)
        except LaneLost as error:
            log.warning("could not load %s ahead of its first use: %s", model, error)
            with self._changed:
                self._lost()
        except BaseException:
            # A run on this model meets the same error and shows it.
            log.exception("could not load %s ahead of its first use", model)

    def _take_turn(self, strand: Strand, index: int | None) -> None:
        """Go on with the run that has this index, if any, then end the strand's turn."""
        problem: str | None = None
        lost: LaneLost | None = None
        job = strand.job
        self._used(job.model if index is None else job.models[index])
        if index is not None:
            try:
                self._run(strand, index)
            except BaseException as error:
                lost = LaneLost(str(error), blameless=error.blameless) if isinstance(error, LaneLost) else None
                # As text: while the exception lives, its traceback keeps every tensor of the run alive.
                problem = str(_for_user(error, f"{job.runs[index].method} on {job.task}"))
        with self._changed:
            if lost is not None and not lost.blameless:
                self._lost()
            again = index is not None and lost is not None and strand.restart(index, blameless=lost.blameless)
            if problem is not None and index is not None and not again:
                strand.fail(index, problem)
            self._queue.end_turn(strand, self.number)
            if job.over:
                self._store.release(job)
                return_freed_memory()
            self._changed.notify_all()

    def _run(self, strand: Strand, index: int) -> None:
        """Record the events of a run until it ends or its turn is over, and answer quick requests between them."""
        job, suspended = strand.job, self._suspended.pop(strand, None)
        events = self.lane(job.requests[index]) if suspended is None else suspended
        stop = None if suspended is None else job.cancelled  # a generator that has not begun takes None only
        seconds, earlier = 0.0, self._earlier.pop(strand, 0.0)  # of computing in this turn, and in those before
        with ExitStack() as stack:
            stack.callback(events.close)
            while True:
                began = self._shared.clock()
                event = strand.context.run(events.send, stop)
                seconds += self._shared.clock() - began
                self._record(strand, index, event, bool(stop), earlier + seconds)
                if isinstance(event, Ready):  # until then it was loading the model
                    earlier = -seconds
                if isinstance(event, Finished):
                    return
                self._answer()
                with self._changed:
                    if self._queue.should_suspend(strand, self.number, seconds):
                        self._suspended[strand] = events
                        self._earlier[strand] = earlier + seconds
                        stack.pop_all()  # leaves the generator open
                        return
                    stop = job.cancelled

    def _record(self, strand: Strand, index: int, event: Event, stopped: bool, seconds: float) -> None:
        """Record an event of a run. stopped: the run was asked to stop before the event. seconds: of computing so far.

        All of it under one lock: a job that is over may give its requests away as soon as the lock is free.
        """
        with self._changed:
            strand.take(index, event, stopped)
            self._shared.estimates.note(strand.job, index)
            if isinstance(event, Finished):
                self._shared.estimates.finished(strand.job, index, seconds)
                self._store.keep(strand.job, index, event, self.number)
            self._changed.notify_all()

    def _drop_suspended(self) -> None:
        """Close the suspended runs; the worker is being closed."""
        with self._changed:
            for strand in self._queue.open(self.number):
                if strand.current is not None:
                    strand.fail(strand.current, f"{SERVER_STOPPED}.")
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
