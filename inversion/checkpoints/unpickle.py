"""Reads pickled networks without running any code from the file.

A pickle names the functions that rebuild its objects. Here each name is looked up in one table only, and the functions
in that table make plain data: tensors, dicts, `Network`. Every other name becomes an `Inert` placeholder, which is
never imported. The source text in NVIDIA's files is dropped. A hostile file can still ask for all the memory of the
machine: call this in a process with limits (see `convert`).
"""

from __future__ import annotations

import contextlib
import io
import math
import pickle
import pickletools
import re
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeGuard

import numpy as np
import torch
from torch import Tensor

from inversion.checkpoints.accidents import described
from inversion.checkpoints.inert import DEPTH, Array, DType, Inert, Refused, numbers, one_line, placeholder

__all__ = ["Inert", "Network", "Refused", "flat", "load_inert", "load_plain", "networks", "one_line"]

CLAMP = "conv_clamp"  # the largest magnitude of a layer's output, in NVIDIA's files


@dataclass(frozen=True)
class Network:
    """A persistent module without its code: the name of its class and its attributes."""

    class_name: str
    state: dict[str, object]

    def tensors(self, prefix: str = "", depth: int = 0) -> dict[str, Tensor]:
        """Its state dict {dotted name: tensor}: parameters and buffers of all its modules. Raises Refused."""
        if depth > DEPTH:
            raise Refused(f"modules are nested more than {DEPTH} deep at {one_line(prefix)}")
        found: dict[str, Tensor] = {}
        for group, wanted in (("_parameters", Tensor), ("_buffers", Tensor), ("_modules", Network)):
            members = self.state.get(group)
            if not isinstance(members, dict):
                raise Refused(f"{one_line(prefix) or 'the network'} has no {group}")
            for name, value in members.items():
                member = as_network(value) if wanted is Network else value
                key = f"{prefix}{name}"
                if member is None:
                    continue
                if not isinstance(name, str) or not isinstance(member, wanted):
                    raise Refused(f"{one_line(key)} is not a {wanted.__name__.lower()}")
                found |= member.tensors(f"{key}.", depth + 1) if isinstance(member, Network) else {key: member}
        return found

    def clamps(self, depth: int = 0) -> set[float]:
        """The limits of magnitude (`conv_clamp`) that its layers state; None counts as infinity."""
        own: set[float] = set()
        if CLAMP in self.state:
            value = self.state[CLAMP]
            own = {value if isinstance(value, int | float) else math.inf}
        modules = self.state.get("_modules")
        inner = modules.values() if isinstance(modules, dict) and depth < DEPTH else ()
        members = [member for member in map(as_network, inner) if isinstance(member, Network)]
        return own.union(*(member.clamps(depth + 1) for member in members))


def as_network(value: object) -> object:
    """A module of an unknown class as a network; any other value as it is."""
    return Network(value.origin, value.attributes) if isinstance(value, Inert) and value.is_module else value


def networks(source: BinaryIO) -> dict[str, Network]:
    """The networks of an NVIDIA pickle by name (G, D, G_ema). A single network, as PTI saves it, is G_ema.

    Refused if the pickle is broken or holds no network.
    """
    content = load_inert(source)
    content = {"G_ema": content} if isinstance(content, Network) else content
    if not isinstance(content, dict):
        raise Refused("it is a pickle, but not of networks")
    found = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Network)}
    if not found:
        raise Refused("it is a pickle without a network")
    return found


def load_inert(source: BinaryIO, storage: Callable[[object], object] | None = None) -> object:
    """The content of a pickle: tensors, plain data, `Network`, and `Inert` for everything else.

    `storage` returns what a persistent id stands for, in a pickle that belongs to an archive. Raises Refused.
    """
    try:
        return _Reader(source, storage).load()
    except Refused:
        raise
    except Exception as error:  # a broken pickle raises almost anything, even MemoryError and SystemError
        raise Refused(f"it is a broken pickle: {described(error)}") from None


