"""The file of an entry: embedded, in the Hub's cache, or downloaded into it; nothing unchecked is ever visible there.

Bytes come over plain HTTPS with huggingface_hub's session, addresses, tokens and settings (HF_ENDPOINT, HF_HUB_CACHE,
HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT). The loop is our own, because hf_hub_download looks at the length alone, shows
a file before anybody could hash it, and waits more than a minute for a server that says nothing.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from inversion.checkpoints.registry import ROOT, BadCheckpoint, Entry, HubError

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

Progress = Callable[[int, int], None]  # bytes done, bytes in all (0 while unknown)
Mark = tuple[str, int, int] | None  # a file's path, bytes and time of change: equal as long as it is the same file

CHUNK = 1 << 20
ATTEMPTS = 3  # in a row that bring nothing new
PAUSE = 1.0  # seconds between attempts

_locks: dict[str, threading.Lock] = {}
_digests: dict[Mark, str] = {}
_faults: dict[str, tuple[Mark, str]] = {}


def cached(entry: Entry) -> Path | None:
    """Where the entry's file lies, None if it is not at hand. Reads no file and asks no network.

    Of a file that was got by hand this is the converted copy.
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
    from huggingface_hub import constants, try_to_load_from_cache  # not at import: the embedded models do without

    found = try_to_load_from_cache(
        entry.repo_id, entry.filename or "", constants.HF_HUB_CACHE, entry.revision, entry.repo_type
    )
    return Path(found) if isinstance(found, str) else None


def mark(entry: Entry) -> Mark:
    """What tells the entry's file from another one that takes its place; None if it is not at hand."""
    path = cached(entry)
    try:
        return None if path is None else _mark(path)
    except OSError:  # it went between the two looks
        return None


def damage(entry: Entry) -> str:
    """What this process has found wrong with the entry's file, by a load or a check; "" if nothing. Reads no file."""
    seen, fault = _faults.get(entry.name, (None, ""))
    return fault if seen == mark(entry) else ""


def fetch(entry: Entry, progress: Progress | None = None, renew: bool = False) -> Path:
    """The entry's file, downloaded if it is not at hand; its size and sha256 have been found right.

    `progress(done, total)` is called with bytes while it downloads; an exception that it raises ends the download and
    leaves nothing behind. `renew` replaces a cached file that is damaged, which is refused otherwise. Raises HubError,
    and BadCheckpoint where there is a file but not the registered one.
    """
    with _locks.setdefault(entry.name, threading.Lock()):
        path = cached(entry)
        if path is not None and renew and entry.repo_id is not None and _fault(entry, path):
            _discard(path)
            path = None
        if path is None:
            path = _obtain(entry, progress)
        fault = _fault(entry, path)
        if fault:
            raise BadCheckpoint(f"{entry.name}: {path.name} {fault}: {_remedy(entry)}")
        if entry.repo_id is not None and expected(entry)[0] is None:
            learn(entry, digest(path), path.stat().st_size)
        return path


def verify(entry: Entry) -> str:
    """`ok`, `not cached`, or what is wrong with the entry's file or with its converted copy."""
    path = cached(entry)
    if path is None:
        return "not cached" if entry.file is None else f"{entry.file} is missing"
    fault = _fault(entry, path)
    if fault:
        return f"{path.name} {fault}: {_remedy(entry)}"
    copy = path if entry.by_hand else converted(digest(path))
    if copy.is_file() and not intact(copy):
        return f"its converted copy {copy.name} is damaged: {'convert it again' if entry.by_hand else 'delete it'}"
    return "ok"


def expected(entry: Entry) -> tuple[str | None, int | None]:
    """sha256 and size that the file must have: the registered ones, else those of the first download, else None."""
    if entry.sha256 is not None or entry.file is not None:
        return entry.sha256, entry.bytes
    known = _learnt().get(_key(entry), {})
    return known.get("sha256"), entry.bytes or known.get("bytes")


def size_of(entry: Entry) -> int | None:
    """Bytes of the entry's file as far as anybody knows, to be shown; of one that is at hand, what lies there."""
    path = None if entry.by_hand else cached(entry)
    return entry.bytes if path is None else path.stat().st_size


def learn(entry: Entry, sha256: str, size: int) -> None:
    """Keep what the first file of an entry without a registered hash was, beside the cache."""
    with _locked(_store() / "learnt.json.lock"):
        known = {**_learnt(), _key(entry): {"sha256": sha256, "bytes": size}}
        _write(_store() / "learnt.json", json.dumps(known, indent=1, sort_keys=True).encode())


def converted(sha256: str) -> Path:
    """Where the converted copy of the file with this hash lies or will lie."""
    return _store() / f"{sha256}.safetensors"


def seal(path: Path) -> None:
    """Put down the hash of a converted copy beside it."""
    _write(path.with_suffix(".sha256"), digest(path).encode())


def intact(path: Path) -> bool:
    """Whether a converted copy is at hand and as it was sealed; hashed once per process."""
    sealed = path.with_suffix(".sha256")
    return path.is_file() and sealed.is_file() and sealed.read_text(encoding="ascii", errors="replace") == digest(path)


