"""The lanes of this machine: one in this process, or several in processes of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from inversion.serving.engines.process import ProcessLane
from inversion.serving.lane import Lane


def lanes(device: str, dtype: str, count: int | None = None) -> list[Lane]:
    """Lanes for a device: one for each GPU of CUDA, each in a process; else one in this process.

    count: the number of processes instead; on the CPU, they share its cores. Raises HubError for a wrong device.
    """
    gpus = _gpus(device)
    if gpus:
        return [ProcessLane("cuda", dtype, gpu=gpus[i % len(gpus)]) for i in range(count or len(gpus))]
    if count is None:
        return [Lane(device, dtype)]
    threads = max(1, cores() // count)
    return [ProcessLane(device, dtype, threads) for _ in range(count)]


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpus(device: str) -> list[str]:
    """The GPUs of CUDA as CUDA_VISIBLE_DEVICES names them. Runs torch only if the machine may have one."""
    if device not in ("auto", "cuda"):
        return []
    # On Linux an NVIDIA driver has this file: without it there is no need to wait for torch.
    if sys.platform == "linux" and not Path("/dev/nvidiactl").exists():
        return []
    import torch

    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return (named or [str(i) for i in range(count)])[:count]
