"""The temporary folder of a server process, and the removal of those that killed processes have left.

Everything temporary lies in one folder: uploads, results to download, half-written files. The process holds a lock in
it, which the system releases in whatever way the process ends.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

PREFIX = "inversion-hub-"
LOCK = "lock"  # a file in each folder
MOST_FOLDERS = 1000  # that a sweep looks at
LONGEST_SWEEP = 10.0  # seconds
YOUNG = 60.0  # seconds in which a new folder may not have its lock yet

_held: list[BinaryIO] = []  # open locks of this process


def use_private_folder(parent: Path | None = None) -> Path:
    """Make a folder of this process, and the place of all its temporary files. It is removed when the process ends.

    parent: where; by default the system's folder. Raises OSError.
    """
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    lock = (folder / LOCK).open("wb")
    _locked(lock)
    _held.append(lock)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    tempfile.tempdir = str(folder)
    return folder


def sweep(parent: Path | None = None) -> int:
    """Remove the folders that ended processes of this user have left in `parent`. Returns their number.

    Folders of other users, links, folders whose process runs and new folders stay. Raises nothing.
    """
    removed, end = 0, time.monotonic() + LONGEST_SWEEP
    try:
        with os.scandir(tempfile.gettempdir() if parent is None else parent) as found:
            for place, entry in enumerate(found):
                if place >= MOST_FOLDERS or time.monotonic() > end:
                    break
                removed += _is_left(entry) and _removed(Path(entry.path))
    except OSError:  # a folder that cannot be listed holds nothing of ours
        return removed
    return removed


def _is_left(entry: os.DirEntry[str]) -> bool:
    """Whether a folder is one of this user, whose process has ended."""
    if not entry.name.startswith(PREFIX):
        return False
    try:
        state = entry.stat(follow_symlinks=False)
        if not stat.S_ISDIR(state.st_mode) or (sys.platform != "win32" and state.st_uid != os.geteuid()):
            return False
        with open(Path(entry.path) / LOCK, "r+b") as lock:
            return _locked(lock)
    except FileNotFoundError:  # it has just been made, or its process was killed before it made the lock
        return time.time() - state.st_mtime > YOUNG
    except OSError:
        return False


def _removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def _locked(file: BinaryIO) -> bool:
    """Lock an open file for as long as it is open. False if another process has locked it."""
    if sys.platform == "win32":
        import msvcrt

        lock = lambda: msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # noqa: E731
    else:
        import fcntl

        lock = lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # noqa: E731
    try:
        lock()
    except OSError:
        return False
    return True