def digest(path: Path) -> str:
    """sha256 of a file, read once per process as long as the file stays the same."""
    key = _mark(path)
    if key not in _digests:
        with path.open("rb") as file:
            running = hashlib.sha256()
            while chunk := file.read(CHUNK):
                running.update(chunk)
        _digests[key] = running.hexdigest()
    return _digests[key]


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time works on what `name` stands for."""
    with _locked(_store() / f"{name}.lock"):
        yield


# --- download ---


def _obtain(entry: Entry, progress: Progress | None) -> Path:
    """Download the entry's file, or say why that cannot be."""
    if entry.file is not None:
        raise BadCheckpoint(f"{entry.name}: {entry.file} is missing: get the repository again with all its files")
    if entry.repo_id is None:
        raise HubError(f"{entry.name}: it is not on the Hub: {_remedy(entry)}")
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url

    if constants.is_offline_mode():
        raise HubError(f"{entry.name}: {entry.filename} is not cached and HF_HUB_OFFLINE is set: unset it to download")
    repo_id, filename, kind = entry.repo_id, entry.filename or "", entry.repo_type
    url = hf_hub_url(repo_id, filename, repo_type=kind, revision=entry.revision)
    with _in_one_line(entry):
        metadata = get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        size = _promised(entry, metadata)
        blobs = Path(constants.HF_HUB_CACHE) / f"{kind}s--{repo_id.replace('/', '--')}" / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        _receive(entry, url, blobs / str(metadata.etag), size, progress)
        # The bytes are there: this only shows them to everybody, as the Hub's own tools do.
        return Path(hf_hub_download(repo_id, filename, repo_type=kind, revision=entry.revision))


def _promised(entry: Entry, metadata: HfFileMetadata) -> int:
    """Size that the server states. Refuses, before the first byte, a file that is not the registered one."""
    if not metadata.commit_hash or not re.fullmatch(r"[\w.-]+", metadata.etag or ""):
        raise HubError(
            f"{entry.name}: what answers is not the Hub (no commit or etag): look at HF_ENDPOINT and proxies"
        )
    sha256, size = expected(entry)
    stated = metadata.etag if re.fullmatch("[0-9a-f]{64}", metadata.etag or "") else None  # large files' etag
    if (size and metadata.size and metadata.size != size) or (sha256 and stated and stated != sha256):
        raise BadCheckpoint(f"{entry.name}: {entry.filename} of {entry.repo_id} has changed: {_unlike(entry)}")
    return metadata.size or size or 0


def _receive(entry: Entry, url: str, blob: Path, size: int, progress: Progress | None) -> None:
    """Download to `blob`, which appears only when it is whole and right."""
    from huggingface_hub import constants

    lock = Path(constants.HF_HUB_CACHE) / ".locks" / blob.parent.parent.name / f"{blob.name}.lock"  # as the Hub's tools
    with _locked(lock):
        for left in blob.parent.glob(f"{blob.name}.*.incomplete"):  # of a process that was killed
            left.unlink(missing_ok=True)
        wanted = expected(entry)[0] or (blob.name if len(blob.name) == 64 else None)  # large files' etag is their hash
        if blob.is_file():
            if wanted in (None, digest(blob)):
                return  # somebody else has got it in the meantime
            blob.unlink()
        free = shutil.disk_usage(blob.parent).free
        if free < size:
            raise HubError(
                f"{entry.name}: the disk is too full: {size:,} bytes are needed in {constants.HF_HUB_CACHE}, "
                f"{free:,} are free"
            )
        partial = blob.with_name(f"{blob.name}.{uuid.uuid4().hex[:8]}.incomplete")
        try:
            with partial.open("xb") as file:
                sha256 = _stream(entry, url, file, size, progress)
                file.flush()
                os.fsync(file.fileno())
            if wanted not in (None, sha256):
                raise BadCheckpoint(
                    f"{entry.name}: {entry.filename} arrived with another sha256 ({sha256[:12]}..., not "
                    f"{str(wanted)[:12]}...): {_unlike(entry)}"
                )
            os.replace(partial, blob)
        finally:
            partial.unlink(missing_ok=True)
        _digests[_mark(blob)] = sha256


def _stream(entry: Entry, url: str, file: BinaryIO, size: int, progress: Progress | None) -> str:
    """Write the file and return its sha256; goes on by Range where a connection broke off."""
    running, furthest, failures = hashlib.sha256(), 0, 0
    while True:
        try:
            for chunk in _body(url, file):
                if not file.tell() and chunk.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
                    raise BadCheckpoint(f"{entry.name}: the server sent a web page in place of {entry.filename}")
                if not file.tell():
                    running = hashlib.sha256()
                running.update(chunk)
                file.write(chunk)
                if size and file.tell() > size:
                    raise BadCheckpoint(f"{entry.name}: {entry.filename} is longer than {size:,} bytes")
                if progress is not None:
                    progress(file.tell(), size)
        except Exception as error:
            failures = failures + 1 if file.tell() <= furthest else 1
            furthest = max(furthest, file.tell())
            if not _is_transport(error) or failures >= ATTEMPTS:
                raise
            time.sleep(PAUSE)
            continue
        if size and file.tell() < size:
            raise BadCheckpoint(f"{entry.name}: {entry.filename} ended after {file.tell():,} of {size:,} bytes")
        return running.hexdigest()


