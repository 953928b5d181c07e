"""The child process of a conversion: reads one foreign file, checks every tensor, writes safetensors."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zipfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from inversion.checkpoints import layouts
from inversion.checkpoints.converted import HEADER, VERSION, Contents, Part, finite
from inversion.checkpoints.unpickle import (
    Refused,
    archived_networks,
    described,
    flat_tensors,
    load_plain,
    networks,
    one_line,
)
from inversion.encoders import InDomain
from inversion.generators import Discriminator, Prior, StateDictError

LEGACY_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number at the start of every torch.save without an archive
HALVES = (torch.float16, torch.bfloat16)


def answer_request() -> None:
    """The child process: read a request from argv, apply its limits, and answer with one line of JSON on stdout."""
    request = json.loads(sys.argv[1])
    limit_process(request["seconds"], request["memory"])
    try:
        answer: dict[str, object] = {"contents": asdict(transcribe(**request["work"]))}
    except (Refused, StateDictError) as error:
        answer = {"error": one_line(error, 500)}
    except Exception as error:  # a hostile file can raise anything
        answer = {"error": f"it cannot be read ({described(error)})"}
    sys.stdout.write(json.dumps(answer) + "\n")


def transcribe(path: str, out: str | None, encoder: str | None) -> Contents:
    """Read the file `path`, check every tensor, and write `out` if it is given. Raises Refused or StateDictError.

    `encoder` is the architecture of an encoder if its file does not state it. Call this in a child process with limits:
    a hostile file can still fill the memory and take time.
    """
    source = Path(path)
    sha256 = _sha256(source)
    kind, checkpoint = read(source)
    if isinstance(checkpoint, Tensor):
        return Contents(kind, source.stat().st_size, sha256, (_direction(checkpoint, out),))
    found = layouts.networks(checkpoint, encoder)
    halves = [dtype for dtype in HALVES if dtype in _dtypes(checkpoint)]
    tensors: dict[str, Tensor] = {}
    parts = []
    for part in found:
        for key, value in part.tensors.items():
            if not finite(value):
                raise Refused(f"{part.tensors.origins.get(key, key)} holds values that are not finite numbers")
        network = part.build()
        measured = isinstance(network, Prior) and "w_avg" in network.state_dict() and "w_avg" not in part.tensors
        if measured:
            part.tensors["w_avg"] = network.get_buffer("w_avg")
        parts.append(_part(part, network, measured))
        tensors |= {f"{part.kind}.{key}": _as_stored(value, halves) for key, value in part.tensors.items()}
    contents = Contents(kind, source.stat().st_size, sha256, tuple(parts))
    if out is not None:
        named = {part.kind: {"architecture": part.architecture, "layout": part.layout} for part in parts}
        header = {"version": VERSION, "networks": named, "source_sha256": sha256, "format": kind}
        try:
            save_file(_unshared(tensors), out, {HEADER: json.dumps(header)})
            _settle(Path(out))
        except (OSError, SafetensorError) as error:
            raise Refused(f"the converted copy cannot be written ({described(error)})") from None
    return contents


def read(path: Path) -> tuple[str, layouts.Checkpoint | Tensor]:
    """(format, checkpoint or single tensor) of a foreign file, by its content, not its name. Raises Refused."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
    if head[:4] == b"PK\x03\x04":
        return _archive(path)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors", load_file(path)
    if head[:1] == b"\x80" and head[2:].startswith(LEGACY_TORCH):
        return "torch", _content(load_plain(path))
    if head[:1] == b"\x80":
        with path.open("rb") as file:
            return "nvidia-pickle", flat_tensors(networks(file))
    if head.lstrip()[:1] == b"<":
        raise Refused(
            "it is a web page, not a checkpoint; sites over their quota send one: download the file again later"
        )
    raise Refused("its format is unknown: convert reads safetensors, PyTorch files and NVIDIA pickles")


def limit_process(seconds: float, memory: int) -> None:
    """Limit this process to `seconds` of processor time, no core file, and on Linux `memory` bytes more than now.

    The bound is relative, because importing a CUDA build of torch maps gigabytes that are never used.
    """
    if sys.platform == "win32":
        return
    import resource

    processor = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    mapped = Path("/proc/self/statm")
    if mapped.exists():
        bound = int(mapped.read_text().split()[0]) * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))


