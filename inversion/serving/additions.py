"""Model files that visitors of the page add and remove. The host decides whether they may."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from inversion.checkpoints import own
from inversion.checkpoints.own import Facts, Phase
from inversion.checkpoints.places import folder
from inversion.checkpoints.registry import CROPS, Kind
from inversion.encoders import ROLES
from inversion.serving.runs import LaneError
from inversion.tasks import TASKS
from inversion.translations import TRANSLATIONS

__all__ = ["CROPS", "MAX_BYTES", "SUFFIXES", "Adding", "Additions", "Facts", "Upload", "roles"]

SUFFIXES = (".safetensors", ".pt", ".pth", ".pkl", ".ckpt", ".bin", ".npy", ".npz")
MAX_BYTES = 2 * 2**30  # of one file
SPARE = 1 << 28  # bytes of the disk that stay free
OFF = "Adding files is switched off on this page. Start the hub on your own computer to use your own models."


def roles() -> dict[str, str]:
    """What an encoder may be for: keys of `Model.encoders`, and their labels."""
    tasks = {kind.encoder_role: kind.label for kind in TASKS.values() if kind.encoder_role}
    return {**ROLES, **tasks, **{key: one.label for key, one in TRANSLATIONS.items()}}


@dataclass(frozen=True)
class Upload:
    """A file to add. generator: the model that an encoder or a direction belongs to."""

    path: Path
    kind: Kind = "generator"
    generator: str | None = None
    facts: Facts = Facts()


@dataclass(frozen=True)
class Adding:
    """A file that is being added. seconds: since the start. name: of its entry; "" until it is added, or if cancelled.

    over: the last view.
    """

    phase: Phase
    seconds: float
    name: str = ""
    over: bool = False


class _Cancelled(Exception):
    """The visitor has left or cancelled."""


class Additions:
    """Adds files by the safe child, one at a time for each visitor. Methods are thread-safe.

    allowed: False if others share the page, because a file takes disk and memory of all users.
    """

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed
        self._stops: dict[str, threading.Event] = {}  # by visitor

    def add(self, visitor: str, upload: Upload, every: float = 0.25) -> Iterator[Adding]:
        """Views of the addition, once in `every` seconds; closing the iterator cancels it.

        The uploaded file is deleted at the end. Raises UserError.
        """
        self._check_name(upload.path)
        stop = self._stops[visitor] = threading.Event()
        try:
            _check_size(upload.path)
            yield from _views(upload, stop, every)
        finally:
            self._stops.pop(visitor, None)
            upload.path.unlink(missing_ok=True)

    def cancel(self, visitor: str) -> bool:
        """End the addition of the visitor. False if there is none."""
        stop = self._stops.get(visitor)
        if stop is not None:
            stop.set()
        return stop is not None

    def remove(self, name: str) -> list[str]:
        """Remove one of the added files and everything that belongs to it. The names of all. Raises UserError."""
        if not self.allowed:
            raise LaneError(OFF)
        return own.remove_file(name)

    def _check_name(self, path: Path) -> None:
        """Raises LaneError for a file that is not an upload of a checkpoint."""
        if not self.allowed:
            raise LaneError(OFF)
        if not path.is_file():
            raise LaneError("The upload has expired. Choose the file again.")
        if path.suffix.lower() not in SUFFIXES:
            raise LaneError(f"{path.name} is no checkpoint. Choose a file that ends in {', '.join(SUFFIXES)}.")


def _check_size(path: Path) -> None:
    """Raises LaneError for a file that is too large, or for which the disk has no room."""
    size, here = path.stat().st_size, folder()
    if size > MAX_BYTES:
        limit = f"{MAX_BYTES >> 30} GB"
        raise LaneError(f"{path.name} is larger than {limit}. Add it on the command line, with --model FILE.")
    place = next(parent for parent in (here, *here.parents) if parent.exists())
    if shutil.disk_usage(place).free < size + SPARE:
        raise LaneError(f"The disk is too full for {path.name}. Free {(size + SPARE) >> 20} MB in {place}.")


def _views(upload: Upload, stop: threading.Event, every: float) -> Iterator[Adding]:
    """Views of the addition until it is over or `stop` is set. Raises UserError."""
    began, phase = time.monotonic(), _Phase(stop)
    with ThreadPoolExecutor(1, thread_name_prefix="add-file") as pool:
        job = pool.submit(own.add_file, upload.path, upload.kind, upload.generator, upload.facts, phase)
        try:
            while not job.done():
                yield Adding(phase.now, time.monotonic() - began)
                wait([job], every)
            yield Adding(phase.now, time.monotonic() - began, _name(job), over=True)
        finally:
            stop.set()  # the pool waits for the thread


class _Phase:
    """The phase of a conversion, as its progress reports it; ends it if `stop` is set."""

    def __init__(self, stop: threading.Event) -> None:
        self.now: Phase = "reading"
        self._stop = stop

    def __call__(self, phase: Phase) -> None:
        self.now = phase
        if self._stop.is_set():
            raise _Cancelled


def _name(job: Future[str]) -> str:
    """The name of the added entry, "" if the addition was cancelled. Raises UserError."""
    try:
        return job.result()
    except _Cancelled:
        return ""