def _body(url: str, file: BinaryIO) -> Iterator[bytes]:
    """What is missing of the file, or all of it where the server does not do parts: then `file` starts again."""
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if file.tell():
        headers["Range"] = f"bytes={file.tell()}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
        hf_raise_for_status(response)
        if response.status_code != 206:
            file.seek(0)
            file.truncate()
        yield from response.iter_bytes()  # as they come: a chunk that is waited for is lost when the connection breaks


@contextmanager
def _in_one_line(entry: Entry) -> Iterator[None]:
    """Whatever goes wrong on the way to the Hub becomes one line that names the entry."""
    from huggingface_hub import errors

    place = f"{entry.filename} from {entry.repo_id}"
    try:
        yield
    except HubError:
        raise
    except errors.GatedRepoError:
        reason = f"is gated: accept its terms at https://huggingface.co/{entry.repo_id}, then `hf auth login`"
    except errors.RepositoryNotFoundError:
        reason = "is missing or private: if you have access, `hf auth login` first"
    except errors.RevisionNotFoundError:
        reason = f"is missing: the repository has no revision {entry.revision}"
    except errors.LocalEntryNotFoundError:
        reason = "cannot be had: is there a network?"
    except errors.EntryNotFoundError:
        reason = f"is missing there at revision {entry.revision}"
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        refused = status in (401, 403)
        reason = "is not open to you: `hf auth login`, or ask its owner" if refused else f"failed (status {status})"
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "does not fit: the disk is full" if full else f"cannot be written ({error.strerror or error})"
    except Exception as error:
        if not _is_transport(error):
            raise
        late = any(kind.__name__ == "TimeoutException" for kind in type(error).__mro__)
        reason = "does not come: the server does not answer" if late else "cannot be had: is there a network?"
    else:
        return
    raise HubError(f"{entry.name}: {place} {reason}") from None


def _is_transport(error: Exception) -> bool:
    """A connection that failed: huggingface_hub raises the classes of whichever HTTP library it was built on."""
    return any(kind.__name__ == "TransportError" for kind in type(error).__mro__)


# --- on disk ---


def _fault(entry: Entry, path: Path) -> str:
    """What is wrong with a file, "" if nothing is; kept for `damage`."""
    fault = _compared(entry, path)
    _faults[entry.name] = (mark(entry), fault)
    return fault


def _compared(entry: Entry, path: Path) -> str:
    if entry.by_hand:
        return "" if intact(path) else "is damaged"
    sha256, size = expected(entry)
    try:
        found = path.stat().st_size
        if size is not None and found != size:
            return f"is not the registered file ({found:,} bytes, not {size:,})"
        if sha256 is not None and digest(path) != sha256:
            return f"is not the registered file (sha256 {digest(path)[:12]}..., not {sha256[:12]}...)"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


def _mark(path: Path) -> Mark:
    path = path.resolve()
    state = path.stat()
    return str(path), state.st_size, state.st_mtime_ns


def _remedy(entry: Entry) -> str:
    if entry.file is not None:
        return "get the repository again"
    if entry.repo_id is None:
        command = f"python -m inversion convert {entry.filename or 'FILE'} --as {entry.name}"
        return f"download by hand from {entry.source}, then `{command}`"
    return f"get it again in the Models tab, or with `python -m inversion models --pull {entry.name}`"


def _unlike(entry: Entry) -> str:
    """What to do about a file that is another one than it was."""
    if entry.sha256 is not None:
        return "it is not loaded; the registry has to be looked over"
    return f"it is not loaded; if you trust the new one, delete {_key(entry)} from {_store() / 'learnt.json'}"


def _discard(path: Path) -> None:
    """Remove a cached file with the blob that it points to."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _store() -> Path:
    """Folder for what we keep beside the Hub's cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / "inversion-hub"


def _key(entry: Entry) -> str:
    return f"{entry.name}@{entry.revision or 'by hand'}"


def _learnt() -> dict[str, dict[str, Any]]:
    """What was learnt at first downloads: {"name@revision": {"sha256": ..., "bytes": ...}}."""
    path = _store() / "learnt.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise HubError(f"{path} is damaged: delete it, and the next downloads are taken as the first") from None


def _write(path: Path, data: bytes) -> None:
    """Write a small file so that nobody sees half of it."""
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.incomplete")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    from huggingface_hub.utils import WeakFileLock

    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(WeakFileLock(path))
        except OSError as error:
            raise _unwritable(path, error) from None
        yield


def _unwritable(path: Path, error: OSError) -> HubError:
    return HubError(f"cannot write to {path.parent} ({error.strerror}): set HF_HUB_CACHE to a folder where you may")
