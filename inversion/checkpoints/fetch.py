"""The file of an entry: embedded, cached, or downloaded into the Hub's cache; always checked before it is used."""

from __future__ import annotations

import threading
from pathlib import Path

from inversion.checkpoints.registry import ROOT, BadCheckpoint, Entry, HubError
from inversion.checkpoints.store import Mark, converted, digests, expected, intact, learn, mark_of
from inversion.checkpoints.transfer import Progress, download, how_to_get


class Checks:
    """The last check of each entry's file in this process, and a lock for each entry."""

    def __init__(self) -> None:
        self._faults: dict[str, tuple[Mark | None, str]] = {}
        self._locks: dict[str, threading.Lock] = {}

    def lock(self, entry: Entry) -> threading.Lock:
        """The lock to hold while the entry's file is fetched."""
        return self._locks.setdefault(entry.name, threading.Lock())

    def note(self, entry: Entry, fault: str) -> None:
        """Keep the result of a check: the fault of the file, "" if there is none."""
        self._faults[entry.name] = (mark(entry), fault)

    def fault(self, entry: Entry) -> str:
        """The fault that the last check found; "" if there is none, or if the file has changed since."""
        seen, fault = self._faults.get(entry.name, (None, ""))
        return fault if seen == mark(entry) else ""

    def clear(self) -> None:
        """Forget all results."""
        self._faults.clear()


checks = Checks()


def cached(entry: Entry) -> Path | None:
    """The entry's local file, for a manual download its converted copy. None if it is missing.

    Reads no file and uses no network.
    """
    if entry.file is not None:
        path = ROOT / entry.file
        return path if path.is_file() else None
    if entry.repo_id is None:
        try:
            sha256, _ = expected(entry)
        except HubError:
            return None
        return converted(sha256) if sha256 is not None and converted(sha256).is_file() else None
    from huggingface_hub import constants, try_to_load_from_cache  # imported here: embedded models do not need it

    found = try_to_load_from_cache(
        entry.repo_id, entry.filename or "", constants.HF_HUB_CACHE, entry.revision, entry.repo_type
    )
    return Path(found) if isinstance(found, str) else None


def mark(entry: Entry) -> Mark | None:
    """A value that changes when the entry's file is replaced. None if the file is missing."""
    path = cached(entry)
    try:
        return None if path is None else mark_of(path)
    except OSError:  # removed between the two calls
        return None


def damage(entry: Entry) -> str:
    """The fault that this process has found in the entry's file, by a load or a check; "" if none. Reads no file."""
    return checks.fault(entry)


def note(entry: Entry, fault: str) -> None:
    """Keep a fault that shows only when the entry's file is used, for `damage`."""
    checks.note(entry, fault)


def fetch(entry: Entry, progress: Progress | None = None, renew: bool = False) -> Path:
    """The entry's file, downloaded if it is missing. Its size and sha256 are as registered.

    `progress(done, total)` is called with bytes during a download; an exception from it ends the download and leaves
    nothing behind. `renew` downloads a damaged cached file again, which is refused otherwise. Raises HubError, and
    BadCheckpoint if the file is not the registered one.
    """
    with checks.lock(entry):
        path = cached(entry)
        if path is not None and renew and entry.repo_id is not None and _check(entry, path):
            _discard(path)
            path = None
        if path is None:
            path = download(entry, progress)
        fault = _check(entry, path)
        if fault:
            raise BadCheckpoint(f"{entry.name}: {path.name} {fault}: {how_to_get(entry)}")
        if entry.repo_id is not None and expected(entry)[0] is None:
            learn(entry, digests.of(path), path.stat().st_size)
        return path


def verify(entry: Entry) -> str:
    """Check the entry's file and its converted copy: "ok", "not cached", or a description of the fault."""
    path = cached(entry)
    if path is None:
        return "not cached" if entry.file is None else f"{entry.file} is missing"
    fault = _check(entry, path)
    if fault:
        return f"{path.name} {fault}: {how_to_get(entry)}"
    copy = path if entry.by_hand else converted(digests.of(path))
    if copy.is_file() and not intact(copy):
        return f"its converted copy {copy.name} is damaged: {'convert it again' if entry.by_hand else 'delete it'}"
    return "ok"


def size_of(entry: Entry) -> int | None:
    """Bytes of the entry's file, for display: of the local file, else as registered, else None. Raises OSError."""
    path = None if entry.by_hand else cached(entry)
    return entry.bytes if path is None else path.stat().st_size


def _check(entry: Entry, path: Path) -> str:
    """The fault of a file, "" if there is none; kept for `damage`."""
    fault = _fault(entry, path)
    checks.note(entry, fault)
    return fault


def _fault(entry: Entry, path: Path) -> str:
    if entry.by_hand:
        return "" if intact(path) else "is damaged"
    sha256, size = expected(entry)
    try:
        found = path.stat().st_size
        if size is not None and found != size:
            return f"is not the registered file ({found:,} bytes, not {size:,})"
        if sha256 is not None and digests.of(path) != sha256:
            return f"is not the registered file (sha256 {digests.of(path)[:12]}..., not {sha256[:12]}...)"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


def _discard(path: Path) -> None:
    """Remove a cached file together with the blob that it links to."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
