"""What a session remembers of a job, and the views of it that others get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from inversion.align import Crop
from inversion.serving.lane import Event, Progress, Ready, Request

State = Literal["queued", "running", "done", "cancelled", "failed"]
CUT = "Cancelled: this is the best picture so far."
FINAL: frozenset[State] = frozenset({"done", "cancelled", "failed"})


@dataclass(frozen=True)
class RunView:
    """One method of a job. Pictures are uint8 (R, R, 3), times are seconds; `row` has the figures of `image`."""

    method: str
    label: str
    state: State = "queued"
    stage: str = ""
    step: int = 0
    total: int = 0
    seconds: float = 0.0
    budget: float = 0.0  # the seconds that it may take
    stage_began: float = 0.0  # seconds of the run when the present stage began
    image: np.ndarray | None = None
    row: Mapping[str, Any] | None = None
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    track: tuple[tuple[float, float], ...] = ()  # (seconds, PSNR in dB) of every preview
    message: str = ""
    version: int = 0  # of the job when this run last changed


@dataclass(frozen=True)
class JobView:
    """A job at one moment. `position`: jobs that come before it, 0 when it is running or over."""

    key: str
    task: str
    runs: tuple[RunView, ...]
    position: int
    version: int
    truth: np.ndarray | None = None  # uint8 (R, R, 3); None when the upload already is the measurement
    measured: np.ndarray | None = None  # uint8 (R, R, 3), pinv(y)
    model: str = ""
    crop: Crop = Crop()
    download: tuple[int, int] | None = None  # bytes done and in all (0: unknown) while the model's file is fetched

    @property
    def over(self) -> bool:
        return all(run.state in FINAL for run in self.runs)


@dataclass(frozen=True)
class Kept:
    """What a run leaves behind for later use, as plain data."""

    code: Any  # as `inversion.methods.codes.to_plain` gives it; None for a method without one
    weights: Mapping[str, Any] | None  # of a tuned generator, CPU tensors
    model: str
    image: np.ndarray  # uint8 (R, R, 3)
    row: Mapping[str, Any]  # figures and recipe


@dataclass(eq=False)
class Job:
    """A job in the table; to be touched under the session's lock only."""

    key: str
    task: str
    requests: tuple[Request, ...]  # emptied when the job is over: they hold the uploads
    runs: list[RunView]
    touched: float  # when somebody last asked for it
    cancelled: bool = False
    version: int = 0
    truth: np.ndarray | None = None
    measured: np.ndarray | None = None
    download: tuple[int, int] | None = None  # as in JobView
    model: str = field(init=False)
    crop: Crop = field(init=False)

    def __post_init__(self) -> None:
        self.model, self.crop = self.requests[0].model, self.requests[0].crop

    def waiting(self) -> int | None:
        """Index of the first run that has not begun."""
        return next((i for i, run in enumerate(self.runs) if run.state == "queued"), None)

    def change(self, index: int, **changes: object) -> None:
        """Change fields of a run."""
        self.version += 1
        self.runs[index] = replace(self.runs[index], **{**changes, "version": self.version})  # type: ignore[arg-type]

    def cancel(self) -> None:
        """Drop the runs that wait, and ask the one at work to stop."""
        self.cancelled = True
        for index, run in enumerate(self.runs):
            if run.state == "queued":
                self.change(index, state="cancelled", message="Cancelled before it began.")

    def take(self, index: int, event: Event, cut: bool = False) -> None:
        """Note an event of a run; `cut`: it had been asked to end."""
        run = self.runs[index]
        if isinstance(event, Ready):
            self.truth, self.measured = event.truth, event.measured
            self.change(index, stage="starting")
            return
        psnr = None if event.row is None else event.row.get("psnr")
        if isinstance(event, Progress):
            changes: dict[str, Any] = {} if event.image is None else {"image": event.image, "row": event.row}
            if event.stage != run.stage:
                changes["stage_began"] = event.seconds
            changes |= {"stage": event.stage, "step": event.step, "total": event.total}
            seconds = event.seconds
        else:
            changes = {"state": "cancelled" if cut else "done", "stage": "", "image": event.image, "row": event.row}
            changes |= {"curves": event.curves, "message": CUT if cut else event.message}
            seconds = event.row["seconds"]
        track = run.track if psnr is None else (*run.track, (seconds, psnr))
        self.change(index, seconds=seconds, track=track, **changes)

    def fail(self, index: int, problem: str) -> None:
        """Note what ended a run without a result."""
        self.change(index, state="failed", stage="", message=problem)
