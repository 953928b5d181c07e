"""Removes what killed processes have left in the caches: half downloads, and half conversions."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from inversion.checkpoints import registry
from inversion.checkpoints.places import folder
from inversion.checkpoints.store import is_unlocked
from inversion.checkpoints.transfer import blobs_of, lock_of
from inversion.common.errors import UserError

HALF = re.compile(r".+\.[0-9a-f]{8}\.incomplete")  # as `store.write` and `transfer` name them, and the Hub's own tools
CONVERSION = re.compile(r"\.[0-9a-f]{64}\.safetensors\..+")  # a folder, as `convert.convert` names it
IDLE = 600.0  # seconds without a byte, after which a download that holds no lock is over
CONVERTED_WITHIN = 3600.0  # seconds; a conversion ends after 10 minutes
MOST = 1000  # files that a sweep removes


def sweep() -> int:
    """Remove half downloads of registered files and half conversions. Returns their number. Raises nothing.

    A download that goes on in another process stays: it holds its lock, and its file changes.
    """
    removed = 0
    try:
        for path, age in (*_downloads(), *_conversions()):
            if removed >= MOST:
                break
            removed += _remove(path, age)
    except (UserError, OSError):  # a list or a folder that cannot be read: the page says so, or needs none
        return removed
    return removed


def _downloads() -> Iterator[tuple[Path, float]]:
    """Half downloads of the registry's repositories that nobody holds a lock for, and the age from which they are."""
    entries = registry.read_entries(registry.REGISTRY).values()  # without the user's own, which may be damaged
    for blobs in {blobs_of(entry) for entry in entries if entry.repo_id is not None}:
        for path in blobs.glob("*.incomplete"):
            blob = path.with_name(path.name[: -len(".12345678.incomplete")])
            if HALF.fullmatch(path.name) and is_unlocked(lock_of(blob)):
                yield path, IDLE


def _conversions() -> Iterator[tuple[Path, float]]:
    """Half files and folders of the folder of derived files, and the age from which they are left over."""
    here = folder()
    for path in here.iterdir() if here.is_dir() else ():
        if HALF.fullmatch(path.name) or CONVERSION.fullmatch(path.name):
            yield path, CONVERTED_WITHIN


def _remove(path: Path, age: float) -> bool:
    """Remove a file or a folder that is older than `age`. A link is removed itself, not where it leads."""
    try:
        if time.time() - path.lstat().st_mtime < age:
            return False
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:  # gone, or not ours
        return False
    return True
