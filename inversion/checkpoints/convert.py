"""Foreign checkpoints to safetensors: read once, in a process of its own with limits; what comes of it is opened here.

    contents = inspect(path)                # what the file holds; BadCheckpoint says in one line why it is refused
    contents = convert(path, out)           # the same, and one safetensors file of all its networks
    networks = open_converted(out)          # {"generator": ..., "discriminator": ...}

A converted file names its tensors `<kind>.<this package's name>`; its header maps "inversion-hub" to JSON: version,
networks {kind: {architecture, layout}}, source_sha256 and format. Nothing that a foreign file says of itself is kept.
A file that holds a direction in W and no network becomes a plain array, `.npy`.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from inversion.checkpoints import layouts
from inversion.checkpoints.registry import ROOT, BadCheckpoint
from inversion.checkpoints.unpickle import Refused, archived_networks, flat_tensors, in_line, load_plain, networks, said
from inversion.encoders import InDomain
from inversion.generators import Discriminator, Prior, StateDictError

VERSION = 1
HEADER = "inversion-hub"  # the key of a converted file's metadata
LEGACY_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number before which every torch.save without an archive starts
HALVES = (torch.float16, torch.bfloat16)
CHILD = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from inversion.checkpoints.convert import child; child()"


@dataclass(frozen=True)
class Limits:
    """What reading a foreign file may take. `memory` is in bytes, above what an idle child maps; None: by file size."""

    seconds: float = 600.0
    memory: int | None = None

    def allowance(self, size: int) -> int:
        """Bytes of memory for a file of `size` bytes: reading and renaming pass through about two copies of it."""
        return (1 << 30) + 4 * size if self.memory is None else self.memory


@dataclass(frozen=True)
class Part:
    """One network of a file, all sizes from its tensors; or its direction."""

    kind: str  # generator, discriminator, encoder, identity, perceptual or directions
    architecture: str  # see `layouts.builder`; or "directions"
    layout: str  # a key of layouts.LAYOUTS, or "tensor"
    resolution: int  # side in pixels of the pictures that it makes or reads; 0 for any
    num_ws: int  # 0 for networks without styles
    inputs: int  # channels that it reads; 0 for generators
    channels: tuple[int, ...]  # of its feature maps, one per side, in the order in which they are computed
    weights: int  # numbers in its tensors
    measured: bool  # whether the mean style is missing in the file and was computed


@dataclass(frozen=True)
class Contents:
    """What a file holds."""

    format: str  # safetensors, torch or nvidia-pickle
    bytes: int
    sha256: str
    networks: tuple[Part, ...]


def inspect(path: Path, encoder: str | None = None, limits: Limits = Limits()) -> Contents:
    """Read a foreign file in a child process and say what it holds; BadCheckpoint if it is refused.

    `encoder` ("psp", "e4e", ...) settles how an encoder is meant where the file does not say.
    """
    return _in_child(path, None, encoder, limits)


def convert(path: Path, out: Path, encoder: str | None = None, limits: Limits = Limits()) -> Contents:
    """Write the networks of a foreign file to `out`, which appears whole or not at all. Raises BadCheckpoint.

    The caller compares `sha256` of what comes back where it knows what the file should be.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
            written = Path(folder) / "converted"
            contents = _in_child(path, written, encoder, limits)
            os.replace(written, out)
    except OSError as error:
        raise BadCheckpoint(f"{path.name}: cannot write {out} ({error.strerror or error})") from None
    return contents


def open_converted(path: Path) -> dict[str, nn.Module]:
    """The networks of a converted file by kind, on the CPU; BadCheckpoint names the key that does not fit.

    Float32 tensors stay in the file, mapped into memory: opening copies nothing, and writing to them leaves the file as
    it is. So the file may be replaced or removed while they live, but not written in place.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    except OSError as error:
        raise BadCheckpoint(f"{path.name}: cannot read it ({error.strerror or error})") from None
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise BadCheckpoint(f"{path.name} is no safetensors file ({said(error)})") from None
    builders = _builders(path, header)
    parts: dict[str, dict[str, Tensor]] = {kind: {} for kind in builders}
    for name, tensor in tensors.items():
        kind, _, key = name.partition(".")
        if kind not in parts:
            raise BadCheckpoint(f"{path.name}: unknown {name}")
        if not finite(tensor):
            raise BadCheckpoint(f"{path.name}: {name} holds values that are not numbers")
        parts[kind][key] = tensor
    try:
        return {kind: builders[kind](part) for kind, part in parts.items()}
    except StateDictError as error:
        raise BadCheckpoint(f"{path.name}: {error}") from None


def finite(tensor: Tensor) -> bool:
    """Whether no element is NaN or infinite. One pass, no memory: networks are large."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    return bool(torch.stack(tensor.aminmax()).isfinite().all())


