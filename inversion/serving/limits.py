"""All limits of a served hub, as data: what a session holds, what one visitor may take, what one request may cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from inversion.checkpoints.registry import registry
from inversion.common.memory import machine_memory
from inversion.serving.plans import plan_of
from inversion.serving.runs import LaneError, Request

if TYPE_CHECKING:
    from inversion.methods import Stage

MB = 2**20
HOUR = 3600.0


@dataclass
class Limits:
    """How much a session holds. A limit may be changed at any time and takes effect at the next change of the store.

    A visitor is an address if the server knows it, else a browser.
    """

    waiting: int = 64  # jobs in the queue
    waiting_each: int = 64  # of these, jobs of one visitor
    runs: int = 64  # of one job, such as the cells of a grid
    quick: int = 64  # quick requests that wait
    finished: int = 32  # jobs that are over, and results
    finished_runs: int = 256  # of the jobs that are over
    tuned: int = 4  # jobs with tuned weights
    photos: int = 4  # jobs whose results can be pasted into the photo
    inputs: int = 256 * MB  # bytes of pictures of jobs that are over, to run them again
    open: int = 3  # runs that have begun and are not over
    open_each: int = 2  # of these, runs of one visitor
    slice: float = 1.0  # seconds of a turn on the device while other jobs wait
    memory: float = 0.5  # of the device's memory, for the pictures of one step
    step: float = 30.0  # seconds of one step
    # Seconds without access after which a job is paused, is ended, and is forgotten if it is over.
    grace: float = 45.0
    abandoned: float = 900.0
    expiry: float = 600.0
    # Of runs on disk, see `archive`: bytes in all, jobs of one browser, and seconds without access.
    kept_bytes: int = 20_000 * MB
    kept_each: int = 200
    kept_age: float = 30 * 24 * HOUR


@dataclass(frozen=True)
class WebLimits:
    """What the web server takes. `each` stands for one address; None means no limit."""

    body: int = 40 * MB  # bytes of one request with all its files
    seconds: float = 30.0  # for a body of no bytes; more for a large one, see `slowest`
    slowest: int = 64 * 1024  # bytes per second of a body
    posts_each: float | None = None  # requests per second that change something
    burst_each: int = 120  # of these, at once
    open_each: int | None = None  # requests that are being answered, streams included
    events: int = 64  # of runs that are streamed or wait
    events_each: int = 96  # events that compute, running or waiting
    uploads: int = 4096 * MB  # bytes in an hour, which is how long uploads are kept
    uploads_each: int = 4096 * MB
    sessions: int = 64  # page visits whose state is kept


@dataclass(frozen=True)
class Profile:
    """The limits of a host. downloads: visitors may start downloads of models. budget: seconds of one run."""

    session: Callable[[], Limits] = Limits
    web: WebLimits = field(default_factory=WebLimits)
    budget: float = 300.0
    downloads: bool = True


PROFILES: Mapping[str, Profile] = {
    "private": Profile(),
    "public": Profile(
        session=lambda: Limits(waiting_each=4, runs=25, memory=0.25, step=6.0, abandoned=300.0),
        web=WebLimits(
            posts_each=4.0, open_each=64, events_each=16, uploads=2048 * MB, uploads_each=200 * MB, sessions=128
        ),
        budget=120.0,
        downloads=False,
    ),
}

# Pictures that one step of a stage holds with their gradients; 1 for other stages.
PICTURES: Mapping[str, Callable[[Any], int]] = {
    "clone": lambda stage: 2 * stage.batch,  # of the tuned generator and of the original one
    "pti": lambda stage: 3,
    "multicode": lambda stage: stage.codes or 30,
}
PIXEL = 1800  # bytes of a pixel of such a picture; measured: 0.94 GB for 32 pictures of 128x128 pixels


def device_memory(device: str) -> float:
    """Bytes of memory of the device that runs use: of the GPU if there is one, else of the machine."""
    if device != "cpu" and torch.cuda.is_available():
        return float(torch.cuda.get_device_properties(0).total_memory)
    return machine_memory()


def try_again(wait: float | None) -> str:
    """When to try again, in words. wait: seconds, None if they are unknown."""
    if wait is None:
        return "Please try again in a minute."
    time = f"{max(1, math.ceil(wait))} s" if wait < 90 else f"{math.ceil(wait / 60)} min"
    return f"Please try again in about {time}."


def check_demand(request: Request, limits: Limits, memory: float, unit: float | None) -> None:
    """Raises LaneError with the numbers if one step of a stage takes too much memory or time.

    A stage with its usual number of pictures is refused only if a step takes longer than the run may.
    memory: bytes of the device. unit: seconds of a step of W on the model, None if unknown.
    """
    entry = registry().get(request.model)
    most = limits.memory * memory
    for stage in plan_of(request).parts:
        pictures, usual = _pictures(stage), _pictures(type(stage)())
        longest = min(limits.step, request.budget) if pictures > usual else request.budget
        size = pictures * PIXEL * (0 if entry is None else entry.resolution) ** 2
        if pictures > usual and size > most:
            raise LaneError(
                f"One step of {stage.label} would take about {_gigabytes(size)} of memory, the limit is "
                f"{_gigabytes(most)}. Use fewer {_unit(stage)} or a smaller model."
            )
        seconds = 0.0 if unit is None else unit * stage.cost * pictures / usual
        if seconds > longest:
            raise LaneError(
                f"One step of {stage.label} would take about {seconds:.0f} s, the limit is {longest:.0f} s. Use fewer "
                f"{_unit(stage)} or a smaller model."
            )


def _pictures(stage: Stage) -> int:
    return PICTURES.get(stage.key, lambda stage: 1)(stage)


def _unit(stage: Stage) -> str:
    """The setting that makes the steps of a stage large, in words."""
    return {"clone": "pictures per step", "multicode": "codes"}.get(stage.key, "steps")


def _gigabytes(size: float) -> str:
    return f"{size / 2**30:.1f} GB"
