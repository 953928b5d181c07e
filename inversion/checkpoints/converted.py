"""Converted files: one safetensors file of all networks of a foreign file, and how it is opened.

A converted file names its tensors `<kind>.<this package's name>`. Its header maps "inversion-hub" to JSON: version,
networks {kind: {architecture, layout}}, source_sha256 and format; of a tuned generator, `tuned`, see `tuned`. Other
metadata of the foreign file is dropped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from inversion.checkpoints import layouts
from inversion.checkpoints.accidents import safetensors_fault
from inversion.checkpoints.registry import BadCheckpoint
from inversion.generators import StateDictError

VERSION = 2
OLDEST = 1  # version that is still read, if the layout is not in `CHANGED`
CHANGED = ("nvidia",)  # layouts that gained tensors since: the limits of their layers
HEADER = "inversion-hub"  # the key of a converted file's metadata
TUNED = "tuned"  # in the header of a tuned generator: facts about the model that it was tuned from, and the method
FACTS = ("model", "sha256", "method", "domain", "crop", "licence")  # within it
MAX_FACT = 200  # characters


@dataclass(frozen=True)
class Part:
    """One network of a foreign file, with all sizes taken from its tensors; or its direction, or its code."""

    kind: str  # generator, discriminator, encoder, identity, perceptual, directions or code
    architecture: str  # see `layouts.builder`; or "directions"; of a code, its kind in `codes`
    layout: str  # a key of layouts.LAYOUTS, "tensor", or a layout of `latents`
    resolution: int  # side in pixels of the pictures that it makes or reads; 0 for any
    num_ws: int  # 0 for networks without styles
    inputs: int  # channels that it reads; 0 for generators
    channels: tuple[int, ...]  # of its feature maps, one per side, in the order of computation
    weights: int  # numbers in its tensors
    measured: bool  # whether the file lacks the mean style and it was computed
    classes: int = 0  # of a conditional generator


@dataclass(frozen=True)
class Contents:
    """The content of a foreign file."""

    format: str  # safetensors, torch or nvidia-pickle
    bytes: int
    sha256: str
    networks: tuple[Part, ...]
    notes: tuple[str, ...] = ()  # sentences on what was left out


def open_converted(path: Path) -> dict[str, nn.Module]:
    """The networks of a converted file by kind, on the CPU. Raises BadCheckpoint, which names a key that does not fit.

    Float32 tensors stay in the file, mapped into memory: opening copies nothing, and writing to them does not change
    the file. So the file may be replaced or removed while they are used, but not changed in place.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except OSError as error:
        raise BadCheckpoint(f"{path.name}: cannot read it ({error.strerror or error})") from None
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError):
        raise BadCheckpoint(f"{path.name} is not a whole safetensors file: {safetensors_fault(path)}") from None
    builders = _builders(path, header)
    parts: dict[str, dict[str, Tensor]] = {kind: {} for kind in builders}
    for name, tensor in tensors.items():
        kind, _, key = name.partition(".")
        if kind not in parts:
            raise BadCheckpoint(f"{path.name}: unknown {name}")
        if not finite(tensor):
            raise BadCheckpoint(f"{path.name}: {name} holds values that are not finite numbers")
        parts[kind][key] = tensor
    try:
        return {kind: builders[kind](part) for kind, part in parts.items()}
    except StateDictError as error:
        raise BadCheckpoint(f"{path.name}: {error}") from None


def header_of(path: Path) -> object:
    """The header of a file of this package; None for any other file."""
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {}).get(HEADER, "null"))
    except (SafetensorError, OSError, ValueError):
        return None


def tuning_of(header: object) -> dict[str, str]:
    """What the header of a tuned generator says about its origin, by `FACTS`; {} for any other file."""
    stated = header.get(TUNED) if isinstance(header, dict) else None
    if not isinstance(stated, dict):
        return {}
    texts = {name: value for name in FACTS if isinstance(value := stated.get(name), str) and value.isprintable()}
    return {name: value[:MAX_FACT] for name, value in texts.items()}


def finite(tensor: Tensor) -> bool:
    """Whether no element of a tensor of any shape is NaN or infinite. One pass without extra memory."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    return bool(torch.stack(tensor.aminmax()).isfinite().all())


def _builders(path: Path, header: object) -> dict[str, layouts.Builder]:
    """{kind: builder of its network}, from a converted file's header. Raises BadCheckpoint for any other header."""
    version = header.get("version") if isinstance(header, dict) else None
    known = isinstance(version, int) and OLDEST <= version <= VERSION
    networks = header.get("networks") if isinstance(header, dict) and known else None
    builders: dict[str, layouts.Builder] = {}
    for kind, part in networks.items() if isinstance(networks, dict) else ():
        build = layouts.builder(str(part.get("architecture"))) if isinstance(part, dict) else None
        if build is not None and (version == VERSION or part.get("layout") not in CHANGED):
            builders[kind] = build
    if not builders or len(builders) < len(networks or ()):
        raise BadCheckpoint(f"{path.name} was not written by `convert` of this version: convert the original again")
    return builders
