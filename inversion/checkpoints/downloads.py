"""Files on their way from the Hub: one thread a file, shared by all who ask for it, beside the device and not on it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from inversion.checkpoints import fetch
from inversion.checkpoints.registry import HubError, registry

log = logging.getLogger(__name__)

EVERY = 0.25  # seconds between two notes of progress


@dataclass(frozen=True)
class Download:
    """A download at one moment, in bytes; `total` is 0 while nobody knows it. `message`: what went wrong."""

    name: str
    state: Literal["running", "done", "failed", "cancelled"] = "running"
    done: int = 0
    total: int = 0
    message: str = ""


@dataclass
class _Work:
    """A download's state and who wants it; to be touched under the lock only."""

    view: Download
    askers: set[str] = field(default_factory=set)


class _Unwanted(Exception):
    """Everybody who asked for the file has left."""


class Downloads:
    """The files that are being fetched, and how the last attempt for each ended. Every method is thread-safe.

    changed: called, in the download's thread, with every new state.
    """

    def __init__(self, changed: Callable[[Download], None] = lambda _: None) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._work: dict[str, _Work] = {}

    @staticmethod
    def missing(name: str) -> bool:
        """Whether the file of the entry has to be downloaded before it can be used. Asks no network."""
        entry = registry().get(name)
        return entry is not None and entry.file is None and fetch.cached(entry) is None

    def start(self, name: str, asker: str) -> None:
        """Download the entry's file for `asker`, also in place of a damaged one, or join the download that is going on.

        Raises HubError.
        """
        if name not in registry():
            raise HubError(f"unknown entry {name!r}: see `python -m inversion models`")
        with self._lock:
            work = self._work.get(name)
            if work is None or work.view.state != "running" or not work.askers:
                work = self._work[name] = _Work(Download(name))
                threading.Thread(target=self._fetch, args=(work,), name=f"download-{name}", daemon=True).start()
            work.askers.add(asker)

    def leave(self, name: str, asker: str) -> None:
        """`asker` does not want the file any more; the download ends when nobody does."""
        with self._lock:
            if name in self._work:
                self._work[name].askers.discard(asker)

    def view(self, name: str) -> Download | None:
        """The entry's download as it is now or as it ended, None where there was none."""
        with self._lock:
            work = self._work.get(name)
            return None if work is None else work.view

    def wanted(self, name: str, asker: str) -> bool:
        """Whether the file is being downloaded for `asker`."""
        with self._lock:
            work = self._work.get(name)
            return work is not None and work.view.state == "running" and asker in work.askers

    def _fetch(self, work: _Work) -> None:
        """The download's thread."""
        name = work.view.name
        noted = -EVERY

        def progress(done: int, total: int) -> None:
            nonlocal noted
            with self._lock:
                if not work.askers:
                    raise _Unwanted
            if time.monotonic() - noted >= EVERY:
                noted = time.monotonic()
                self._note(work, Download(name, "running", done, total))

        try:
            path = fetch.fetch(registry()[name], progress, renew=True)
            size = path.stat().st_size
            self._note(work, Download(name, "done", size, size))
        except _Unwanted:
            self._note(work, Download(name, "cancelled", message="Cancelled."))
        except HubError as error:
            self._note(work, Download(name, "failed", message=str(error)))
        except Exception as error:
            log.exception("could not download %s", name)
            text = (
                f"{name}: the download stopped with an unexpected {type(error).__name__}. The server's log says more."
            )
            self._note(work, Download(name, "failed", message=text))

    def _note(self, work: _Work, view: Download) -> None:
        with self._lock:
            work.view = view
            current = self._work[view.name] is work  # not one that was left and started anew
        if current:
            self._changed(view)
