"""Runs on ZeroGPU of Hugging Face's Spaces: each in a forked process that has a GPU for a limited time.

`spaces.GPU` decorates a function. Its arguments and results are pickled, what it changes in the process is lost, and
the process is ended when its time is over. So a run gets plain data, yields bytes, and has a smaller time budget than
the process. The main process has no GPU: it loads models to check them, and makes edits on the processor, which costs
visitors no GPU time.
"""

from __future__ import annotations

import math
import pickle
import re
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import torch

from inversion.common.errors import UserError
from inversion.serving.lane import Lane
from inversion.serving.plans import plan_of
from inversion.serving.runs import Event, Finished, LaneError, Request

# Not measured on ZeroGPU: generous for a 1024-pixel StyleGAN2. A run that needs longer ends with its best picture.
STEP = 0.15  # seconds of a step
START = 15  # seconds to start the process and to load the model

Decorator = Callable[..., Any]  # spaces.GPU: keyword arguments -> a decorator of generator functions


class ZeroLane(Lane):
    """A lane for a Space on ZeroGPU. gpu: `spaces.GPU`. dtype: as in `Lane`, for runs."""

    def __init__(self, gpu: Decorator, dtype: str = "auto") -> None:
        super().__init__("cpu", "float32")
        self.gpu_dtype = dtype
        self._run_there: Callable[..., Generator[bytes, None, None]] = gpu(duration=duration)(run_there)

    def warm(self, model: str) -> None:
        """Load a model. Runs nothing, because GPU time is a visitor's; so no step is measured."""
        self.load(model)

    def __call__(self, request: Request) -> Generator[Event, bool | None, None]:
        """As in `Lane`. The GPU computes on while the caller handles an event."""
        self.load(request.model)  # here, because downloads and conversions need no GPU
        with tempfile.TemporaryDirectory() as folder:
            stop = Path(folder) / "stop"
            with closing(self._run_there(request, self.gpu_dtype, str(stop))) as packed:
                while True:
                    event = _next(packed)
                    if (yield event):
                        stop.touch()
                    if isinstance(event, Finished):
                        return


def seconds(request: Request) -> int:
    """The time budget of a run on ZeroGPU: by the steps of its stages, at most the budget of the request."""
    steps = sum(steps for _, steps in plan_of(request).stages)
    return math.ceil(min(request.budget, 5 + STEP * steps))


def duration(request: Request, dtype: str, stop: str) -> int:
    """Seconds of GPU time to ask for. Takes the arguments of `run_there`, as `spaces.GPU` wants."""
    return START + seconds(request)


def run_there(request: Request, dtype: str, stop: str) -> Iterator[bytes]:
    """The pickled events of a run in the process that has the GPU; a text is an error for the user.

    stop: the run ends with its best picture once a file with this path exists.
    """
    torch.set_num_threads(1)  # the threads of OpenMP do not survive a fork
    ends: bool | None = None
    try:
        with closing(Lane("auto", dtype)(replace(request, budget=seconds(request)))) as events:
            while True:
                event = events.send(ends)
                yield pickle.dumps(event)
                if isinstance(event, Finished):
                    return
                ends = Path(stop).exists()
    except UserError as error:
        yield pickle.dumps(str(error))


def _next(packed: Generator[bytes, None, None]) -> Event:
    """The next event. Raises LaneError for errors of the run, and of ZeroGPU, such as a quota that is used up."""
    try:
        event = pickle.loads(next(packed))  # noqa: S301 - our own process wrote it
    except StopIteration:
        raise LaneError("The process with the GPU ended before the result. Try again with fewer steps.") from None
    except Exception as error:
        text = getattr(error, "message", None)  # of gradio.Error, which this package does not import; it may be HTML
        if not isinstance(text, str):
            raise
        raise LaneError(unescape(re.sub(r"<[^>]*>", "", str(text))).strip()) from None
    if isinstance(event, str):
        raise LaneError(event)
    return event
