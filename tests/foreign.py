"""Public checkpoints in small: every layout's keys from its manifest, with a quarter of the channels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from inversion.parity.fill import Filler

GOLDENS = Path(__file__).parent / "goldens"
MANIFESTS = {path.stem: path for path in sorted((GOLDENS / "manifests").glob("*.json"))}
EQUALISED = ("rosinality", "nvidia", "genforce", "mgan", "idinvert_g", "psp_full_32_decoder")
BINOMIAL = {3: (1.0, 2.0, 1.0), 4: (1.0, 3.0, 3.0, 1.0)}


def manifest(name: str) -> dict[str, tuple[list[int], str]]:
    """Keys, shapes and types of a published network."""
    return json.loads(MANIFESTS[name].read_text(encoding="utf-8"))


def meta(name: str) -> dict[str, Tensor]:
    """A published network's tensors in full size, without their values."""
    return {
        key: torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        for key, (shape, dtype) in manifest(name).items()
    }


@cache
def _small(name: str, channels: bool) -> dict[str, Tensor]:
    shapes = {
        key: (_quarter(shape) if channels and not key.endswith("noise_const") else shape, dtype)
        for key, (shape, dtype) in manifest(name).items()
    }
    tensors = Filler()(shapes, "equalised" if name.startswith(EQUALISED) else "plain")
    for key, (shape, dtype) in manifest(name).items():
        leaf = key.rsplit(".", 1)[-1]
        if leaf in ("kernel", "resample_filter"):
            row = torch.tensor(BINOMIAL[shape[-1]])
            tensors[key] = torch.outer(row, row).expand(shape) / 16.0
        elif key not in tensors:
            tensors[key] = torch.zeros(shape, dtype=getattr(torch, dtype))
    return tensors


def small(name: str, prefix: str = "", channels: bool = True) -> dict[str, Tensor]:
    """A published network's tensors, filled as the goldens are; a quarter of the channels unless told otherwise."""
    return {prefix + key: value.clone() for key, value in _small(name, channels).items()}


def _quarter(shape: Sequence[int]) -> list[int]:
    """Divide the dimensions that count channels, not pixels or pictures, by four."""
    counts = {0, 1}
    if len(shape) == 3:
        counts = {0}
    elif len(shape) == 5:
        counts = {1, 2}
    elif len(shape) == 4 and (tuple(shape[:2]) == (3, 3) or (tuple(shape[:2]) == (1, 1) and shape[-1] == 3)):
        counts = {2, 3}  # kernels stored (height, width, in, out)
    return [max(1, (n + 3) // 4) if i in counts and n not in (1, 3, 6, 19) else n for i, n in enumerate(shape)]
