"""Files on disk: their hashes, converted copies, and the hashes of first downloads, in the folder of `places`."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypedDict

from inversion.checkpoints.places import VARIABLE, folder
from inversion.checkpoints.registry import Entry, HubError

CHUNK = 1 << 20  # bytes read at a time
Mark = tuple[str, int, int]  # a file's path, size in bytes and time of change in ns: equal if the file is unchanged


class Learnt(TypedDict):
    """The first file of an entry without a registered hash."""

    sha256: str
    bytes: int


class Digests:
    """sha256 of files. A file is read once per process, and again only if it has changed."""

    def __init__(self) -> None:
        self._known: dict[Mark, str] = {}

    def of(self, path: Path) -> str:
        """The file's sha256 as 64 hex digits. Raises OSError."""
        mark = mark_of(path)
        if mark not in self._known:
            running = hashlib.sha256()
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    running.update(chunk)
            self._known[mark] = running.hexdigest()
        return self._known[mark]

    def note(self, path: Path, sha256: str) -> None:
        """Keep a hash that was computed while the file was written."""
        self._known[mark_of(path)] = sha256

    def clear(self) -> None:
        """Forget all hashes; files are read again."""
        self._known.clear()


digests = Digests()


def mark_of(path: Path) -> Mark:
    """A value that changes when the file is replaced or written. Raises OSError."""
    path = path.resolve()
    state = path.stat()
    return str(path), state.st_size, state.st_mtime_ns


# --- converted copies ---


def converted(sha256: str) -> Path:
    """Path of the converted copy of the file with this hash, whether it exists or not."""
    return folder() / f"{sha256}.safetensors"


def seal(path: Path) -> None:
    """Write the hash of a converted copy beside it. Raises HubError."""
    write(path.with_suffix(".sha256"), digests.of(path).encode())


def intact(path: Path) -> bool:
    """Whether a converted copy exists and is unchanged since `seal`. Raises OSError."""
    sealed = path.with_suffix(".sha256")
    if not path.is_file() or not sealed.is_file():
        return False
    return sealed.read_text(encoding="ascii", errors="replace") == digests.of(path)


# --- hashes of first downloads ---


def expected(entry: Entry) -> tuple[str | None, int | None]:
    """sha256 and bytes that the entry's file must have: registered, else those of the first download, else None.

    Raises HubError if the file of hashes is damaged.
    """
    if entry.sha256 is not None or entry.file is not None:
        return entry.sha256, entry.bytes
    known = _learnt().get(key_of(entry))
    return (None, entry.bytes) if known is None else (known["sha256"], entry.bytes or known["bytes"])


def learn(entry: Entry, sha256: str, size: int) -> None:
    """Store hash and size of the first file of an entry without a registered hash. Raises HubError."""
    with file_lock(learnt_path().with_suffix(".json.lock")):
        known = {**_learnt(), key_of(entry): Learnt(sha256=sha256, bytes=size)}
        write(learnt_path(), json.dumps(known, indent=1, sort_keys=True).encode())


def learnt_path() -> Path:
    """The file of hashes of first downloads: {"name@revision": {"sha256": ..., "bytes": ...}}."""
    return folder() / "learnt.json"


def key_of(entry: Entry) -> str:
    """The entry's key in the file of hashes of first downloads."""
    return f"{entry.name}@{entry.revision or 'by hand'}"


def _learnt() -> dict[str, Learnt]:
    path = learnt_path()
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return {key: Learnt(sha256=str(one["sha256"]), bytes=int(one["bytes"])) for key, one in known.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        raise HubError(f"{path} is damaged: delete it; the next downloads then record the hashes again") from None


# --- writing ---


def write(path: Path, data: bytes) -> None:
    """Write a small file, which is never visible in part. Raises HubError."""
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.incomplete")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock called `name` among all processes that share the cache. Raises HubError."""
    with file_lock(folder() / f"{name}.lock"):
        yield


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, created if it is missing, among processes. Raises HubError."""
    from huggingface_hub.utils import WeakFileLock

    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(WeakFileLock(path))
        except OSError as error:
            raise _unwritable(path, error) from None
        yield


def is_unlocked(path: Path) -> bool:
    """Whether no process holds the lock file `path`."""
    from huggingface_hub.utils import WeakFileLock

    if not path.is_file():
        return True
    try:
        with WeakFileLock(path, timeout=0.01):
            return True
    except OSError:  # a TimeoutError, or no permission
        return False


def _unwritable(path: Path, error: OSError) -> HubError:
    variable = VARIABLE if path.is_relative_to(folder()) else "HF_HUB_CACHE"
    return HubError(f"cannot write to {path.parent} ({error.strerror}): set {variable} to a folder that you may use")