def _archive(path: Path) -> tuple[str, layouts.Checkpoint | Tensor]:
    """Read a zip archive as torch.save writes it. Raises Refused, also for the declared content alone."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        declared = sum(member.file_size for member in members)
        if declared > path.stat().st_size or any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise Refused(f"its archive declares {declared} bytes of content, but torch.save compresses nothing")
        if any(member.filename.endswith("/constants.pkl") for member in members):
            raise Refused("it is TorchScript, which is a program: download the weights as a plain state dict")
        found = archived_networks(archive)
    if found is not None:
        return "nvidia-pickle", flat_tensors(found)
    return "torch", _content(load_plain(path, mmap=True))


def _direction(tensor: Tensor, out: str | None) -> Part:
    """A file's only tensor as a direction in W, written to `out` as a plain float32 array (1 or num_ws, w_dim)."""
    shape = tuple(tensor.shape)
    if not tensor.is_floating_point() or not 1 <= tensor.ndim <= 3 or (tensor.ndim == 3 and shape[0] != 1):
        kind = str(tensor.dtype).removeprefix("torch.")
        raise Refused(f"it holds one {kind} tensor {shape}, which is neither a checkpoint nor a direction in W")
    if not finite(tensor):
        raise Refused("its direction holds values that are not finite numbers")
    rows = tensor.detach().float().reshape(-1, shape[-1])
    if out is not None:
        with Path(out).open("wb") as file:
            np.save(file, rows.numpy(), allow_pickle=False)
        _settle(Path(out))
    return Part("directions", "directions", "tensor", 0, len(rows), 0, (shape[-1],), rows.numel(), False)


def _content(checkpoint: object) -> layouts.Checkpoint | Tensor:
    if isinstance(checkpoint, Tensor):
        return checkpoint
    if not isinstance(checkpoint, Mapping) or not all(isinstance(key, str) for key in checkpoint):
        raise Refused(f"it holds a {type(checkpoint).__name__}, not a checkpoint")
    return {key: vars(value) if isinstance(value, Namespace) else value for key, value in checkpoint.items()}


def _part(part: layouts.Found, network: nn.Module, measured: bool) -> Part:
    """The description of a network."""
    side = getattr(network, "resolution", getattr(network, "size", 0))
    inputs = 0 if isinstance(network, Prior) else getattr(network, "inputs", 3)
    return Part(
        kind=part.kind,
        architecture=part.architecture,
        layout=part.layout,
        resolution=side,
        num_ws=getattr(network, "num_ws", 0),
        inputs=inputs,
        channels=_channels(network),
        weights=sum(value.numel() for value in part.tensors.values()),
        measured=measured,
    )


def _channels(network: nn.Module) -> tuple[int, ...]:
    if isinstance(network, Prior):
        sides = {network.size(k): network.channels(k) for k in range(network.num_layers + 1)}
        return tuple(sides.values())
    if isinstance(network, (Discriminator, InDomain)):
        ends = ("from_rgb.weight", "conv2.weight", "stem.conv.weight", "second.conv.weight")
        return tuple(len(weight) for name, weight in network.named_parameters() if name.endswith(ends))
    body = getattr(network, "backbone", getattr(network, "trunk", None))
    return tuple(getattr(body, "widths", ()))


def _dtypes(checkpoint: layouts.Checkpoint) -> Iterator[torch.dtype]:
    """The element types of all tensors of a checkpoint."""
    for value in checkpoint.values():
        if isinstance(value, Tensor):
            yield value.dtype
        elif isinstance(value, Mapping):
            yield from _dtypes(value)


def _as_stored(value: Tensor, halves: list[torch.dtype]) -> Tensor:
    """The tensor in 16 bits if the file has such tensors and no value changes, else as it is."""
    for dtype in halves:
        half = value.to(dtype)
        if torch.equal(half.to(value.dtype), value):
            return half
    return value


def _unshared(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as safetensors needs them: contiguous, and without shared memory."""
    seen: set[int] = set()
    out = {}
    for name, value in tensors.items():
        value = value.detach().contiguous()
        out[name] = value.clone() if value.data_ptr() in seen else value
        seen.add(value.data_ptr())
    return out


def _settle(path: Path) -> None:
    """Wait until a file is on the disk, so that a crash after renaming it leaves no empty file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
