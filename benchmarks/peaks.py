"""The peak memory of a call."""

from __future__ import annotations

from collections.abc import Callable
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
