"""The process that computes for a `ProcessLane`: it answers one message after the other until its pipes are closed."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from typing import Any

from inversion.common.errors import UserError
from inversion.common.memory import keep_freed_memory, return_freed_memory
from inversion.serving.engines.transfer import Channel
from inversion.serving.lane import Lane
from inversion.serving.runs import Event, LaneError, Request

Answer = tuple[Any, UserError | None]  # of a method, or its error
BEAT = 1.0  # seconds between two signs of life

log = logging.getLogger(__name__)


class Calls:
    """What the other process may call, by name: the methods of a lane, and the steps of its runs."""

    def __init__(self, lane: Lane) -> None:
        self._runs: dict[int, Generator[Event, bool | None, None]] = {}
        self._lane = lane
        self.by_name: dict[str, Callable[..., Any]] = {
            "warm": lane.warm,
            "answer": lane.answer,
            "tidy": lane.tidy,
            "room": lane.room,
            "unavailable": lane.unavailable,
            "begin": self.begin,
            "step": self.step,
            "end": self.end,
        }

    def begin(self, run: int, request: Request) -> None:
        """Open a run under a number."""
        self._runs[run] = self._lane(request)

    def step(self, run: int, stop: bool | None) -> Event:
        """The next event of a run. stop: see `Lane.__call__`."""
        return self._runs[run].send(stop)

    def end(self, run: int) -> None:
        """Close a run."""
        self._runs.pop(run).close()
        return_freed_memory()

    def answer(self, name: str, arguments: tuple[Any, ...]) -> Answer:
        """Call a method: its answer or its error, which can be sent."""
        try:
            return self.by_name[name](*arguments), None
        except UserError as problem:
            return None, _portable(problem)
        except Exception as problem:
            log.exception("%s failed", name)
            return None, LaneError(
                f"The run stopped with an unexpected {type(problem).__name__}. See the server's log."
            )


def serve(channel: Channel, lane: Lane) -> None:
    """Say that the lane is ready, then answer messages until the other process closes the channel.

    A message is (name, arguments), its answer (answer, error). A call that takes long gives signs of life.
    """
    calls = Calls(lane)
    with suppress(EOFError, OSError), Pulse(channel) as pulse:
        channel.send("ready")
        while True:
            name, arguments = channel.receive()
            with pulse.during_call():
                answer = calls.answer(name, arguments)
            channel.send(answer)


class Pulse:
    """A thread that sends a sign of life every BEAT seconds during a call, as long as Python runs in this process."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._calling, self._closed = threading.Event(), threading.Event()

    def __enter__(self) -> Pulse:
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._calling.set()

    @contextmanager
    def during_call(self) -> Iterator[None]:
        """Send signs of life in this block."""
        self._calling.set()
        yield
        self._calling.clear()

    def _beat(self) -> None:
        with suppress(OSError, ValueError):  # the other process has ended
            while self._calling.wait() and not self._closed.wait(BEAT):
                if self._calling.is_set():
                    self._channel.beat()


def _portable(error: UserError) -> UserError:
    """The error without its traceback, which keeps tensors alive; with its class if that can be sent."""
    try:
        pickle.dumps(error)
        return copy(error)
    except Exception:
        return LaneError(str(error))


def main(device: str, dtype: str) -> None:
    """Serve the process that started this one. Its pipes are stdin and stdout; what is printed goes to stderr."""
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the parent decides
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(Channel(source, sink, keeps=True), Lane(device, dtype))


if __name__ == "__main__":
    main(*sys.argv[1:])
