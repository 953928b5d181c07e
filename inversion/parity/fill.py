"""Pseudo-weights and inputs of the golden cases: numbers that are reproducible from a text tag and a shape.

Every number is drawn from PCG64 seeded with the CRC-32 of a tag. The key of a tensor alone selects the rule that makes
it, see `affine_of`.
"""

from __future__ import annotations

import math
import zlib
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Family = Literal["equalised", "plain"]
CONSTANTS = {"kernel", "resample_filter", "truncation", "lod", "shift", "scale"}  # tensors that keep their values
CHUNK = 1 << 20  # numbers drawn at a time, so that no whole network is held in float64
BLOCK = 16  # side of a pseudo-picture's patches


def draw(tag: str, shape: Sequence[int]) -> Tensor:
    """N(0, 1) numbers of this shape, drawn in float64 and stored in float32. They depend on tag and size only."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(tag.encode("utf-8"))))
    flat = np.empty(math.prod(shape), dtype=np.float32)
    for start in range(0, flat.size, CHUNK):
        flat[start : start + CHUNK] = rng.standard_normal(min(CHUNK, flat.size - start))
    return torch.from_numpy(flat).reshape(tuple(shape))


def affine_of(key: str, shape: Sequence[int], keys: Iterable[str], family: Family) -> tuple[float, float] | None:
    """(offset, scale) of the value offset + scale * draw for a floating-point tensor. None for a constant."""
    parent, _, leaf = key.rpartition(".")
    owner = parent.rpartition(".")[2]
    lifted = 100.0 if key.startswith(("style.", "mapping.")) else 1.0  # undoes a run-time multiplier of 0.01
    if leaf in CONSTANTS:
        return None
    if leaf == "running_var":
        return 1.0, 0.1  # of |draw|
    if leaf in ("running_mean", "w_avg", "latent_avg", "noise_strength") or key.endswith("noise.weight"):
        return 0.0, 0.1
    if leaf in ("noise", "noise_const") or key.startswith("noises.noise_"):
        return 0.0, 1.0
    if leaf == "bias":
        return (1.0, 0.1) if owner in ("modulation", "affine") else (0.0, 10.0 if lifted > 1 else 0.1)
    if len(shape) <= 1:
        return (1.0, 0.1) if f"{parent}.running_mean" in keys else (0.25, 0.05)
    if family == "equalised":
        return 0.0, lifted
    if owner in ("linear", "fc"):
        return 0.0, 1.0
    return 0.0, math.sqrt(1.0 / math.prod(shape[1:]))


class Filler:
    """Fills networks. It caches up to `size` recently drawn numbers, because many networks share tensors by name.

    Several callers may get the same tensor. Do not write to it.
    """

    def __init__(self, size: int = 0) -> None:
        self._size = size
        self._cache: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._count = 0

    def __call__(self, manifest: Mapping[str, tuple[Sequence[int], str]], family: Family) -> dict[str, Tensor]:
        """Float32 tensors {key: tensor} for a manifest {key: [shape, dtype]}, without constants and counters."""
        tensors = {}
        for key, (shape, dtype) in manifest.items():
            affine = affine_of(key, shape, manifest.keys(), family) if dtype.startswith("float") else None
            if affine is not None:
                tensors[key] = self._tensor(key, tuple(shape), *affine)
        return tensors

    def _tensor(self, key: str, shape: tuple[int, ...], offset: float, scale: float) -> Tensor:
        name = (key, shape, offset, scale)
        values = self._cache.pop(name, None)
        self._count -= 0 if values is None else values.numel()
        if values is None:
            values = draw(key, shape)
            values = values.abs_() if key.endswith(".running_var") else values
            values.mul_(_single(scale))
            values = values if offset == 0 else values.add_(_single(offset))
        self._cache[name] = values
        self._count += values.numel()
        while self._count > self._size:
            self._count -= self._cache.popitem(last=False)[1].numel()
        return values


def vector_input(tag: str, shape: Sequence[int]) -> Tensor:
    """An input that looks like a latent code, N(0, 1) of this shape."""
    return draw(f"input:{tag}", shape)


def image_input(tag: str, n: int, c: int, h: int) -> Tensor:
    """An input that looks like a picture, (n, c, h, h) in [-1, 1]: patches of one colour and fine noise."""
    low = _patches(draw(f"input:{tag}/low", (n, c, h // BLOCK, h // BLOCK)))
    high = draw(f"input:{tag}/high", (n, c, h, h))
    return (low.mul_(_single(0.6)) + high.mul_(_single(0.3))).clamp_(-1.0, 1.0)


def label_input(tag: str, n: int, c: int, h: int) -> Tensor:
    """A one-hot label map (n, c, h, h): the class of a patch is the one with the largest draw."""
    low = draw(f"input:{tag}/label", (n, c, h // BLOCK, h // BLOCK))
    return _patches((low == low.amax(dim=1, keepdim=True)).float())


def _patches(low: Tensor) -> Tensor:
    return low.repeat_interleave(BLOCK, dim=2).repeat_interleave(BLOCK, dim=3)


def _single(value: float) -> float:
    """The value rounded to float32."""
    return float(np.float32(value))
