"""Downloads one file of the Hub into its cache, where it appears only when it is complete and its hash is right.

Bytes come over plain HTTPS with huggingface_hub's session, addresses, tokens and settings (HF_ENDPOINT, HF_HUB_CACHE,
HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT). The loop is our own because hf_hub_download checks the length only, shows a
file before it can be hashed, and waits more than a minute for a silent server.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from inversion.checkpoints.registry import BadCheckpoint, Entry, HubError
from inversion.checkpoints.store import digests, expected, file_lock, key_of, learnt_path

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

Progress = Callable[[int, int], None]  # bytes done, bytes in total (0 if unknown)

ATTEMPTS = 3  # in a row without a new byte
PAUSE = 1.0  # seconds between attempts


def download(entry: Entry, progress: Progress | None) -> Path:
    """Download the entry's file into the Hub's cache. Raises HubError or BadCheckpoint, and any error of `progress`."""
    if entry.file is not None:
        raise BadCheckpoint(f"{entry.name}: {entry.file} is missing: {how_to_get(entry)}")
    if entry.repo_id is None:
        raise HubError(f"{entry.name}: it is not on the Hub: {how_to_get(entry)}")
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url

    if constants.is_offline_mode():
        raise HubError(f"{entry.name}: {entry.filename} is not on this machine, and downloads are off (HF_HUB_OFFLINE)")
    repo_id, filename, kind = entry.repo_id, entry.filename or "", entry.repo_type
    url = hf_hub_url(repo_id, filename, repo_type=kind, revision=entry.revision)
    with _hub_errors(entry):
        metadata = get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        size = _stated_size(entry, metadata)
        blobs = blobs_of(entry)
        blobs.mkdir(parents=True, exist_ok=True)
        _receive(entry, url, blobs / str(metadata.etag), size, progress)
        # The bytes are complete. This only links them into the cache, as the Hub's own tools do.
        return Path(hf_hub_download(repo_id, filename, repo_type=kind, revision=entry.revision))


def blobs_of(entry: Entry) -> Path:
    """The folder in the Hub's cache for the contents of the entry's repository."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"{entry.repo_type}s--{str(entry.repo_id).replace('/', '--')}" / "blobs"


def lock_of(blob: Path) -> Path:
    """The lock to hold while a file of `blobs_of` is written, the same as of the Hub's own tools."""
    return blob.parents[2] / ".locks" / blob.parent.parent.name / f"{blob.name}.lock"


def how_to_get(entry: Entry) -> str:
    """The instruction for getting the entry's file, or for getting it again, as a clause of a message."""
    if entry.file is not None:
        return "get the repository again with all its files"
    if entry.own:
        return "add the file again, with `--model FILE` or in the Models tab"
    if entry.repo_id is None:
        command = f"python -m inversion convert {entry.filename or 'FILE'} --as {entry.name}"
        return f"download it manually from {entry.source}, then run `{command}`"
    return f"download it again in the Models tab, or with `python -m inversion models --pull {entry.name}`"


def _changed(entry: Entry) -> str:
    """The remedy for an unexpected file on the Hub, as the end of a message."""
    if entry.sha256 is not None:
        return "it is not loaded; its entry in checkpoints.yaml must be updated"
    return f"it is not loaded; if you trust the new file, delete {key_of(entry)} from {learnt_path()}"


def _stated_size(entry: Entry, metadata: HfFileMetadata) -> int:
    """Bytes that the server states, 0 if unknown. Raises HubError before the first byte of a wrong file."""
    if not metadata.commit_hash or not re.fullmatch(r"[\w.-]+", metadata.etag or ""):
        raise HubError(
            f"{entry.name}: the answer is not from the Hub (no commit or etag): check HF_ENDPOINT and proxies"
        )
    sha256, size = expected(entry)
    stated = metadata.etag if re.fullmatch("[0-9a-f]{64}", metadata.etag or "") else None  # large files' etag
    if (size and metadata.size and metadata.size != size) or (sha256 and stated and stated != sha256):
        raise BadCheckpoint(f"{entry.name}: {entry.filename} of {entry.repo_id} has changed: {_changed(entry)}")
    return metadata.size or size or 0


def _receive(entry: Entry, url: str, blob: Path, size: int, progress: Progress | None) -> None:
    """Download to `blob`, which appears only when it is complete and has the right hash."""
    from huggingface_hub import constants

    with file_lock(lock_of(blob)):
        for left in blob.parent.glob(f"{blob.name}.*.incomplete"):  # of a process that was killed
            left.unlink(missing_ok=True)
        wanted = expected(entry)[0] or (blob.name if len(blob.name) == 64 else None)  # large files' etag is their hash
        if blob.is_file():
            if wanted in (None, digests.of(blob)):
                return  # another process has downloaded it in the meantime
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
                    f"{entry.name}: {entry.filename} arrived with the wrong sha256 ({sha256[:12]}..., not "
                    f"{str(wanted)[:12]}...): {_changed(entry)}"
                )
            os.replace(partial, blob)
        finally:
            partial.unlink(missing_ok=True)
        digests.note(blob, sha256)


def _stream(entry: Entry, url: str, file: BinaryIO, size: int, progress: Progress | None) -> str:
    """Write the file and return its sha256. Continues by Range after a broken connection."""
    running, furthest, failures = hashlib.sha256(), 0, 0
    while True:
        try:
            for chunk in _body(url, file):
                if not file.tell() and chunk.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
                    raise BadCheckpoint(f"{entry.name}: the server sent a web page instead of {entry.filename}")
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
    """The missing part of the file; all of it, with `file` emptied, if the server ignores Range."""
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
        yield from response.iter_bytes()  # as they arrive: a chunk of fixed size would be lost with the connection


@contextmanager
def _hub_errors(entry: Entry) -> Iterator[None]:
    """Turn every failure of the connection to the Hub into one HubError, a line that names the entry."""
    from huggingface_hub import errors

    place = f"{entry.filename} from {entry.repo_id}"
    try:
        yield
    except HubError:
        raise
    except errors.GatedRepoError:
        reason = f"is gated: accept its terms at https://huggingface.co/{entry.repo_id}, then run `hf auth login`"
    except errors.RepositoryNotFoundError:
        reason = "is missing or private: if you have access, run `hf auth login` first"
    except errors.RevisionNotFoundError:
        reason = f"is missing: the repository has no revision {entry.revision}"
    except errors.LocalEntryNotFoundError:
        reason = "cannot be downloaded: check the network connection"
    except errors.EntryNotFoundError:
        reason = f"is missing at revision {entry.revision}"
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        refused = status in (401, 403)
        reason = "is not open to you: run `hf auth login`, or ask its owner" if refused else f"failed (status {status})"
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "does not fit: the disk is full" if full else f"cannot be written ({error.strerror or error})"
    except Exception as error:
        if not _is_transport(error):
            raise
        late = any(kind.__name__ == "TimeoutException" for kind in type(error).__mro__)
        problem = "the server does not answer" if late else "check the network connection"
        reason = f"cannot be downloaded: {problem}"
    else:
        return
    raise HubError(f"{entry.name}: {place} {reason}") from None


def _is_transport(error: Exception) -> bool:
    """Whether a connection failed. The classes are those of the HTTP library that huggingface_hub uses."""
    return any(kind.__name__ == "TransportError" for kind in type(error).__mro__)
