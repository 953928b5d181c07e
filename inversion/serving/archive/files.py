"""Files that are either whole or not there."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

PART = ".part"  # ending of a file that is being written


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside `path`, bring it to the disk, then move it there. Raises OSError."""
    part = path.with_name(path.name + PART)
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk; Windows does that by itself. Raises OSError."""
    if sys.platform == "win32":
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def remove(folder: Path) -> None:
    """Remove a folder with its files, as far as that is possible."""
    shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path, known: Collection[tuple[str, str]]) -> None:
    """Remove everything below `folder` but the files (folder, name) that are known."""
    folders = {name for name, _ in known}
    for inner in folder.iterdir():
        if inner.name not in folders:
            remove(inner)
            continue
        for file in inner.iterdir():
            if (inner.name, file.name) not in known:
                with suppress(OSError):
                    file.unlink()
