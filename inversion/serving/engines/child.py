"""The process that computes for a `ProcessLane`: it answers one message after the other until its pipes are closed."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
from collections.abc import Callable, Generator
from copy import copy
from typing import Any

from inversion.common.errors import UserError
from inversion.serving.engines.transfer import Channel
from inversion.serving.lane import Lane
from inversion.serving.runs import Event, LaneError, Request

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


def serve(channel: Channel, lane: Lane) -> None:
    """Answer messages (name, arguments) with (answer, error) until the other process closes the channel."""
    calls = Calls(lane).by_name
    while True:
        try:
            name, arguments = channel.receive()
        except (EOFError, OSError):
            return
        answer: Any = None
        error: UserError | None = None
        try:
            answer = calls[name](*arguments)
        except UserError as problem:
            error = _portable(problem)
        except Exception as problem:
            log.exception("%s failed", name)
            error = LaneError(f"The run stopped with an unexpected {type(problem).__name__}. See the server's log.")
        try:
            channel.send((answer, error))
        except OSError:
            return


def _portable(error: UserError) -> UserError:
    """The error without its traceback, which keeps tensors alive; with its class if that can be sent."""
    try:
        pickle.dumps(error)
        return copy(error)
    except Exception:
        return LaneError(str(error))


def main(device: str, dtype: str) -> None:
    """Serve the process that started this one. Its pipes are stdin and stdout; what is printed goes to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the parent decides
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(Channel(source, sink, keeps=True), Lane(device, dtype))


if __name__ == "__main__":
    main(*sys.argv[1:])
