"""Runs of methods on pictures: `invert`, `compare` and `edit`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inversion import images
from inversion.align import paste, used_square
from inversion.cli.batch import ERRORS, Batch
from inversion.cli.codes import start_of, write_files
from inversion.cli.common import require_inputs, task_inputs, write_notes, write_rows
from inversion.cli.interrupt import StopRequest
from inversion.cli.own import choose_model, options_of
from inversion.common.commands import UsageError, guarded
from inversion.common.errors import UserError
from inversion.common.names import settings_digits
from inversion.common.rows import Row
from inversion.common.settings import split_settings
from inversion.methods import parse_method
from inversion.serving.lane import Lane
from inversion.serving.measurement import crop
from inversion.serving.runs import CroppedPicture, Finished, LaneError, Progress, Ready, Request

if TYPE_CHECKING:
    from tqdm import tqdm


class Added(NamedTuple):
    """More fields of a row, and more pictures of the sheet."""

    fields: Row
    pictures: Sequence[np.ndarray] = ()


AfterRun = Callable[[Lane, Request, Finished, "Path | None"], Added]  # called with each result and its picture's path

SECONDS, SECONDS_IN_FILE = 0.1, 5.0  # between two states of a progress bar


class Runs:
    """The runs of some methods on the pictures of a command.

    then: called after each run. optional: methods that the model cannot run are skipped, not refused.
    """

    def __init__(
        self, args: argparse.Namespace, methods: Sequence[str], then: AfterRun | None = None, *, optional: bool = False
    ) -> None:
        self.args, self.then, self.optional = args, then, optional
        self.settings = settings_of(args, methods)
        self.lane = Lane(args.device, args.dtype)
        self.batch = Batch(args, len(methods))
        self.start = start_of(args)
        for method in self.settings:  # so that a wrong setting is refused once, not for each picture
            self.lane.check(self._request(method, np.zeros((8, 8, 3), np.uint8)))
        self._lacking: dict[str, str] | None = None  # methods that cannot run, and why
        self._printed: set[str] = set()

    def report(self, after: Callable[[Row], None] = lambda _: None, *, as_list: bool = False) -> int:
        """Do the runs and print their rows. after: called with each row of the table, to say more.

        as_list: the JSON is a list, also for one picture. Returns the exit status; raises UserError.
        """

        def show(rows: list[Row]) -> None:
            write_rows(rows, self.args)
            for row in rows:
                after(row)

        return self.batch.report(self._picture, show, as_list=as_list)

    def _picture(self, path: Path) -> Iterator[Row]:
        """The rows of a picture. After an interruption, the methods that are left are not run."""
        self._printed.clear()
        try:
            requests = self.requests(path)
        except ERRORS as error:
            yield self.batch.failure(path, error)
            return
        sheet: list[np.ndarray] = []
        try:
            for request in requests:
                try:
                    yield self._row(path, request, sheet)
                except ERRORS as error:
                    yield self.batch.failure(path, error, request.method)
                if self.batch.stop.signal is not None:
                    return
        finally:  # if a method fails, the results before it are saved
            self.batch.outputs.sheet(path, self.args.task, sheet)

    def _row(self, path: Path, request: Request, sheet: list[np.ndarray]) -> Row:
        """Do a run and save its picture and its row. The pictures are added to the sheet."""
        outputs, stop = self.batch.outputs, self.batch.stop
        with stop.postponed():
            ready, finished = self.run(request)
            interrupted = stop.signal is not None
            row: Row = {**finished.row, "picture": str(path), "message": finished.message}
            row |= {"interrupted": interrupted, "error": ""}
            digits = settings_digits(row, (array.tobytes() for array in _arrays(request.inputs)))
            image = outputs.save({**row, "picture": path.stem, "settings": digits}, finished.image)
            row["image"] = None if image is None else str(image)
            if image is not None:
                row |= write_files(image, self.lane, request, finished, nvidia=self.args.nvidia)
                square = used_square(request.picture, request.crop)
                if square is not None:
                    outputs.beside(image, "_pasted.png", paste(request.picture, square, finished.image))
            added = Added({}) if self.then is None else self.then(self.lane, request, finished, image)
            row |= added.fields
            outputs.record(row, image)
        sheet += [] if sheet else [p for p in (ready.truth, ready.measured) if p is not None]
        sheet += [finished.image, *added.pictures]
        return row

    def run(self, request: Request) -> tuple[Ready, Finished]:
        """Do a run, with a progress bar for each stage on stderr. It ends early if the command is to stop.

        Raises UserError.
        """
        return follow(self.lane, request, self.batch.stop, lambda notes: write_notes(notes, self._printed))

    def requests(self, path: Path) -> list[Request]:
        """One request per method that the model can run. Prints the note of the crop, if any, on stderr.

        Raises UserError.
        """
        args, decoded = self.args, images.decode(path)
        picture, notes = np.asarray(decoded.picture), [*decoded.notes]
        inputs = task_inputs(args, path, decoded, notes)
        require_inputs(args.task, inputs, "--{} FILE")
        part = crop(picture, args.model, args.align, args.face)
        if part.note:
            sys.stderr.write(f"{part.note}\n")
        requests = [
            replace(self._request(method, picture), inputs=inputs, crop=part, notes=tuple(notes))
            for method in self.settings
        ]
        for request in requests:
            self.lane.check(request)
        lacking = self._unavailable()
        return [request for request in requests if request.method not in lacking]

    def _request(self, method: str, picture: np.ndarray) -> Request:
        """The request for a method and a picture, as the arguments say, without the inputs of the task."""
        args = self.args
        return Request(
            task=args.task,
            method=method,
            picture=picture,
            model=args.model,
            settings=self.settings[method],
            seed=args.seed,
            measured=args.measured,
            budget=args.budget,
            options=options_of(args),
            start=self.start,
        )

    def _unavailable(self) -> Mapping[str, str]:
        """The methods that the model cannot run, and why. Raises UsageError if there are any that are not optional."""
        if self._lacking is None:
            methods = {method: parse_method(method) for method in self.settings}
            options = options_of(self.args)
            self._lacking = self.lane.unavailable(self.args.model, methods, self.start, options)
            reasons = [f"{method} cannot run: {reason}" for method, reason in self._lacking.items()]
            if reasons and not (self.optional and len(reasons) < len(methods)):
                raise UsageError("; ".join(reasons))
            for reason in reasons:
                sys.stderr.write(f"{reason}\n")
        return self._lacking


def follow(
    lane: Lane, request: Request, stop: StopRequest, show: Callable[[Sequence[str]], object], *, bars: bool = True
) -> tuple[Ready, Finished]:
    """Do a run. It ends early if `stop` has a signal. show: called with the notes. bars: whether to show progress.

    Raises UserError.
    """
    events = lane(request)
    ready: Ready | None = None
    event = next(events)
    with _Bars(request.method, hidden=not bars) as shown:
        while not isinstance(event, Finished):
            if isinstance(event, Ready):
                ready = event
                show(event.notes)
            else:
                shown.show(event)
            event = events.send(stop.signal is not None or None)
    if ready is None:
        raise LaneError(f"{request.method} ended without a result")
    return ready, event


def follow_all(
    lane: Lane, requests: Sequence[Request], stop: StopRequest, *, bars: bool = True
) -> Iterator[tuple[Request, tuple[Ready, Finished] | UserError]]:
    """Do runs until one is interrupted: each request with its result, or with the reason why it has none."""
    for request in requests:
        outcome: tuple[Ready, Finished] | UserError
        try:
            with stop.postponed():
                outcome = follow(lane, request, stop, lambda notes: None, bars=bars)
        except UserError as error:
            outcome = error
        yield request, outcome
        if stop.signal is not None:
            return


class _Bars:
    """A progress bar for each stage of a run: on stderr, or as a widget in a notebook."""

    def __init__(self, method: str, *, hidden: bool = False) -> None:
        self.method, self.stage, self.hidden = method, "", hidden
        self.bar: tqdm | None = None

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def show(self, event: Progress) -> None:
        """Show a step."""
        if self.bar is None or event.stage != self.stage:
            from tqdm.auto import tqdm

            self.__exit__()
            self.stage = event.stage
            seconds = SECONDS if sys.stderr.isatty() or "ipykernel" in sys.modules else SECONDS_IN_FILE
            name = f"{self.method}: {event.stage}"
            self.bar = tqdm(total=event.total, desc=name, file=sys.stderr, mininterval=seconds, disable=self.hidden)
        self.bar.update(event.step - self.bar.n)


def guarded_runs(
    command: str, args: argparse.Namespace, methods: Sequence[str], *, optional: bool = False, as_list: bool = False
) -> int:
    """Choose the model, do the runs and print their rows. Returns the exit status of the command."""

    def run() -> int:
        choose_model(args)
        return Runs(args, methods, optional=optional).report(as_list=as_list)

    return guarded(command, run)


def _arrays(inputs: Mapping[str, object]) -> list[np.ndarray]:
    """The masks and pictures among the inputs of a task."""
    pixels = (value.pixels if isinstance(value, CroppedPicture) else value for value in inputs.values())
    return [one for one in pixels if isinstance(one, np.ndarray)]


def settings_of(args: argparse.Namespace, methods: Sequence[str]) -> dict[str, dict[str, object]]:
    """The settings of each method: the preset and the --set values for its stages.

    Raises UsageError, or SettingError if no method has the stage.
    """
    values: dict[str, object] = {}
    for text in args.settings:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageError(f"--set needs stage.field=VALUE, not {text!r}")
        values[name] = value
    known = {method: parse_method(method) for method in methods}
    given = split_settings({key: [stage.key for stage in method.stages] for key, method in known.items()}, values)
    return {key: method.changed(args.preset, given[key]) for key, method in known.items()}
