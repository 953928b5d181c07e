"""A lane in a process of its own: a crash, a leak or a lack of memory ends a run there, and not the server."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import inversion
from inversion.serving.engines import child
from inversion.serving.engines.remote import RemoteLane
from inversion.serving.engines.transfer import Channel
from inversion.serving.runs import Event, Finished, LaneLost, Request

START = 120.0  # seconds for the start of a process and for its first call, which imports networks and starts CUDA
PATIENCE = 8.0  # seconds without a sign of life after which a process is ended
LOST = "The process that computes has ended. Please try again."
HUNG = "The process that computes did not respond and was ended. Please try again."


class ProcessLane(RemoteLane):
    """A lane that computes in a child process, which starts with the first request and again after it was lost.

    device, dtype: as in `Lane`. threads: of torch, None for its default. gpu: what CUDA_VISIBLE_DEVICES is there.
    """

    def __init__(
        self, device: str = "auto", dtype: str = "auto", threads: int | None = None, gpu: str | None = None
    ) -> None:
        super().__init__(device, dtype)
        self._environment = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
        if threads is not None:
            self._environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        self._child: Child | None = None
        self._runs = itertools.count()

    @property
    def pid(self) -> int | None:
        """The number of the process, None if it does not run."""
        return None if self._child is None else self._child.process.pid

    @property
    def opened(self) -> bool:
        """Whether the process runs."""
        return self._child is not None and self._child.process.poll() is None

    def place(self) -> str:
        """The device and the process, in words."""
        gpu, pid = self._environment.get("CUDA_VISIBLE_DEVICES"), self.pid
        device = self.device if gpu is None else f"GPU {gpu}"
        return f"{device}, not started" if pid is None else f"{device}, process {pid}"

    def open(self) -> None:
        """Start the process, if it does not run, and wait until it is ready. Raises LaneLost."""
        if self.opened:
            return
        self.close()
        self._child = Child(self.device, self.dtype, self._environment)
        try:
            self._child.wait_until_ready()
        except (EOFError, OSError, ValueError):
            self._lose()

    def __call__(self, request: Request) -> Generator[Event, bool | None, None]:
        """As in `Lane`. Raises UserError and LaneLost."""
        run, stop = next(self._runs), None
        self._call("begin", run, request)
        process = self._child
        try:
            while True:
                if self._child is not process:  # it was lost in another run, and this run with it
                    raise LaneLost(LOST, blameless=True)
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

    def _call(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - as in `RemoteLane`
        if self._child is None:
            self.open()
        try:
            answer, error = cast(Child, self._child).call(name, arguments)
        except (EOFError, OSError, ValueError):
            self._lose()
        if error is not None:
            raise error
        return answer

    def _lose(self) -> NoReturn:
        """End the process after an error of its pipes. Raises LaneLost."""
        words = HUNG if self._child is not None and self._child.hung else LOST
        self.close()
        raise LaneLost(words) from None


class Child:
    """The process of a lane, the channel to it, and a thread that ends it if it does not respond to a call.

    environment: more variables. hung: whether it was ended so.
    """

    def __init__(self, device: str, dtype: str, environment: dict[str, str]) -> None:
        package = str(Path(inversion.__file__).parent.parent)
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(  # noqa: S603 - this interpreter, on a module of this package
            [sys.executable, "-m", child.__name__, device, dtype],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )
        self.channel = Channel(cast(BinaryIO, self.process.stdout), cast(BinaryIO, self.process.stdin), keeps=False)
        self.hung = False
        self._settled, self._closed = False, threading.Event()  # settled: it has done its first work
        self._alive: float | None = time.monotonic()  # time of the last sign of life in a call, None between calls
        threading.Thread(target=self._watch, name="watch-lane", daemon=True).start()

    def wait_until_ready(self) -> None:
        """Wait for its first message. Raises EOFError, OSError or ValueError if it ends."""
        self.channel.receive(self._note)
        self._alive = None

    def call(self, name: str, arguments: tuple[object, ...]) -> Any:  # noqa: ANN401 - of any method
        """The answer of a method and its error. Raises EOFError, OSError or ValueError if the process ends."""
        self._note()
        self.channel.send((name, arguments))
        answer = self.channel.receive(self._note)
        self._alive = None
        self._settled |= name in ("warm", "answer", "step")
        return answer

    def close(self) -> None:
        """End the process. It has nothing to save."""
        self._closed.set()
        self.process.kill()
        self.process.wait()
        self.channel.close()

    def _note(self) -> None:
        self._alive = time.monotonic()

    def _watch(self) -> None:
        while not self._closed.wait(0.5):
            alive = self._alive
            if alive is not None and time.monotonic() - alive > (PATIENCE if self._settled else START):
                self.hung = True
                self.process.kill()  # its pipes break, which ends the call
                return
