"""A stand-in for the package `spaces` of ZeroGPU: it forks, pickles arguments and results, and has a time limit."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

Task = Callable[..., Iterator[Any]]
FORK = multiprocessing.get_context("fork")


class GradioError(Exception):
    """Like gradio.Error, which spaces raises: the text is in `message` and may be HTML."""

    def __init__(self, message: str) -> None:
        self.message = message


class Spaces:
    """durations: asked for so far. quota: seconds that are left; a request for more is refused."""

    def __init__(self, quota: float = 3600) -> None:
        self.durations: list[float] = []
        self.quota = quota
        self.processes: list[int] = []  # ids of the processes that have run a task

    def GPU(self, *, duration: Callable[..., float]) -> Callable[[Task], Task]:  # noqa: N802 - as in spaces
        """A decorator of generator functions."""

        def decorate(task: Task) -> Task:
            def handler(*args: Any) -> Generator[Any, None, None]:  # noqa: ANN401 - those of the task
                asked = duration(*args)
                if asked > self.quota:
                    raise GradioError(f"You have exceeded your quota ({asked}s). <a href='x'>More &amp; more</a>")
                self.durations.append(asked)
                yield from self._forked(task, pickle.dumps(args), asked)

            return handler

        return decorate

    def _forked(self, task: Task, arguments: bytes, asked: float) -> Generator[Any, None, None]:
        results, stop = FORK.SimpleQueue(), FORK.Event()
        process = FORK.Process(target=_work, args=(task, arguments, results, stop), daemon=True)
        process.start()
        until = time.monotonic() + asked
        try:
            while time.monotonic() < until:
                if results.empty():
                    time.sleep(0.005)
                    continue
                kind, value = results.get()
                if kind == "pid":
                    self.processes.append(value)
                elif kind == "error":
                    raise GradioError(value)
                elif kind == "end":
                    return
                else:
                    yield pickle.loads(value)  # noqa: S301 - our own
            raise GradioError("GPU task aborted")
        finally:
            stop.set()
            process.join(10)
            process.kill()


def _work(task: Task, arguments: bytes, results: Any, stop: Any) -> None:  # noqa: ANN401 - queue and event
    results.put(("pid", os.getpid()))
    events = task(*pickle.loads(arguments))  # noqa: S301 - our own
    try:
        for event in events:
            if stop.is_set():
                break
            results.put(("value", pickle.dumps(event)))
        results.put(("end", None))
    except Exception as error:
        results.put(("error", type(error).__name__))  # like spaces: the text is lost
