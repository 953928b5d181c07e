"""Freed memory is kept during a process and returned at the end of a run. Settled objects can still be freed."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import weakref

from inversion.common.memory import collect, return_freed_memory, settle

SCRIPT = """
import resource, torch
from inversion.common.memory import keep_freed_memory
kept = keep_freed_memory()
for turn in range(30):
    torch.ones(10_000_000)
    if turn == 9:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_a_freed_tensor_costs_no_page_faults() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    kept, faults = done.stdout.split()
    assert (kept == "True") == (platform.libc_ver()[0] == "glibc")
    assert kept == "False" or int(faults) < 50_000  # each of 20 tensors has 10,000 pages
    return_freed_memory()


class Ring:
    """An object that is in a cycle."""

    def __init__(self) -> None:
        self.own = self


def test_garbage_among_settled_objects_is_freed() -> None:
    old = Ring()
    gone, kept = weakref.ref(old), gc.get_freeze_count()
    try:
        settle()
        del old
        gc.collect()
        assert gone() is not None
        collect()
        assert gone() is None
        assert gc.get_freeze_count() > kept
    finally:
        gc.unfreeze()