def child() -> None:
    """The child process: read the request in argv, take on its limits, and answer with one line of JSON on stdout."""
    request = json.loads(sys.argv[1])
    _limit(request["seconds"], request["memory"])
    try:
        answer: dict[str, Any] = {"contents": asdict(transcribe(**request["work"]))}
    except (Refused, StateDictError) as error:
        answer = {"error": in_line(error, 500)}
    except Exception as error:  # what a file can bring about is not foreseen in full, and ends here
        answer = {"error": f"it cannot be read ({said(error)})"}
    sys.stdout.write(json.dumps(answer) + "\n")


def transcribe(path: str, out: str | None, encoder: str | None) -> Contents:
    """Read the file `path`, check every tensor, write `out` if it is given. Raises Refused or StateDictError.

    For the child process: what a hostile file can do here is fill the memory and take time.
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
                raise Refused(f"{part.tensors.origins.get(key, key)} holds values that are not numbers")
        network = part.build()
        measured = isinstance(network, Prior) and "w_avg" in network.state_dict() and "w_avg" not in part.tensors
        if measured:
            part.tensors["w_avg"] = network.get_buffer("w_avg")
        parts.append(_described(part, network, measured))
        tensors |= {f"{part.kind}.{key}": _as_stored(value, halves) for key, value in part.tensors.items()}
    contents = Contents(kind, source.stat().st_size, sha256, tuple(parts))
    if out is not None:
        named = {part.kind: {"architecture": part.architecture, "layout": part.layout} for part in parts}
        header = {"version": VERSION, "networks": named, "source_sha256": sha256, "format": kind}
        try:
            save_file(_unshared(tensors), out, {HEADER: json.dumps(header)})
            _settle(Path(out))
        except (OSError, SafetensorError) as error:
            raise Refused(f"the converted copy cannot be written ({said(error)})") from None
    return contents


def read(path: Path) -> tuple[str, Mapping[str, Any] | Tensor]:
    """(format, checkpoint or lone tensor) of a foreign file, told by its content. Refused if it is none."""
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
        raise Refused("it is a web page, not a checkpoint; a site over its quota sends one: get the file again later")
    raise Refused("it is in no format known here (safetensors, PyTorch, NVIDIA pickle)")


def _in_child(path: Path, out: Path | None, encoder: str | None, limits: Limits) -> Contents:
    """Run `child` in a fresh interpreter and turn whatever becomes of it into Contents or one line."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BadCheckpoint(f"{path.name}: cannot read it ({error.strerror or error})") from None
    memory = limits.allowance(size)
    work = {"path": str(path.resolve()), "out": str(out.resolve()) if out else None, "encoder": encoder}
    request = {"seconds": limits.seconds, "memory": memory, "work": work}
    # One thread: the stacks and heaps of more would count against the limit. No GPU: the child has no use for one.
    settings = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, on a module of this package
            [sys.executable, "-c", CHILD, json.dumps(request)],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limits.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BadCheckpoint(f"{path.name}: given up after {limits.seconds:g} s of reading") from None
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise BadCheckpoint(f"{path.name}: {_death(done, memory)}") from None
    if "error" in answer:
        raise BadCheckpoint(f"{path.name}: {answer['error']}")
    found = answer["contents"]
    parts = (Part(**{**part, "channels": tuple(part["channels"])}) for part in found["networks"])
    return Contents(**{**found, "networks": tuple(parts)})


def _death(done: subprocess.CompletedProcess[bytes], memory: int) -> str:
    """Why a child may have died without an answer."""
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [""]
    name = signal.Signals(-done.returncode).name if done.returncode < 0 else ""
    if name == "SIGKILL" or "Memory" in last[0] or "alloc" in last[0]:
        return f"reading it takes more than {memory >> 20} MB of memory"
    return (
        "given up: reading it takes too long" if name == "SIGXCPU" else f"reading it failed ({name or last[0][:120]})"
    )


