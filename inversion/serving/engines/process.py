"""A lane in a process of its own: a crash, a leak or a lack of memory ends a run there, and not the server."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import inversion
from inversion.serving.engines import child
from inversion.serving.engines.transfer import Channel
from inversion.serving.lane import Lane
from inversion.serving.requests import Quick
from inversion.serving.runs import Event, Finished, LaneLost, Request

T = TypeVar("T")
LOST = "The process that computes has ended. Please try again."


class ProcessLane(Lane):
    """A lane that computes in a child process, which starts with the first request and again after it was lost.

    device, dtype: as in `Lane`. Requests and events are the same; `check` needs no process.
    """

    def __init__(self, device: str = "auto", dtype: str = "auto") -> None:
        super().__init__(device, dtype)
        self._child: Child | None = None
        self._runs = itertools.count()

    @property
    def pid(self) -> int | None:
        """The number of the process, None if it does not run."""
        return None if self._child is None else self._child.process.pid

    def warm(self, model: str) -> float | None:
        """As in `Lane`. Raises UserError, LaneLost if the process ends."""
        seconds: float | None = self._call("warm", model)
        return seconds

    def answer(self, request: Quick[T]) -> T:
        """As in `Lane`. Raises UserError, LaneLost if the process ends."""
        answer: T = self._call("answer", request)
        return answer

    def tidy(self) -> None:
        """As in `Lane`. Raises nothing."""
        with suppress(LaneLost):
            if self._child is not None:
                self._call("tidy")

    def __call__(self, request: Request) -> Generator[Event, bool | None, None]:
        """As in `Lane`. Raises UserError, LaneLost if the process ends."""
        run, stop = next(self._runs), None
        self._call("begin", run, request)
        process = self._child
        try:
            while True:
                if self._child is not process:  # it was lost in another run, and this run with it
                    raise LaneLost(LOST)
                event: Event = self._call("step", run, stop)
                stop = yield event
                if isinstance(event, Finished):
                    return
        finally:
            if self._child is process:
                with suppress(LaneLost):
                    self._call("end", run)

    def close(self) -> None:
        """End the process. It starts again with the next request."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _call(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - the answer of the method
        """The answer of a method of `serve`. Raises its error, or LaneLost."""
        if self._child is None:
            self._child = Child(self.device, self.dtype)
        try:
            self._child.channel.send((name, arguments))
            answer, error = self._child.channel.receive()
        except (EOFError, OSError, ValueError):
            self.close()
            raise LaneLost(LOST) from None
        if error is not None:
            raise error
        return answer


class Child:
    """The process of a lane and the channel to it."""

    def __init__(self, device: str, dtype: str) -> None:
        package = str(Path(inversion.__file__).parent.parent)
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(  # noqa: S603 - this interpreter, on a module of this package
            [sys.executable, "-m", child.__name__, device, dtype],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.channel = Channel(cast(BinaryIO, self.process.stdout), cast(BinaryIO, self.process.stdin), keeps=False)

    def close(self) -> None:
        """End the process. It has nothing to save."""
        self.process.kill()
        self.process.wait()
        self.channel.close()