def load_plain(source: Path | BinaryIO, mmap: bool = False) -> object:
    """The content of a `torch.save` file of tensors and plain data. Raises Refused for any other file.

    There is no second attempt that could run code, because the file's author decides whether the first attempt fails.
    """
    try:
        with torch.serialization.safe_globals([Namespace]):  # a training script's options
            return torch.load(source, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # broken files raise almost anything
        name = re.search(r"GLOBAL (\S+)", str(error))
        if name is not None:
            raise _asks_for(name[1]) from None
        broken = "it is damaged, or holds more than plain tensors"
        why = broken if isinstance(error, pickle.UnpicklingError) else described(error)
        raise Refused(f"PyTorch cannot read it: {why}") from None


def _asks_for(name: str) -> Refused:
    """The error of a pickle that names a function."""
    return Refused(f"it asks for {one_line(name)}, which could run code: only tensors and plain data are read")


class _Plain(dict[object, object]):
    """Replaces subclasses of dict. Attributes that a pickle sets are dropped."""

    def __setstate__(self, state: object) -> None:
        pass


class _Function:
    """Replaces a function. It is an instance, so that a pickle cannot set an attribute of it."""

    __slots__ = ("_call",)
    _call: Callable[..., object]

    def __init__(self, call: Callable[..., object]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *args: object) -> object:
        return self._call(*args)

    def __setattr__(self, name: str, value: object) -> None:
        raise Refused("it changes a function")

    def __setstate__(self, state: object) -> None:
        raise Refused("it changes a function")


def _network(meta: object) -> Network:
    """A persistent module without its source text."""
    state = meta.get("state") if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or not isinstance(state, dict):
        raise Refused("it holds a module without a state")
    return Network(str(meta.get("class_name")), state)


def _storage(data: object) -> Tensor:
    """The flat tensor in a storage's bytes. torch's own function would unpickle any bytes."""
    if not isinstance(data, bytes) or data[:2] == b"PK":
        raise Refused("a tensor's data is not a plain storage")
    return flat(load_plain(io.BytesIO(data)))


def flat(storage: object) -> Tensor:
    """The elements of a torch storage as a tensor (n,). Raises Refused if it is not a storage."""
    if not isinstance(storage, torch.storage.TypedStorage):
        raise Refused("a tensor's data is not a plain storage")
    return torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)


def _tensor(storage: object, offset: object, size: object, stride: object, *_: object) -> Tensor:
    """A tensor within a storage. It must not have more elements than the storage, as strides of 0 would allow."""
    if not isinstance(storage, Tensor) or not isinstance(offset, int):
        raise Refused("a tensor without a storage")
    if not _counts(size) or not _counts(stride) or len(size) != len(stride) or offset < 0:
        raise Refused("a tensor's shape does not fit its storage")
    if math.prod(size) > storage.numel() or _end(size, stride, offset) > storage.numel():
        raise Refused("a tensor's shape does not fit its storage")
    return storage.as_strided(size, stride, storage.storage_offset() + offset)


