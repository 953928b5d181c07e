"""The memory of this process: that of the C library, and Python's garbage collector.

An optimisation step allocates and frees the same large tensors again and again. By default, glibc returns their pages
to the system each time, and the system fills them with zeros when they come back.
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8  # of mallopt, from glibc's malloc.h
CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
MOST_KEPT = 2**31 - 1  # bytes of freed memory


def keep_freed_memory() -> bool:
    """Reuse freed memory for the next tensors. Call it before the first thread starts. False without glibc."""
    try:
        options = ((MMAP_THRESHOLD, MOST_KEPT // 2), (TRIM_THRESHOLD, MOST_KEPT), (ARENA_MAX, 1))
        done = [ctypes.CDLL(None).mallopt(*option) for option in options]
        return all(done)
    except (AttributeError, OSError, TypeError):  # another C library; on Windows, None names no library
        return False


def return_freed_memory() -> None:
    """Return all freed memory to the system, as after the end of a run. Does nothing without glibc."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return


def settle() -> None:
    """Let the garbage collector skip all objects that exist now.

    A pass over the 800,000 objects of the page and its models stops all threads for 0.6 s. `collect` looks at all.
    """
    gc.collect()
    gc.freeze()


def collect() -> None:
    """Free all garbage, such as models that were dropped. Settled objects that are still in use stay settled."""
    settled = gc.get_freeze_count() > 0
    gc.unfreeze()
    gc.collect()
    if settled:
        gc.freeze()


@lru_cache(maxsize=1)
def machine_memory() -> float:
    """Bytes of main memory that this process may use: of the machine or of its container; inf if they are unknown."""
    sizes = [math.inf]
    if sys.platform != "win32":
        with suppress(ValueError, OSError):  # unknown
            sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in CGROUP:
        with suppress(OSError, ValueError):  # none, or "max"
            sizes.append(int(path.read_text(encoding="ascii")))
    return min(sizes)
