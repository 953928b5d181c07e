"""Shared by all trainers: processes, learning rate, log, resumable checkpoints, and the loop itself.

A trainer defines its data, its networks and its loss; `run` runs the loop. The folder of a run holds ``state.pt`` (the
checkpoint), ``log.jsonl`` (one JSON object a line) and the networks that the trainer exports at the end.
"""

from __future__ import annotations

import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor, nn

from inversion.checkpoints.converted import HEADER
from inversion.common.commands import make_folder
from inversion.training.muon import Group, Muon
from inversion.training.options import TrainingError, TrainOptions

CHECKPOINT, LOG = "state.pt", "log.jsonl"

State = dict[str, Any]  # what torch saves: tensors and numbers by name, nested


class Processes:
    """The processes of a run: the rank of this one, their count, and its device. By default there is only this one."""

    def __init__(self, accelerator: Accelerator | None = None) -> None:
        self._accelerator = accelerator
        self.rank: int = 0 if accelerator is None else accelerator.process_index
        self.count: int = 1 if accelerator is None else accelerator.num_processes
        self.device: torch.device = torch.device("cpu") if accelerator is None else accelerator.device

    @classmethod
    def launched(cls) -> Processes:
        """The processes that ``accelerate launch`` started, or this one, on CUDA if there is a device."""
        return cls(Accelerator(cpu=not torch.cuda.is_available()))

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any of the processes; all processes get the same answer."""
        return float(self._reduce(torch.tensor(float(flag), device=self.device), "sum")) > 0

    def average_gradients(self, network: nn.Module) -> None:
        """Average the gradients over the processes; parameters without a gradient stay without one."""
        if self.count == 1:
            return
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        flat = self._reduce(torch.cat([g.flatten() for g in grads]), "mean")
        for g, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            g.copy_(part.view_as(g))

    def muon(self, parameters: Iterable[nn.Parameter] | Iterable[Group], lr: float) -> Muon:
        """A Muon optimiser whose matrix updates are shared out among the processes."""
        return Muon(parameters, lr=lr, rank=self.rank, world=self.count, reduce=lambda x: self._reduce(x, "sum"))

    def _reduce(self, x: Tensor, how: str) -> Tensor:
        return x if self._accelerator is None else self._accelerator.reduce(x, how)


class Clock:
    """Seconds since a run started or resumed, and its time limit in minutes."""

    def __init__(self, minutes: float) -> None:
        self.minutes = minutes
        self._started, self._cpu_started = time.monotonic(), time.process_time()

    @property
    def seconds(self) -> float:
        """Wall-clock time in seconds."""
        return time.monotonic() - self._started

    @property
    def cpu_seconds(self) -> float:
        """Processor time of this process in seconds."""
        return time.process_time() - self._cpu_started

    @property
    def is_over(self) -> bool:
        """Whether the time limit has passed."""
        return self.seconds > self.minutes * 60


def decay_factor(progress: float, decay: float) -> float:
    """Factor of the learning rate: 1, then linearly to 0 over the last part `decay` of the run; progress in [0, 1]."""
    return min(1.0, max(0.0, (1 - progress) / decay))


def ramp_factor(step: int, length: float) -> float:
    """Factor of the learning rate that grows linearly to 1 over the first `length` steps."""
    return min(1.0, (step + 1) / length)


class Stateful(Protocol):
    """A network or an optimiser."""

    def state_dict(self) -> State:
        """The tensors and numbers by name."""

    def load_state_dict(self, state: State, /) -> object:
        """Take over what `state_dict` returned."""


def save_checkpoint(path: Path, state: State) -> None:
    """Write a checkpoint beside the old one, then replace it: a stopped process never leaves half a file."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def load_checkpoint(path: Path) -> State:
    """Read a checkpoint to the CPU, without running code from the file. Raises OSError if it is missing."""
    state: State = torch.load(path, map_location="cpu", weights_only=True)
    return {name.replace("judge", "discriminator"): part for name, part in state.items()}  # older files say "judge"


def halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU in float16; batch-norm statistics keep their type, because they could overflow."""
    kept = ("running_mean", "running_var", "num_batches_tracked")
    return {k: v.cpu().contiguous() if k.endswith(kept) else v.cpu().half().contiguous() for k, v in tensors.items()}


def save_network(path: Path, tensors: dict[str, Tensor], header: Mapping[str, object] | None = None) -> None:
    """Write a network as float16 safetensors in a folder that may be new. Raises OSError.

    header: what the tensors do not show.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(halved(tensors), str(path), None if header is None else {HEADER: json.dumps(header)})


class Trainer(ABC):
    """A stage of training: its networks, data and loss. `steps` counts the updates so far."""

    steps: int = 0
    every: int  # steps between two lines of the log, each with a checkpoint
    averages: bool = False  # the log holds means since its last line; else the last step's losses

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether the run has reached its length."""

    @abstractmethod
    def step(self, rng: torch.Generator) -> dict[str, float]:
        """Draw a batch with rng and make one update. Returns the losses and adds 1 to `steps`."""

    @abstractmethod
    def progress(self) -> dict[str, float]:
        """The counters that a line of the log starts with."""

    @abstractmethod
    def examine(self) -> dict[str, float]:
        """Figures on held-out examples; called in the main process only."""

    @abstractmethod
    def state(self) -> State:
        """The content of the checkpoint."""

    @abstractmethod
    def load(self, state: State) -> None:
        """Resume from a checkpoint of the same settings. Raises KeyError or RuntimeError for another one."""

    def resume(self, folder: Path) -> bool:
        """Load the checkpoint of a run's folder; False if there is none. Raises TrainingError if it does not fit."""
        path = folder / CHECKPOINT
        if not path.exists():
            return False
        try:
            self.load(load_checkpoint(path))
        except (KeyError, RuntimeError, ValueError):
            raise TrainingError(f"{path} belongs to a run with other settings. Choose another --out.") from None
        return True


def run(trainer: Trainer, options: TrainOptions, processes: Processes, clock: Clock | None = None) -> bool:
    """Train until the trainer has finished (True) or the time is over (False); log and save on the way.

    Random draws depend on the seed, the rank of the process and the step at which the run starts or resumes.
    """
    clock = clock or Clock(options.minutes)
    make_folder(options.out)
    rng = torch.Generator().manual_seed(options.seed + 1000 * processes.rank + trainer.steps)
    losses: list[dict[str, float]] = []
    while not trainer.finished:
        losses.append(trainer.step(rng))
        over = processes.any(clock.is_over)
        if trainer.steps % trainer.every == 0 or over or trainer.finished:
            if processes.is_main:
                _record(trainer, options.out, losses, clock)
            losses = []
        if over:
            return False
    return True


def _record(trainer: Trainer, folder: Path, losses: Sequence[dict[str, float]], clock: Clock) -> None:
    """Append a line to the log and write the checkpoint."""
    row = trainer.progress() | losses[-1]
    if trainer.averages:
        row |= {name: sum(one[name] for one in losses) / len(losses) for name in losses[-1]}
    row |= {"cpu_s": clock.cpu_seconds, "wall_s": clock.seconds}
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(json.dumps(row | trainer.examine()) + "\n")
    save_checkpoint(folder / CHECKPOINT, trainer.state())
