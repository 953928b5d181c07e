"""Reads pickled networks without running any code from the file.

A pickle names the functions that rebuild its objects. Here each name is looked up in one table only, and the functions
in that table make plain data: tensors, dicts, `Network`. The source text in NVIDIA's files is dropped. A hostile file
can still ask for all the memory of the machine: call this in a process with limits (see `convert`).
"""

from __future__ import annotations

import contextlib
import io
import math
import pickle
import pickletools
import re
import zipfile
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeGuard

import numpy as np
import torch
from torch import Tensor

DEPTH = 100  # of nested modules; published networks have four


class Refused(ValueError):
    """A file that is refused. The message is one line and says why."""


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
            for name, member in members.items():
                key = f"{prefix}{name}"
                if member is None:
                    continue
                if not isinstance(name, str) or not isinstance(member, wanted):
                    raise Refused(f"{one_line(key)} is not a {wanted.__name__.lower()}")
                found |= member.tensors(f"{key}.", depth + 1) if isinstance(member, Network) else {key: member}
        return found


def networks(source: BinaryIO, storage: Callable[[object], Tensor] | None = None) -> dict[str, Network]:
    """The networks of an NVIDIA pickle by name (G, D, G_ema). A single network, as PTI saves it, is G_ema.

    `storage` returns the flat tensor of a persistent id, for a pickle in an archive. Raises Refused if the pickle is
    broken, or if it asks for anything but tensors and plain data.
    """
    try:
        content = _Reader(source, storage).load()
    except Refused:
        raise
    except Exception as error:  # a broken pickle raises almost anything, even MemoryError and SystemError
        raise Refused(f"it is a broken pickle ({described(error)})") from None
    content = {"G_ema": content} if isinstance(content, Network) else content
    if not isinstance(content, dict):
        raise Refused("it is a pickle, but not of networks")
    found = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Network)}
    if not found:
        raise Refused("it is a pickle without a network")
    return found


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
        why = "broken, or not plain tensors" if isinstance(error, pickle.UnpicklingError) else described(error)
        raise Refused(f"PyTorch cannot read it ({why})") from None


def _asks_for(name: str) -> Refused:
    """The error of a pickle that names a function."""
    return Refused(f"it asks for {one_line(name)}, which could run code: only tensors and plain data are read")


def described(error: Exception) -> str:
    """An exception as part of a one-line message."""
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "it takes more memory than a file of its size should"
    text = one_line(" ".join(str(error).split()), 120)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def one_line(name: object, length: int = 80) -> str:
    """Text from a file, printable and at most `length` characters long."""
    text = str(name)
    text = text if len(text) <= length else f"{text[: length - 3]}..."
    return text if text.isprintable() else repr(text)


class _Plain(dict[object, object]):
    """Replaces subclasses of dict. Attributes that a pickle sets are dropped."""

    def __setstate__(self, state: object) -> None:
        pass


class _DType:
    """Replaces numpy.dtype, for numbers only."""

    def __init__(self, name: object, *_: object) -> None:
        if not isinstance(name, str) or re.fullmatch("[fiub][1248]", name) is None:
            raise Refused(f"it holds a value of type {one_line(name)}")
        self.name, self.order = name, "<"

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.order = state[1]


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
    if not _counts(size) or not _counts(stride) or math.prod(size) > storage.numel():
        raise Refused("a tensor's shape does not fit its storage")
    return storage.as_strided(size, stride, offset)


def _counts(values: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(values, tuple) and all(isinstance(value, int) and value >= 0 for value in values)


def _parameter(data: object, *_: object) -> Tensor:
    if not isinstance(data, Tensor):
        raise Refused("a parameter without a tensor")
    return data


def _scalar(dtype: object, data: object) -> object:
    """A numpy number as a Python number."""
    if not isinstance(dtype, _DType) or not isinstance(data, bytes):
        raise Refused("it holds a value that is not a number")
    kind = np.dtype(dtype.order + dtype.name)
    if len(data) != kind.itemsize:
        raise Refused("it holds a value that is not a number")
    return np.frombuffer(data, kind)[0].item()


def _encode(text: object, encoding: object) -> bytes:
    """Bytes, in the form of old pickles."""
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused("it holds bytes in an unknown form")
    return text.encode("latin1")


_STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
}

