"""Writes the networks of a training run as the half-precision safetensors files that the repository ships."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from inversion.checkpoints.store import digests
from inversion.generators import GENERATORS, architecture_of
from inversion.training.loop import load_checkpoint, save_network
from inversion.training.options import ExportOptions, TrainingError

MAIN = "stylegan2"  # the architecture of a domain's main model; others stand in the name of the file
SAMPLES = 100_000  # mapped z whose mean is w_avg


def architecture(state: dict[str, Tensor]) -> str:
    """The architecture of a generator's tensors. Raises TrainingError if it is unknown."""
    found = architecture_of(state)
    if found is None:
        raise TrainingError("The run holds no generator of a known architecture. Give the state of a generator's run.")
    return found


def generator(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A generator's tensors, with ``w_avg`` (num_ws, w_dim) measured if there is a mapping. Raises StateDictError."""
    if "w_avg" not in state:
        return state
    prior = GENERATORS[architecture(state)].from_state_dict(state)
    return state | {"w_avg": prior.measure_w_avg(SAMPLES, torch.Generator().manual_seed(0))}


def discriminator(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A discriminator's tensors; the weights (O, 3, 3) of the batch deviation are 0, as training used groups of one."""
    weight = state["conv.weight"].clone()
    weight[:, -1] = 0
    return state | {"conv.weight": weight}


def file_line(path: Path) -> str:
    """Name, bytes and sha256 of a file, as checkpoints.yaml needs them. Raises OSError."""
    return f"{path.name} bytes {path.stat().st_size} sha256 {digests.of(path)}\n"


def main(options: ExportOptions) -> None:
    """Write the generator, and the discriminator if there is one. Raises OSError, StateDictError or TrainingError."""
    state = load_checkpoint(options.state)
    made = architecture(state["average"])
    written = {"generator" if made == MAIN else made: generator(state["average"])}
    if "discriminator" in state:
        written["discriminator"] = discriminator(state["discriminator"])
    for name, tensors in written.items():
        path = options.out / f"{options.domain.replace('-', '_')}_{name}.safetensors"
        save_network(path, tensors)
        sys.stdout.write(file_line(path))
