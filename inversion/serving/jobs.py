"""A job as the session remembers it, the views of it that callers get, and the errors about jobs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from inversion.align import Crop, Quad, used_square
from inversion.analysis import Report
from inversion.common.errors import UserError
from inversion.common.rows import RowView
from inversion.serving.plans import Plan, plan_of
from inversion.serving.runs import Event, Finished, Progress, Ready, Request, picture_digest

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.methods.codes import PlainCode

State = Literal["queued", "running", "done", "cancelled", "failed"]
PAGE_CLOSED = "Stopped because its page was closed or inactive"
INTERRUPTED = "The server stopped"
RESTARTED = "Started again, because the process that computed it had ended."
FINAL: frozenset[State] = frozenset({"done", "cancelled", "failed"})


class SessionError(UserError):
    """Base class of the session's errors."""


class Busy(SessionError):
    """Too many jobs or quick requests are waiting."""


class UnknownJob(SessionError):
    """The job or its result does not exist: the key is wrong, it has expired, or newer ones have replaced it."""


@dataclass(frozen=True)
class RunView:
    """A method or analysis of a job. Pictures are uint8 (R, R, 3), times are seconds; `row` has the figures of `image`.

    remaining: expected time until it ends, once it has the device, shared with other jobs; None if it is unknown.
    """

    method: str
    label: str
    state: State = "queued"
    stage: str = ""
    step: int = 0
    total: int = 0
    seconds: float = 0.0
    budget: float = 0.0  # the longest time that it may take
    stage_began: float = 0.0  # seconds of the run when the present stage began
    image: np.ndarray | None = None
    row: RowView | None = None
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    track: tuple[tuple[float, float], ...] = ()  # (seconds, PSNR in dB) of every preview
    message: str = ""
    version: int = 0  # of the job when this run last changed
    remaining: float | None = None
    report: Report | None = None  # of an analysis

    @property
    def over(self) -> bool:
        """Whether the run has ended, with or without a result."""
        return self.state in FINAL


@dataclass(frozen=True)
class JobView:
    """A job at one moment.

    position: number of jobs before it in the queue, 0 if it has begun. wait: expected seconds until its first step, 0
    if it has begun. remaining: expected seconds from then to the end of all runs. None: unknown.
    """

    key: str
    task: str
    runs: tuple[RunView, ...]
    position: int
    version: int
    truth: np.ndarray | None = None  # uint8 (R, R, 3); None if the upload is already the measurement
    measured: np.ndarray | None = None  # uint8 (R, R, 3), pinv(y)
    model: str = ""
    crop: Crop = Crop()
    square: Quad | None = None  # of the photo, where a result can be pasted; None if all of it was used
    notes: tuple[str, ...] = ()  # on the measurement, for the user
    download: tuple[int, int] | None = None  # bytes done and in all (0: unknown) while the model's file is downloaded
    wait: float | None = None
    remaining: float | None = None
    abandoned: bool = False  # it was ended because no client was connected; it can be run again
    interrupted: bool = False  # the server stopped before it ended; it can be run again
    tab: str = ""  # key of the tab that it was submitted in
    picture: str = ""  # digest of its picture, see `picture_digest`
    models: tuple[str, ...] = ()  # of the runs
    about: RowView = field(default_factory=dict)  # JSON that the one who submitted the job keeps with it

    @property
    def over(self) -> bool:
        """Whether all runs have ended."""
        return all(run.over for run in self.runs)


@dataclass(frozen=True)
class StoredResult:
    """The result of a run, as plain data, for later requests."""

    code: PlainCode | None  # see `inversion.methods.codes.to_plain`; None if the method has no code
    weights: Mapping[str, Tensor] | None  # of a tuned generator, on the CPU
    model: str
    image: np.ndarray  # uint8 (R, R, 3)
    row: RowView  # figures and recipe
    lane: int | None = None  # the lane whose process holds the weights, None if any lane is as good