def _limit(seconds: float, memory: int) -> None:
    """Bound this process: processor time, no core file, and on Linux `memory` bytes above what it maps now.

    Importing a CUDA build of torch maps gigabytes that are never touched, so an absolute bound would mean nothing.
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


def _archive(path: Path) -> tuple[str, Mapping[str, Any] | Tensor]:
    """Read what torch.save writes today, a zip archive, or refuse it for what it declares."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        declared = sum(member.file_size for member in members)
        if declared > path.stat().st_size or any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise Refused(f"its archive declares {declared} bytes of content: torch.save compresses nothing")
        if any(member.filename.endswith("/constants.pkl") for member in members):
            raise Refused("it is TorchScript, which is a program: get the weights as a plain state dict")
        found = archived_networks(archive)
    if found is not None:
        return "nvidia-pickle", flat_tensors(found)
    return "torch", _content(load_plain(path, mmap=True))


def _direction(tensor: Tensor, out: str | None) -> Part:
    """A file's lone tensor as a direction in W; written to `out` as a plain array, float32 (1 or num_ws, w_dim)."""
    shape = tuple(tensor.shape)
    if not tensor.is_floating_point() or not 1 <= tensor.ndim <= 3 or (tensor.ndim == 3 and shape[0] != 1):
        kind = str(tensor.dtype).removeprefix("torch.")
        raise Refused(f"it holds one {kind} tensor {shape}, no checkpoint and no direction in W")
    if not finite(tensor):
        raise Refused("its direction holds values that are not numbers")
    rows = tensor.detach().float().reshape(-1, shape[-1])
    if out is not None:
        with Path(out).open("wb") as file:
            np.save(file, rows.numpy(), allow_pickle=False)
        _settle(Path(out))
    return Part("directions", "directions", "tensor", 0, len(rows), 0, (shape[-1],), rows.numel(), False)


def _content(checkpoint: object) -> Mapping[str, Any] | Tensor:
    if isinstance(checkpoint, Tensor):
        return checkpoint
    if not isinstance(checkpoint, Mapping) or not all(isinstance(key, str) for key in checkpoint):
        raise Refused(f"it holds a {type(checkpoint).__name__}, no checkpoint")
    return {key: vars(value) if isinstance(value, Namespace) else value for key, value in checkpoint.items()}


def _described(part: layouts.Found, network: nn.Module, measured: bool) -> Part:
    """What a person is told of a network."""
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


def _dtypes(checkpoint: Mapping[Any, Any]) -> Iterator[torch.dtype]:
    """The element types of all tensors of a checkpoint."""
    for value in checkpoint.values():
        if isinstance(value, Tensor):
            yield value.dtype
        elif isinstance(value, Mapping):
            yield from _dtypes(value)


def _as_stored(value: Tensor, halves: list[torch.dtype]) -> Tensor:
    """The tensor in 16 bits where the file has such ones and nothing is lost, else as it is."""
    for dtype in halves:
        half = value.to(dtype)
        if torch.equal(half.to(value.dtype), value):
            return half
    return value


def _unshared(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that can be written: contiguous, and none twice."""
    seen: set[int] = set()
    out = {}
    for name, value in tensors.items():
        value = value.detach().contiguous()
        out[name] = value.clone() if value.data_ptr() in seen else value
        seen.add(value.data_ptr())
    return out


def _settle(path: Path) -> None:
    """Wait until a file is on the disk, so that a crash after the renaming leaves no hole."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _builders(path: Path, header: object) -> dict[str, layouts.Builder]:
    """{kind: what builds its network}, from a converted file's header. BadCheckpoint if the header is not ours."""
    networks = header.get("networks") if isinstance(header, dict) and header.get("version") == VERSION else None
    builders: dict[str, layouts.Builder] = {}
    for kind, part in networks.items() if isinstance(networks, dict) else ():
        build = layouts.builder(str(part.get("architecture"))) if isinstance(part, dict) else None
        if build is not None:
            builders[kind] = build
    if not builders or len(builders) < len(networks or ()):
        raise BadCheckpoint(f"{path.name} was not written by `convert` of this version: convert the original again")
    return builders
