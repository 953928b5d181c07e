"""The folder of `--results`: runs that survive the server, within limits of bytes and age.

    archive = Archive(Path("results"), Limits())
    archive.add(job)                     # when it is submitted; `keep` and `release` as of `Store`
    archive.job(key), archive.result(key, 0), archive.requests(key)

A job is a folder `runs/KEY` and an entry of `index.sqlite`. Its files are written first, each beside its name, and
moved there when it is whole; then the entry names them. A file that no entry names is never read. So a server that is
killed between any two steps leaves the state before the change. A new server removes the files without an entry, and
marks the runs that were interrupted.

Files are written by a thread of their own. If that fails, results stay in memory, and `problem` says why.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import logging
import queue
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from inversion import images
from inversion.common.echo import printable
from inversion.common.rows import Row, RowView
from inversion.serving.archive import files, records
from inversion.serving.archive.index import ArchiveError, Entry, Index
from inversion.serving.archive.records import Parts, Read
from inversion.serving.archive.reports import report_parts
from inversion.serving.jobs import FINAL, INTERRUPTED, Job, StoredResult, UnknownJob
from inversion.serving.limits import Limits
from inversion.serving.runs import Finished, Request

THUMBNAIL = 96  # pixels a side
BACKLOG = 64  # writes that may wait; each holds a result in memory
GONE = "The run is no longer kept. Run it again."
INTERRUPTION = "The server stopped before this run ended."

DAMAGE = (sqlite3.Error, ValueError, TypeError, KeyError, AttributeError)  # what a damaged list raises

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """A write: the new state of a job, and files and thumbnails to add."""

    key: str
    record: Row
    parts: Parts = field(default_factory=dict)
    thumbnails: Mapping[str, np.ndarray] = field(default_factory=dict)
    over: bool = False


class Archive:
    """Runs on disk. Thread-safe; `add`, `keep` and `release` only note what to write.

    clock: Unix time. Raises ArchiveError if the folder cannot be used.
    """

    def __init__(self, folder: Path, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self.limits, self._clock = limits, clock
        self.problem = ""  # why the last write failed, for users; "" if it did not
        self._runs = folder / "runs"
        try:
            self._runs.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ArchiveError(f"{folder}: {error.strerror}. Choose another folder for --results") from None
        path = folder / "index.sqlite"
        try:
            self._index = Index(path)
            self._salt = self._index.fact("salt", secrets.token_hex(16))
            self._recover()
        except DAMAGE as error:
            why = printable(str(error))
            raise ArchiveError(f"{path}: it is broken ({why}). Move it away, or choose another folder") from None
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(BACKLOG)
        self._thread = threading.Thread(target=self._write, name="archive", daemon=True)
        self._thread.start()

    # ---- what the store notes

    def add(self, job: Job) -> None:
        """Note a job that a browser submitted and its history lists; others are not kept."""
        if not (job.owner and job.listed):
            return
        rows, parts = records.request_record(job.requests)
        entry = Entry(job.key, self._hash(job.owner), self._hash(job.visitor), job.made, job.made, False, {})
        thumbnails = {"input": job.requests[0].picture}
        change = Change(job.key, {**records.job_record(job), "requests": rows}, parts, thumbnails)
        self._later(partial(self._save, change, entry))

    def keep(self, job: Job, index: int, event: Finished) -> None:
        """Note the result of a run."""
        parts = records.measured_parts(job) | records.result_parts(index, event.image, event.code, event.weights)
        parts |= {} if event.report is None else report_parts(event.report, index)
        first = job.truth if job.truth is not None else job.measured
        thumbnails = {f"run-{index}": event.image} | ({} if first is None else {"input": first})
        self._later(partial(self._save, Change(job.key, records.job_record(job), parts, thumbnails)))

    def release(self, job: Job) -> None:
        """Note that a job is over."""
        self._later(partial(self._save, Change(job.key, records.job_record(job), over=True)))

    def forget(self, keys: list[str]) -> None:
        """Remove jobs; returns when they are removed."""
        done = threading.Event()
        self._later(partial(self._remove, keys))
        self._later(done.set)
        done.wait(timeout=30)

    def flush(self) -> None:
        """Wait until everything noted so far is written."""
        self.forget([])

    def close(self) -> None:
        """Write what is noted, and let another server use the folder."""
        self._queue.put(None)
        self._thread.join(timeout=60)
        self._index.close()

    # ---- what the session reads

    def job(self, key: str) -> Job:
        """A job that is over. Raises UnknownJob."""
        entry = self._entry(key)
        if not entry.over:
            raise UnknownJob(GONE)
        self._later(partial(self._index.touch, key, self._clock()))
        return self._opened(lambda read: records.read_job(key, entry.record, read, entry.files), entry)

    def result(self, key: str, index: int) -> StoredResult:
        """The result of a run. Raises UnknownJob."""
        entry, name = self._entry(key), f"run-{index}.safetensors"
        if f"run-{index}.png" not in entry.files:
            raise UnknownJob(GONE)

        def opened(read: Read) -> StoredResult:
            code, weights = records.read_tensors(read(name)) if name in entry.files else (None, None)
            image = images.unpacked_png(read(f"run-{index}.png"))
            return StoredResult(code, weights, entry.record["models"][index], image, entry.record["runs"][index]["row"])

        return self._opened(opened, entry)

    def requests(self, key: str) -> tuple[Request, ...]:
        """What was asked. Raises UnknownJob."""
        entry = self._entry(key)
        return self._opened(lambda read: records.read_requests(entry.record["requests"], read), entry)

    def entries(self, owner: str, limit: int) -> list[Entry]:
        """Jobs of an owner, newest first; [] if the list is damaged."""
        try:
            return self._index.of(self._hash(owner), limit) if owner else []
        except sqlite3.Error as error:
            log.warning("results: %s", error)
            return []

    def owns(self, owner: str, key: str) -> bool:
        """Whether the job is one of this owner."""
        with suppress(UnknownJob):
            return bool(owner) and self._entry(key).owner == self._hash(owner)
        return False

    def _entry(self, key: str) -> Entry:
        try:
            entry = self._index.get(key)
        except sqlite3.Error as error:
            log.warning("results: %s", error)
            raise UnknownJob("The list of kept runs is damaged. Run it again.") from None
        if entry is None:
            raise UnknownJob(GONE)
        return entry

    def _opened(self, read: Callable[[Read], T], entry: Entry) -> T:
        """What `read` makes of the files of an entry. Raises UnknownJob if one is missing or damaged."""
        folder = self._runs / entry.key

        def bytes_of(name: str) -> bytes:
            data = (folder / name).read_bytes()
            if len(data) != entry.files[name]:
                raise OSError(errno.EIO, "has a wrong size")
            return data

        try:
            return read(bytes_of)
        except Exception as error:  # decoders raise almost anything on damaged files
            log.warning("%s: %s", folder, error)
            raise UnknownJob("The files of this run are damaged. Run it again.") from None

    # ---- in the thread that writes

    def _later(self, work: Callable[[], None]) -> None:
        try:
            self._queue.put_nowait(work)
        except queue.Full:
            self._fail("the disk is too slow")

    def _write(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                work()
            except (OSError, sqlite3.Error) as error:
                full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "full" in str(error)
                self._fail("the disk is full" if full else str(getattr(error, "strerror", None) or error))
            except Exception:
                log.exception("could not keep a run")
                self._fail("of an unexpected error, see its log")

    def _save(self, change: Change, new: Entry | None = None) -> None:
        """Write the files of a change, then the entry that names them."""
        entry = self._index.get(change.key) if new is None else new
        if entry is None:  # it was removed, or its first write failed
            return
        folder = self._runs / change.key
        sizes, written = dict(entry.files), []
        try:
            if change.parts:
                folder.mkdir(exist_ok=True, mode=0o700)
            for name, make in change.parts.items():
                if name not in sizes:
                    data = make()
                    files.write_whole(folder / name, data)
                    written.append(name)
                    sizes[name] = len(data)
            if change.parts:
                files.sync_folder(folder)
                files.sync_folder(self._runs)
            record = {**entry.record, **change.record}
            thumbnails = {**entry.thumbnails, **{name: _thumbnail(one) for name, one in change.thumbnails.items()}}
            self._index.put(replace(entry, over=change.over, record=record, files=sizes, thumbnails=thumbnails))
        except BaseException:
            for name in written:
                with suppress(OSError):
                    (folder / name).unlink()
            raise
        self.problem = ""
        self.prune()

    def _remove(self, keys: list[str]) -> None:
        self._index.remove(keys)
        for key in keys:
            files.remove(self._runs / Path(key).name)

    def prune(self) -> None:
        """Remove jobs that are over: those that are too old, and the least recently used ones beyond the limits."""
        now, limits = self._clock(), self.limits
        left = {row.key: row for row in self._index.sizes()}
        ended = [row for row in left.values() if row.over]
        dropped = [row for row in ended if now - row.touched > limits.kept_age]
        owned = Counter(row.owner for row in left.values())
        for row in ended:
            if owned[row.owner] > limits.kept_each and row not in dropped:
                dropped.append(row)
            if row in dropped:
                owned[row.owner] -= 1
                del left[row.key]
        while sum(row.bytes for row in left.values()) > limits.kept_bytes:
            shares: Counter[str] = Counter()
            for row in left.values():
                shares[row.share] += row.bytes
            over = [row for row in left.values() if row.over]
            if not over:
                break
            largest = max(shares[row.share] for row in over)
            dropped.append(left.pop(next(row.key for row in over if shares[row.share] == largest)))
        if dropped:
            self._remove([row.key for row in dropped])

    def _recover(self) -> None:
        """Remove files that no entry names, and note that runs without an end were interrupted."""
        files.sweep(self._runs, self._index.files())
        for entry in self._index.open():
            runs = [_interrupted(run) for run in entry.record["runs"]]
            self._index.put(replace(entry, over=True, record={**entry.record, "runs": runs, "ending": INTERRUPTED}))
        self.prune()

    def _fail(self, why: str) -> None:
        problem = f"New results are not kept on the disk of the server, because {why}. They end with the server."
        if problem != self.problem:
            log.warning("results: %s", problem)
        self.problem = problem

    def _hash(self, secret: str) -> str:
        return hashlib.sha256(f"{self._salt} {secret}".encode()).hexdigest()


def _thumbnail(picture: np.ndarray) -> str:
    return base64.b64encode(images.thumbnail(picture, THUMBNAIL)).decode()


def _interrupted(run: RowView) -> Row:
    """A run of a job whose server has stopped."""
    return dict(run) if run["state"] in FINAL else {**run, "state": "cancelled", "stage": "", "message": INTERRUPTION}
