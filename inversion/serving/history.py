"""The runs of a browser: those in memory, and those on disk if there is an archive."""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import numpy as np

from inversion import images
from inversion.common.rows import RowView
from inversion.serving.archive.archive import THUMBNAIL, Archive
from inversion.serving.archive.index import Entry
from inversion.serving.jobs import INTERRUPTED, JobView, SessionError, StoredResult, UnknownJob
from inversion.serving.limits import HOUR, Limits
from inversion.serving.runs import Request
from inversion.serving.store import Store

MAX_ENTRIES = 100
MAX_SHOWN = 8  # results of an entry that have a thumbnail; a grid has more
NO_PICTURE = "The picture of this job is no longer kept. Upload it and press Run."
State = Literal["running", "done", "cancelled", "failed", "interrupted"]


@dataclass(frozen=True)
class HistoryEntry:
    """A job as its browser lists it. made: Unix time. thumbnails: the picture and the results, JPEG as base64."""

    key: str
    tab: str
    task: str
    model: str
    made: float
    state: State
    labels: tuple[str, ...]  # of the methods
    methods: tuple[str, ...]
    thumbnails: tuple[str, ...]
    picture: str  # digest
    rows: tuple[RowView, ...]  # of the results


class History:
    """What a browser has run, by its secret. Thread-safe."""

    def __init__(self, store: Store, changed: threading.Condition, limits: Limits, archive: Archive | None) -> None:
        self._store, self._changed, self._limits, self._archive = store, changed, limits, archive

    @property
    def problem(self) -> str:
        """Why new runs are not kept on disk, "" if they are or if there is no archive."""
        return "" if self._archive is None else self._archive.problem

    @property
    def ends(self) -> str:
        """How long runs are kept, in a sentence."""
        limits = self._limits
        if self._archive is None:
            minutes = f"{limits.expiry / 60:.0f} minutes"
            return f"Runs are kept for {minutes} after their last use, and end when the server restarts."
        days = f"{limits.kept_age / 24 / HOUR:.0f} days"
        return f"Your last {limits.kept_each} runs are kept on the server for {days} after their last use."

    def entries(self, owner: str, limit: int = MAX_ENTRIES) -> list[HistoryEntry]:
        """The jobs of an owner, newest first."""
        if not owner:
            return []
        with self._changed:
            own = [job for job in self._store.jobs() if job.listed and _same(job.owner, owner)]
            jobs = [(job.view(), job.made, job.released, job.requests or job.again) for job in own]
        found = {view.key: _of_view(view, made, over, asked) for view, made, over, asked in jobs}
        if self._archive is not None:
            for entry in self._archive.entries(owner, limit):
                if entry.key not in found:
                    found[entry.key] = _of_entry(entry)
        return sorted(found.values(), key=lambda one: one.made, reverse=True)[:limit]

    def forget(self, owner: str, keys: Sequence[str]) -> None:
        """Remove jobs that are over. Raises SessionError if one runs or is another browser's."""
        known = {entry.key: entry for entry in self.entries(owner)}
        for key in keys:
            if key not in known:
                raise SessionError("Only the browser that started this run can delete it.")
            if known[key].state == "running":
                raise SessionError("Cancel the run first, then delete it.")
        with self._changed:
            self._store.forget([key for key in keys if self._store.knows(key)])
        if self._archive is not None:
            self._archive.forget([*keys])

    def requests(self, key: str) -> tuple[Request, ...]:
        """What was asked, to run it again. Raises UnknownJob."""
        with self._changed:
            job = self._store.find(key) if self._store.knows(key) else None
            requests = () if job is None else job.requests or job.again
        if not requests and self._archive is not None:
            with suppress(UnknownJob):
                requests = self._archive.requests(key)
        if not requests:
            raise UnknownJob(NO_PICTURE)
        return requests

    def has(self, key: str) -> bool:
        """Whether the job is kept."""
        self.recall(key)
        with self._changed:
            return self._store.knows(key)

    def recall(self, key: str) -> None:
        """Bring a job from the disk into memory if it is only there."""
        if self._archive is None:
            return
        with self._changed:
            known = self._store.knows(key)
        if not known:
            with suppress(UnknownJob):
                job = self._archive.job(key)
                with self._changed:
                    self._store.recall(job)

    def result(self, key: str, index: int) -> StoredResult:
        """A result, from memory or from the disk. Raises UnknownJob."""
        with self._changed:
            try:
                return self._store.result(key, index)
            except UnknownJob:
                if self._archive is None:
                    raise
        result = self._archive.result(key, index)
        with self._changed:
            self._store.restore(key, index, result)
        return result

    def photo(self, key: str) -> np.ndarray:
        """The photo that a job's picture was cut from, uint8 (H, W, 3). Raises UnknownJob."""
        with self._changed:
            try:
                return self._store.photo(key)
            except UnknownJob:
                if self._archive is None:
                    raise
        return self._archive.requests(key)[0].picture


def _same(first: str, second: str) -> bool:
    return secrets.compare_digest(first.encode(), second.encode())


def _state(states: Sequence[str], over: bool, interrupted: bool) -> State:
    """The state of a job from those of its runs."""
    if not over:
        return "running"
    if interrupted:
        return "interrupted"
    return "failed" if "failed" in states else "cancelled" if "cancelled" in states else "done"


def _of_view(view: JobView, made: float, over: bool, asked: Sequence[Request]) -> HistoryEntry:
    first = view.truth if view.truth is not None else view.measured
    if first is None and asked:
        first = asked[0].picture
    pictures = [first, *(run.image for run in view.runs[:MAX_SHOWN])]
    shown = tuple(base64.b64encode(images.thumbnail(one, THUMBNAIL)).decode() for one in pictures if one is not None)
    states = [run.state for run in view.runs]
    return HistoryEntry(
        view.key,
        view.tab,
        view.task,
        view.model,
        made,
        _state(states, over, view.interrupted),
        tuple(run.label for run in view.runs),
        tuple(run.method for run in view.runs),
        shown,
        view.picture,
        tuple(run.row for run in view.runs if run.row is not None),
    )


def _of_entry(entry: Entry) -> HistoryEntry:
    record, names = entry.record, sorted(entry.thumbnails)[: 1 + MAX_SHOWN]  # "input" stands before "run-0"
    runs: Sequence[Mapping[str, object]] = record["runs"]
    return HistoryEntry(
        entry.key,
        record["tab"],
        record["task"],
        record["model"],
        entry.made,
        _state([str(run["state"]) for run in runs], entry.over, bool(record["ending"] == INTERRUPTED)),
        tuple(str(run["label"]) for run in runs),
        tuple(str(run["method"]) for run in runs),
        tuple(entry.thumbnails[name] for name in names),
        record["picture"],
        tuple(run["row"] for run in record["runs"] if run["row"] is not None),
    )
