"""A lane without a device, and sessions on it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from typing import TypeVar

import numpy as np

from helpers.waiting import WAIT, until
from inversion.model import Model
from inversion.serving.jobs import JobView
from inversion.serving.lane import Lane
from inversion.serving.requests import Quick
from inversion.serving.runs import Event, Finished, LaneError, Progress, Ready, Request
from inversion.serving.session import Session

T = TypeVar("T")
PICTURE = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)


class StubLane:
    """A lane whose runs have `steps` events. Each event waits for `gate`, if there is one."""

    opened = warms = True
    memory: int | None = None  # bytes

    def __init__(self, steps: int = 3, gate: threading.Event | None = None) -> None:
        self.steps, self.gate = steps, gate
        self.order: list[int] = []  # seeds in the order in which runs began
        self.closed = 0
        self.running = 0
        self.most = 0
        self.fail: BaseException | None = None

    def check(self, request: Request) -> str:
        return request.method.upper()

    def warm(self, model: str) -> None:
        if model == "broken":
            raise LaneError("broken cannot be loaded")

    def tidy(self) -> None:
        pass

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def place(self) -> str:
        return "nowhere"

    def room(self) -> int | None:
        return self.memory

    def answer(self, request: Quick[T]) -> T:
        return request(Model(request.model))

    def __call__(self, request: Request) -> Generator[Event, bool | None, None]:
        self.order.append(request.seed)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            yield Ready(PICTURE, PICTURE)
            for step in range(self.steps):
                if self.gate is not None:
                    assert self.gate.wait(WAIT)
                if self.fail is not None and step == 1:
                    raise self.fail
                row = {"psnr": float(step), "seconds": float(step)}
                if (yield Progress("stub", step, self.steps, float(step), PICTURE, row)):
                    break
            yield Finished(PICTURE, {"psnr": 30.0, "seconds": 9.0, "steps": 3}, {}, {"z": 1}, {"w": request.seed})  # type: ignore[dict-item]
        finally:
            self.running -= 1
            self.closed += 1


class TickingLane(StubLane):
    """A lane with a clock of its own. Every step takes `tick` seconds; a run has the steps of its setting w.steps.

    at_step: called in the worker's thread after every step, with the number of steps that all runs have made.
    """

    def __init__(self, tick: float = 0.25) -> None:
        self.tick, self.now = tick, 0.0
        self.log: list[int] = []  # seeds of all steps in their order
        self.at_step: Callable[[int], object] = lambda made: None
        super().__init__(gate=threading.Event())
        self.tuning = self.most_tuning = 0

    def clock(self) -> float:
        """Seconds."""
        return self.now

    def __call__(self, request: Request) -> Generator[Event, bool | None, None]:
        self.order.append(request.seed)
        self.running += 1
        self.tuning += request.method == "pti"
        self.most, self.most_tuning = max(self.most, self.running), max(self.most_tuning, self.tuning)
        steps = int(request.settings.get("w.steps", 1))
        try:
            yield Ready(PICTURE, PICTURE)
            for step in range(1, steps + 1):
                assert self.gate is not None and self.gate.wait(WAIT)
                self.now += self.tick
                self.log.append(request.seed)
                self.at_step(len(self.log))
                if self.fail is not None and request.seed == 13:
                    raise self.fail
                if (yield Progress("W", step, steps, step * self.tick, PICTURE, {"psnr": 20.0})):
                    break
            yield Finished(PICTURE, {"psnr": 30.0, "seconds": 9.0, "steps": 3}, {}, {"z": 1}, None)
        finally:
            self.running -= 1
            self.tuning -= request.method == "pti"
            self.closed += 1


def stub_request(seed: int = 0, method: str = "w", steps: int | None = None) -> Request:
    """A request that a StubLane runs."""
    settings = {} if steps is None else {"w.steps": steps}
    return Request("reconstruct", method, PICTURE, settings=settings, seed=seed)


def finish(session: Session, key: str) -> JobView:
    """The last view of a job, after the worker has finished with it."""
    *_, last = session.follow(key, every=0.01)
    until(lambda: key not in session.status().running)
    return last


def signalled(number: signal.Signals) -> Callable[[Lane, Request], Generator[Event, bool | None, None]]:
    """`Lane.__call__` with a signal to this process after the third step of each run."""
    real = Lane.__call__

    def interrupted(lane: Lane, request: Request) -> Generator[Event, bool | None, None]:
        events = real(lane, request)
        event = next(events)
        while not isinstance(event, Finished):
            stop = yield event
            if isinstance(event, Progress) and event.step == 3:
                signal.raise_signal(number)
            event = events.send(stop)
        yield event

    return interrupted