def _end(size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> int:
    """The index after a tensor's last element within its storage; 0 for an empty tensor."""
    steps = sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    return offset + steps + 1 if math.prod(size) else 0


def _counts(values: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(values, tuple) and all(isinstance(value, int) and value >= 0 for value in values)


def _parameter(data: object, *_: object) -> Tensor:
    if not isinstance(data, Tensor):
        raise Refused("a parameter without a tensor")
    return data


def _retyped(function: object, kind: object, args: object, *_: object) -> object:
    """A tensor of a subclass: what its own function makes."""
    if not isinstance(function, _Function) or not isinstance(args, tuple):
        raise Refused("a tensor of an unknown kind")
    return function(*args)


def _scalar(dtype: object, data: object = None, *_: object) -> object:
    """A numpy number as Python's; an inert value for any other."""
    kind = dtype.kind if isinstance(dtype, DType) else None
    if kind is None or not isinstance(data, bytes) or len(data) != kind.itemsize:
        return Inert(data)
    return np.frombuffer(data, kind)[0].item()


def _array_of(data: object, dtype: object, shape: object, order: object = "C") -> Array:
    """A numpy array of protocol 5."""
    made = Array()
    made.tensor = numbers(data, dtype, shape, order)
    return made


def _reconstructed(kind: object, *_: object) -> Inert:
    """An object of an unknown class, in the form of old pickles."""
    return kind() if isinstance(kind, type) and issubclass(kind, Inert) else Inert()


def _encode(text: object, encoding: object) -> bytes:
    """Bytes, in the form of old pickles."""
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused("it holds bytes in an unknown form")
    return text.encode("latin1")


STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

_NAMES: dict[tuple[str, str], object] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _Function(_network),
    ("torch._utils", "_rebuild_parameter"): _Function(_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): _Function(_parameter),
    ("torch._utils", "_rebuild_tensor"): _Function(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Function(_tensor),
    ("torch._tensor", "_rebuild_from_type_v2"): _Function(_retyped),
    ("torch.storage", "_load_from_bytes"): _Function(_storage),
    ("collections", "OrderedDict"): _Plain,
    ("dnnlib.util", "EasyDict"): _Plain,
    **{(f"numpy.{core}.multiarray", "scalar"): _Function(_scalar) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Function(lambda *_: Array()) for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Function(_array_of) for core in ("core", "_core")},
    ("numpy", "dtype"): DType,
    **{(module, "_reconstructor"): _Function(_reconstructed) for module in ("copyreg", "copy_reg")},
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,  # up to protocol 2
    ("_codecs", "encode"): _Function(_encode),
    # Element types of storages in archives. A persistent id names them, and only their names are used.
    **{("torch", name): name for name in STORAGES},
}

# The class of the objects in TensorFlow files of PGGAN, StyleGAN and StyleGAN2.
_TENSORFLOW = {("tfutil", "Network"), ("dnnlib.tflib.network", "Network"), ("dnnlib.tflib", "Network")}

# Name of the function that builds a TensorFlow network -> a place with its PyTorch version.
_INSTEAD = {
    "G_main": "StyleGAN2 from ZeqiangLai/StyleGAN2 on the Hub (stylegan2-*-config-f.pt)",
    "G_style": "StyleGAN from genforce/genforce or genforce/idinvert_pytorch on GitHub",
    "G_paper": "PGGAN from huggan/pggan-celebahq-1024 on the Hub (pytorch_model.bin)",
}


class _Reader(pickle.Unpickler):
    """An unpickler that knows the names in the table; every other name becomes a placeholder."""

    def __init__(self, source: BinaryIO, storage: Callable[[object], object] | None) -> None:
        super().__init__(source)
        self._source, self._storage = source, storage
        self._placeholders: dict[tuple[str, str], type[Inert]] = {}

    def find_class(self, module: str, name: str) -> object:
        """The table's value for a name, else a placeholder. No part of the name is ever imported."""
        if (module, name) in _TENSORFLOW:
            raise Refused(_tensorflow(self._source))
        if (module, name) in _NAMES:
            return _NAMES[module, name]
        return self._placeholders.setdefault((module, name), placeholder(module, name))

    def persistent_load(self, pid: object) -> object:
        """Data that an archive stores beside the pickle. Refused for a pickle without an archive."""
        if self._storage is None:
            raise Refused("it refers to data outside the pickle")
        return self._storage(pid)


def _tensorflow(source: BinaryIO) -> str:
    """The message about a TensorFlow pickle: the file to download instead. Its opcodes are listed, not executed."""
    source.seek(0)
    builders: set[str] = set()
    with contextlib.suppress(Exception):  # a truncated pickle of TensorFlow is still one
        builders.update(arg for _, arg, _ in pickletools.genops(source) if isinstance(arg, str) and arg in _INSTEAD)
    places = "; ".join([_INSTEAD[name] for name in _INSTEAD if name in builders] or _INSTEAD.values())
    return f"it is a TensorFlow pickle, which is code and is not opened: download the PyTorch file of {places}"
