"""The workers of all lanes: who answers a quick request, and how the lanes are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from inversion.serving.jobs import Busy
from inversion.serving.requests import Quick
from inversion.serving.worker import SERVER_STOPPED, DeviceLane, Question, Shared, Worker

T = TypeVar("T")
JOIN_SECONDS = 30.0  # for the step that a lane is computing when the server stops


@dataclass(frozen=True)
class LaneHealth:
    """A lane at one moment. place: where it computes. losses: how often its process has ended."""

    state: Literal["free", "running", "starting"]
    place: str
    losses: int
    models: tuple[str, ...]


class Pool:
    """One worker for each lane. Public methods are thread-safe."""

    def __init__(self, lanes: Sequence[DeviceLane], shared: Shared) -> None:
        self._shared, self._changed = shared, shared.changed
        self._workers = [Worker(lane, number, shared) for number, lane in enumerate(lanes)]

    def ask(self, request: Quick[T], lane: int | None = None) -> T:
        """Wait for the answer of a quick request. lane: the one that holds its tensors, None if there is none.

        Raises Busy, and UserError if the request cannot be answered.
        """
        question = Question(request)
        with self._changed:
            waiting = sum(len(worker.questions) for worker in self._workers)
            if self._shared.closed or waiting >= self._shared.store.limits.quick:
                raise Busy("Too many edits are waiting already. Please try again in a moment.")
            self._choose(request.model, lane).questions.append(question)
            self._changed.notify_all()
        return question.answer.result()

    def warm(self, model: str) -> None:
        """Load a model on the first lane and those that are for it, when they are free, without waiting for it."""
        with self._changed:
            for worker in self._workers:
                if worker.number == 0 or worker.lane.warms:
                    worker.models.append(model)
            self._changed.notify_all()

    def health(self) -> tuple[LaneHealth, ...]:
        """The lanes."""
        with self._changed:
            return tuple(self._health(worker) for worker in self._workers)

    @property
    def closed(self) -> bool:
        """Whether `close` was called: no further job is begun."""
        return self._shared.closed

    def close(self) -> None:
        """End the threads after their current steps; waiting quick requests raise Busy."""
        with self._changed:
            self._shared.closed = True
            for job in self._shared.store.jobs():
                job.cancel(SERVER_STOPPED)
            self._changed.notify_all()
        for worker in self._workers:
            if not worker.lane.opened:  # it may be opening
                worker.lane.close()
        for worker in self._workers:
            worker.join(JOIN_SECONDS)

    def _choose(self, model: str, lane: int | None) -> Worker:
        """The lane that holds the tensors, else one that holds the model or has room, and of these a free one.

        If none is open, the first one: it may be opening, and others may never open.
        """

        def rank(worker: Worker) -> tuple[bool, bool, bool, bool, bool, int]:
            fits, opened = self._shared.queue.fits(model, worker.number), worker.lane.opened
            busy, questions = opened and self._shared.queue.is_busy(worker.number), len(worker.questions)
            return worker.number != lane, not fits, not opened, model not in worker.recent, busy, opened * questions

        return min(self._workers, key=rank)

    def _health(self, worker: Worker) -> LaneHealth:
        running = self._shared.queue.is_busy(worker.number)
        away = worker.number in self._shared.queue.away
        state: Literal["free", "running", "starting"] = "starting" if away else "running" if running else "free"
        return LaneHealth(state, worker.lane.place(), worker.losses, tuple(worker.recent))
