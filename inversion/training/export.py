"""Writes what a training run reached as the half-precision safetensors files that the repository ships."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from inversion.generators.stylegan2 import StyleGAN2
from inversion.synthetic import DOMAINS
from inversion.training.faces import FACES

SAMPLES = 100_000  # mapped z whose mean is w_avg


def halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in half precision, but those that would lose their range (batch-norm statistics stay as they are)."""
    kept = ("running_mean", "running_var", "num_batches_tracked")
    return {k: v.cpu().contiguous() if k.endswith(kept) else v.cpu().half().contiguous() for k, v in tensors.items()}


def generator(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A generator's tensors, with ``w_avg`` measured where there is a mapping."""
    if "w_avg" not in state:
        return state
    prior = StyleGAN2.from_state_dict(state)
    return state | {"w_avg": prior.measure_w_avg(SAMPLES, torch.Generator().manual_seed(0))}


def discriminator(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A discriminator's tensors, blind to the deviation within a batch, which it never saw while it was trained."""
    weight = state["conv.weight"].clone()
    weight[:, -1] = 0
    return state | {"conv.weight": weight}


def main(argv: list[str] | None = None) -> None:
    """Write generator (and discriminator) of a run's ``state.pt``; prints bytes and sha256 for checkpoints.yaml."""
    parser = argparse.ArgumentParser(prog="python -m inversion train export", description=main.__doc__)
    parser.add_argument("--state", type=Path, required=True, help="state.pt of a generator or adversarial run")
    parser.add_argument("--out", type=Path, required=True, help="folder for the safetensors files")
    parser.add_argument("--domain", choices=list(DOMAINS), default=FACES, help="it names the files")
    args = parser.parse_args(argv)
    state = torch.load(args.state, map_location="cpu", weights_only=True)
    kind = "generator" if "w_avg" in state["average"] else "pggan"
    written = {kind: generator(state["average"])}
    if "judge" in state:
        written["discriminator"] = discriminator(state["judge"])
    for name, tensors in written.items():
        path = args.out / f"{args.domain.replace('-', '_')}_{name}.safetensors"
        save_file(halved(tensors), str(path))
        data = path.read_bytes()
        sys.stdout.write(f"{path.name} bytes {len(data)} sha256 {hashlib.sha256(data).hexdigest()}\n")


if __name__ == "__main__":
    main()