@dataclass(eq=False)
class Job:
    """One or more runs, from submission to expiry. Access only while holding the session's lock."""

    key: str
    requests: tuple[Request, ...]  # emptied when the job is over, because they hold the uploads
    runs: list[RunView]
    touched: float = 0.0  # time of the last access, set by the store
    cancelled: bool = False
    version: int = 0
    truth: np.ndarray | None = None
    measured: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    download: tuple[int, int] | None = None  # as in JobView
    owner: str = ""  # a secret of the browser that submitted it, "" if it is unknown
    place: str = ""  # a tab of an open page, "" if it is unknown
    address: str = ""  # of the client that submitted it, "" if it is unknown
    ending: str = ""  # why it was cancelled
    again: tuple[Request, ...] = ()  # stored for another run, within limits
    made: float = field(default_factory=time.time)  # Unix time
    about: RowView = field(default_factory=dict)  # as in JobView
    listed: bool = True  # in the history of its owner
    context: Context = field(default_factory=copy_context)  # of the submission: ZeroGPU finds the visitor's quota in it
    plans: tuple[Plan, ...] = field(init=False)  # of the runs
    task: str = field(init=False)
    models: tuple[str, ...] = field(init=False)  # of the runs; usually one and the same
    model: str = field(init=False)  # of the first run
    crop: Crop = field(init=False)
    square: Quad | None = field(init=False)  # as in JobView
    tab: str = field(init=False)  # key of the tab that it was submitted in, "" if it is unknown
    picture: str = field(init=False)  # see `picture_digest`
    _restarted: set[int] = field(init=False, default_factory=set)  # runs that began again

    def __post_init__(self) -> None:
        first = self.requests[0]
        self.task, self.model, self.crop = first.task, first.model, first.crop
        self.square = used_square(first.picture, first.crop)
        self.tab, self.picture = self.place.rpartition(" ")[2], picture_digest(first.picture)
        self.models = tuple(request.model for request in self.requests)
        self.plans = tuple(plan_of(request) for request in self.requests)

    @property
    def visitor(self) -> str:
        """The one whose share the job uses: an address, else a browser. A job of which nothing is known is alone."""
        return self.address or self.owner or self.key

    @property
    def waiting(self) -> bool:
        """Whether some run has not begun."""
        return any(run.state == "queued" for run in self.runs)

    @property
    def begun(self) -> bool:
        """Whether some run has begun."""
        return any(run.state != "queued" for run in self.runs)

    @property
    def over(self) -> bool:
        """Whether all runs have ended."""
        return all(run.over for run in self.runs)

    @property
    def next(self) -> int | None:
        """Index of the first run that has not begun, None if there is none."""
        return next((index for index, run in enumerate(self.runs) if run.state == "queued"), None)

    @property
    def plan(self) -> Plan | None:
        """The plan of the first run that is not over, None if there is none."""
        return next((plan for plan, run in zip(self.plans, self.runs, strict=True) if not run.over), None)

    @property
    def released(self) -> bool:
        """Whether the job is over and its uploads are forgotten."""
        return not self.requests

    def view(self) -> JobView:
        """The job as it is now, without its place in the queue and expected times."""
        return JobView(
            key=self.key,
            task=self.task,
            runs=tuple(self.runs),
            position=0,
            version=self.version,
            truth=self.truth,
            measured=self.measured,
            model=self.model,
            crop=self.crop,
            square=self.square,
            notes=self.notes,
            download=self.download,
            abandoned=self.ending == PAGE_CLOSED,
            interrupted=self.ending == INTERRUPTED,
            tab=self.tab,
            picture=self.picture,
            models=self.models,
            about=self.about,
        )

    def begin(self, index: int) -> None:
        """A queued run begins."""
        self._replace(index, replace(self.runs[index], state="running", stage="loading the model"))

    def cancel(self, why: str = "Cancelled") -> None:
        """Drop the queued runs, and ask those that have begun to stop. why: begins their messages."""
        if self.cancelled:
            return
        self.cancelled, self.ending = True, why
        for index, run in enumerate(self.runs):
            if run.state == "queued":
                self._replace(index, replace(run, state="cancelled", message=f"{why} before it started."))

    def note_download(self, progress: tuple[int, int] | None) -> None:
        """Record bytes done and in all of the model's file, None if it is not being downloaded any more."""
        self.version += 1
        self.download = progress

    def take(self, index: int, event: Event, stopped: bool = False) -> None:
        """Record an event of a run. stopped: the run was asked to stop before the event."""
        run = self.runs[index]
        if isinstance(event, Ready):
            self.truth, self.measured, self.notes = event.truth, event.measured, event.notes
            self._replace(index, replace(run, stage="starting"))
        elif isinstance(event, Progress):
            self._replace(index, _advanced(run, event))
        else:
            message = f"{self.ending}: this is the best picture so far." if stopped else event.message
            self._replace(index, _finished(run, event, "cancelled" if stopped else "done", message))

    def fail(self, index: int, message: str) -> None:
        """Mark a run as failed, with the reason."""
        self._replace(index, replace(self.runs[index], state="failed", stage="", message=message))

    def restart(self, index: int, *, blameless: bool = False) -> bool:
        """Queue a run again whose process has ended. Returns False if that happened to it before: it has to fail.

        blameless: the process did not end in this run, which was suspended there. That does not count.
        """
        if self.cancelled or (index in self._restarted and not blameless):
            return False
        self._restarted |= set() if blameless else {index}
        old = self.runs[index]
        self._replace(index, RunView(old.method, old.label, budget=old.budget, message=RESTARTED))
        return True

    def _replace(self, index: int, run: RunView) -> None:
        """Put the new state of a run in place of the old one, as a new version of the job."""
        self.version += 1
        self.runs[index] = replace(run, version=self.version)


def _advanced(run: RunView, event: Progress) -> RunView:
    """The run after one more step."""
    if event.stage != run.stage:
        run = replace(run, stage_began=event.seconds)
    if event.image is not None:
        run = replace(run, image=event.image, row=event.row)
    if event.report is not None:
        run = replace(run, report=event.report)
    track = _tracked(run, event.row, event.seconds)
    return replace(run, stage=event.stage, step=event.step, total=event.total, seconds=event.seconds, track=track)


def _finished(run: RunView, event: Finished, state: State, message: str) -> RunView:
    """The run with its result."""
    seconds = event.row["seconds"]
    return replace(
        run,
        state=state,
        stage="",
        image=event.image,
        row=event.row,
        curves=event.curves,
        message=message,
        seconds=seconds,
        track=_tracked(run, event.row, seconds),
        report=event.report,
    )


def _tracked(run: RunView, row: RowView | None, seconds: float) -> tuple[tuple[float, float], ...]:
    """The run's track, with one more point if the row has a PSNR."""
    psnr = None if row is None else row.get("psnr")
    return run.track if psnr is None else (*run.track, (seconds, psnr))