_NAMES: dict[tuple[str, str], object] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _Function(_network),
    ("torch._utils", "_rebuild_parameter"): _Function(_parameter),
    ("torch._utils", "_rebuild_tensor_v2"): _Function(_tensor),
    ("torch.storage", "_load_from_bytes"): _Function(_storage),
    ("collections", "OrderedDict"): _Plain,
    ("dnnlib.util", "EasyDict"): _Plain,
    ("numpy.core.multiarray", "scalar"): _Function(_scalar),
    ("numpy._core.multiarray", "scalar"): _Function(_scalar),
    ("numpy", "dtype"): _DType,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,  # up to protocol 2
    ("_codecs", "encode"): _Function(_encode),
    # Element types of storages in archives: persistent ids hold them, and only their names are used.
    **{("torch", name): name for name in _STORAGES},
}

# The class of the objects in TensorFlow files of PGGAN, StyleGAN and StyleGAN2.
_TENSORFLOW = {("tfutil", "Network"), ("dnnlib.tflib.network", "Network"), ("dnnlib.tflib", "Network")}

# Name of the function that builds a TensorFlow network -> its kind, and a place with its PyTorch version.
_INSTEAD = {
    "G_main": ("StyleGAN2", "ZeqiangLai/StyleGAN2 on the Hub (stylegan2-*-config-f.pt)"),
    "G_style": ("StyleGAN", "genforce/genforce or genforce/idinvert_pytorch on GitHub"),
    "G_paper": ("PGGAN", "huggan/pggan-celebahq-1024 on the Hub (pytorch_model.bin)"),
}


class _Reader(pickle.Unpickler):
    """An unpickler that accepts only the names in the table."""

    def __init__(self, source: BinaryIO, storage: Callable[[object], Tensor] | None) -> None:
        super().__init__(source)
        self._source, self._storage = source, storage

    def find_class(self, module: str, name: str) -> object:
        """The table's value for a name. No part of the name is ever imported or looked up in a module."""
        if (module, name) in _TENSORFLOW:
            raise Refused(_tensorflow(self._source))
        if (module, name) not in _NAMES:
            raise _asks_for(f"{module}.{name}")
        return _NAMES[module, name]

    def persistent_load(self, pid: object) -> Tensor:
        """The tensor (n,) that an archive keeps beside the pickle. Raises Refused if there is no archive."""
        if self._storage is None:
            raise Refused("it refers to data outside the pickle")
        return self._storage(pid)


def _tensorflow(source: BinaryIO) -> str:
    """The message about a TensorFlow pickle: the file to download instead. Its opcodes are listed, not executed."""
    source.seek(0)
    builders: set[str] = set()
    with contextlib.suppress(Exception):  # a truncated pickle of TensorFlow is still one
        builders.update(arg for _, arg, _ in pickletools.genops(source) if isinstance(arg, str) and arg in _INSTEAD)
    known = [_INSTEAD[name] for name in _INSTEAD if name in builders] or list(_INSTEAD.values())
    places = ", or ".join(f"{kind} from {place}" for kind, place in known)
    return f"it is a TensorFlow pickle, which is code and is not opened: download the PyTorch file of {places}"


def flat_tensors(found: Mapping[str, Network]) -> dict[str, dict[str, Tensor]]:
    """State dicts of the generator for inversion (G_ema, else G) and of the discriminator, as `layouts` reads them.

    Raises Refused if there is no generator.
    """
    generator = next((name for name in ("G_ema", "G") if name in found), None)
    if generator is None:
        raise Refused(f"it holds no generator, only {', '.join(map(one_line, sorted(found)))}")
    tensors = {"G_ema": found[generator].tensors()}
    return tensors | ({"D": found["D"].tensors()} if "D" in found else {})


def archived_networks(archive: zipfile.ZipFile) -> dict[str, Network] | None:
    """The networks of a torch archive with persistent modules, as PTI saves its generators. None if it has none.

    Raises Refused if the archive is not from PyTorch, or if a network is refused.
    """
    name = next((entry for entry in archive.namelist() if entry.endswith("data.pkl")), None)
    if name is None:
        raise Refused("it is a zip archive, but not from PyTorch")
    data = archive.read(name)
    if b"_reconstruct_persistent_obj" not in data:
        return None
    folder = name.removesuffix("data.pkl")

    def storage(pid: object) -> Tensor:
        kind, dtype, key = pid[:3] if isinstance(pid, tuple) and len(pid) > 2 else (None, None, None)
        if kind != "storage" or dtype not in _STORAGES or not isinstance(key, str):
            raise Refused("it refers to data of an unknown kind")
        raw = archive.read(f"{folder}data/{key}")
        return torch.frombuffer(bytearray(raw), dtype=_STORAGES[dtype]) if raw else torch.empty(0)

    return networks(io.BytesIO(data), storage)
