"""Downloads from the Hub: one thread per file, shared by all requesters, independent of the device."""

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

INTERVAL = 0.25  # seconds between two reports of progress


@dataclass(frozen=True)
class Download:
    """A download at one moment, in bytes. `total` is 0 if it is unknown. `message`: why it failed."""

    name: str
    state: Literal["running", "done", "failed", "cancelled"] = "running"
    done: int = 0
    total: int = 0
    message: str = ""


@dataclass
class _Work:
    """A download's state and its requesters. Access only while holding the lock."""

    view: Download
    requesters: set[str] = field(default_factory=set)


class _Unwanted(Exception):
    """All requesters have left."""


class Downloads:
    """The running downloads, and the last finished download of each file. Every method is thread-safe.

    changed: called with every new state, in the download's thread, without any lock.
    """

    def __init__(self, changed: Callable[[Download], None] = lambda _: None) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._work: dict[str, _Work] = {}

    @staticmethod
    def missing(name: str) -> bool:
        """Whether the file of the entry has to be downloaded before it can be used. Uses no network."""
        entry = registry().get(name)
        return entry is not None and entry.file is None and fetch.cached(entry) is None

    def start(self, name: str, requester: str) -> None:
        """Download the file of an entry, or join its running download. Replaces a damaged file.

        Raises HubError for an unknown entry. Other failures show in `view`.
        """
        if name not in registry():
            raise HubError(f"There is no entry {name!r}. See `python -m inversion models`.")
        with self._lock:
            work = self._work.get(name)
            if work is None or work.view.state != "running" or not work.requesters:
                work = self._work[name] = _Work(Download(name))
                threading.Thread(target=self._fetch, args=(work,), name=f"download-{name}", daemon=True).start()
            work.requesters.add(requester)

    def leave(self, name: str, requester: str) -> None:
        """End the interest of a requester; a download without requesters is cancelled."""
        with self._lock:
            if name in self._work:
                self._work[name].requesters.discard(requester)

    def view(self, name: str) -> Download | None:
        """The running or last finished download of an entry. None if there was none."""
        with self._lock:
            work = self._work.get(name)
            return None if work is None else work.view

    def wanted(self, name: str, requester: str) -> bool:
        """Whether the file is being downloaded for this requester."""
        with self._lock:
            work = self._work.get(name)
            return work is not None and work.view.state == "running" and requester in work.requesters

    def _fetch(self, work: _Work) -> None:
        """The download's thread."""
        name = work.view.name
        noted = -INTERVAL

        def progress(done: int, total: int) -> None:
            nonlocal noted
            with self._lock:
                if not work.requesters:
                    raise _Unwanted
            if time.monotonic() - noted >= INTERVAL:
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
        except BaseException:  # after any error, the jobs that wait for the file must end
            log.exception("could not download %s", name)
            text = f"{name}: the download stopped with an unexpected error. See the server's log."
            self._note(work, Download(name, "failed", message=text))

    def _note(self, work: _Work, view: Download) -> None:
        with self._lock:
            work.view = view
            current = self._work[view.name] is work  # False if a newer download has replaced it
        if current:
            self._changed(view)
