"""The peak memory of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import torch

from inversion.common.memory import return_freed_memory

PEAK, NOW = "VmHWM", "VmRSS"


def peak_of(call: Callable[[], object], device: torch.device) -> float | None:
    """Megabytes that the call needs at its peak beyond what is allocated before it. None if the system cannot tell."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    return_freed_memory()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Linux: the peak starts at the present value
    except OSError:
        call()
        return None
    before = memory(NOW)
    call()
    return (memory(PEAK) - before) / 1e6


def memory(kind: str) -> int:
    """This process's memory in bytes, PEAK or NOW, as Linux counts it. ru_maxrss would include the parent's."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return int(status[kind].split()[0]) * 1024


def tree(pid: int) -> list[int]:
    """A process and its descendants, on Linux."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            parents[int(folder.name)] = int((folder / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:  # grows meanwhile
        found += [other for other, parent in parents.items() if parent == one]
    return found


def pss(pids: Iterable[int]) -> float:
    """Megabytes of memory of processes; shared pages count once."""
    size = 0
    for one in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii").splitlines()
            size += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return size / 1e3
