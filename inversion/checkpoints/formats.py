"""Reads any file that may be a checkpoint: gives its tensors by name, or a message about the kind of file.

The kind is recognised by the content, not by the name. No code in a file is run; see `unpickle`.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from inversion.checkpoints.accidents import CUT, described, explain, safetensors_fault
from inversion.checkpoints.archives import load_archive, load_stream
from inversion.checkpoints.inert import Array
from inversion.checkpoints.layouts import Checkpoint
from inversion.checkpoints.layouts.search import Unreadable
from inversion.checkpoints.unpickle import Inert, Network, Refused, as_network, load_inert, one_line

LEGACY_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number at the start of every torch.save without an archive
WEIGHTS = (".pt", ".pth", ".pkl", ".safetensors", ".ckpt", ".bin", ".tar")
PICKLES = (".pkl", ".pickle", ".p")
PROTOCOL_0 = (b"(", b"c", b"]", b"}")  # first bytes of pickles of the oldest kind
MAX_DEPTH = 50  # of nested containers; deeper ones are left out
CLAMP_KEY = "synthesis.conv_clamp"  # name in `layouts` of the limit of NVIDIA's layers


def read(path: Path) -> tuple[str, Checkpoint | Tensor]:
    """(format, tensors by name in nested dicts, or a single tensor) of a foreign file. Raises Refused."""
    with path.open("rb") as file:
        head = file.read(1024)
    if head[:4] == b"PK\x03\x04":
        return _archive(path)
    if head[8:9] == b"{":
        try:
            return "safetensors", dict(load_file(path))
        except SafetensorError:
            raise Refused(f"it is a broken safetensors file: {safetensors_fault(path)}") from None
    if head[:6] == b"\x93NUMPY":
        return "numpy", _array(path.read_bytes())
    if head[:1] == b"\x80" and LEGACY_TORCH in head[2:24]:
        return "torch", _content(load_stream(path))
    if head[:1] == b"\x80" or (head[:1] in PROTOCOL_0 and path.suffix in PICKLES):
        with path.open("rb") as file:
            content = load_inert(file)
        return "nvidia-pickle", _content({"G_ema": content} if isinstance(content, Network) else content)
    raise Refused(explain(path, head))


def _archive(path: Path) -> tuple[str, Checkpoint | Tensor]:
    """Read a zip archive as torch.save writes it, or refuse it by its declared content."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise Refused(CUT) from None
    with archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if any(name.endswith("/constants.pkl") for name in names):
            raise Refused("it is TorchScript, which is a program: download the weights as a plain state dict")
        if not any(name.endswith("data.pkl") for name in names):
            if names and all(name.endswith(".npy") for name in names):
                return "numpy", {name.removesuffix(".npy"): _array(archive.read(name)) for name in names}
            raise Refused(_zipped(names))
        declared = sum(member.file_size for member in members)
        if declared > path.stat().st_size or any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise Refused(f"its archive declares {declared} bytes of content, but torch.save compresses nothing")
        return "torch", _content(load_archive(path, archive))


def _zipped(names: list[str]) -> str:
    """The message about a zip archive that is not PyTorch's."""
    inside = [name for name in names if name.lower().endswith(WEIGHTS)]
    if inside:
        return f"it is a zip archive that contains {inside[0]}: unpack it, then use the file inside"
    if any(name.endswith(".h5") or name.endswith("saved_model.pb") for name in names):
        return "it is a TensorFlow or Keras model, which cannot be read: use its PyTorch version"
    if any(name.endswith("/archive_format") for name in names):
        return "it was written by torch.export and is a program: download the weights as a plain state dict"
    return "it is a zip archive, but not from PyTorch: unpack it and look for the checkpoint inside"


def _array(data: bytes) -> Checkpoint | Tensor:
    """The content of an .npy file; pickled objects are read with placeholders. Raises Refused."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, dtype = reader(file)
        if dtype.hasobject:
            return _content(load_inert(file))
        return torch.from_numpy(np.ascontiguousarray(np.load(io.BytesIO(data), allow_pickle=False)))
    except (ValueError, TypeError, EOFError, OSError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"it is a broken NumPy file: {described(error)}") from None


def _content(content: object) -> Checkpoint | Tensor:
    """The saved content, as tensors by name in nested dicts, or a single tensor. Raises Refused."""
    plain = _Plainer()(content)
    if isinstance(plain, Tensor | dict):
        return plain
    kind = "a single value"
    if isinstance(content, Inert):
        kind = f"an object of the class {one_line(content.origin)}" if content.origin else "an object"
    raise Refused(f"it holds {kind}, not a checkpoint: give a file of networks or of a direction")


def _plain(tensor: Tensor) -> Tensor:
    """The tensor itself. Raises Refused for a kind that networks here do not compute with."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
        raise Refused(
            "it holds tensors that are sparse, quantised or without values: save the weights as plain floating-point "
            "tensors"
        )
    return tensor


class _Plainer:
    """Turns the content of a file into nested dicts of tensors, numbers and text. Shared objects are visited once."""

    def __init__(self) -> None:
        self._done: dict[int, object] = {}
        self._held: list[object] = []  # so that no id is used twice

    def __call__(self, value: object, depth: int = 0) -> object:
        if isinstance(value, Tensor):
            return _plain(value)
        if value is None or isinstance(value, bool | int | float | str | bytes):
            return value
        if id(value) in self._done or depth > MAX_DEPTH:
            return self._done.get(id(value))
        self._done[id(value)] = None  # for cycles
        self._held.append(value)
        self._done[id(value)] = result = self._convert(value, depth + 1)
        return result

    def _convert(self, value: object, depth: int) -> object:
        if isinstance(value, Array):
            return value.tensor if not value.members else self._several(value.members, depth)
        value = as_network(value)
        if isinstance(value, Network):
            try:
                return self._network(value)
            except Refused as error:
                return Unreadable(str(error), network=True)
        if isinstance(value, Namespace):
            value = vars(value)
        if isinstance(value, Inert):
            held = dict(value) or value.attributes or value.members
            if not held:
                return Unreadable(f"it is an object of the class {one_line(value.origin)}, whose code is not run")
            value = held
        if isinstance(value, Mapping):
            return {str(key): self(item, depth) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return self._several(list(value), depth)
        return None

    def _several(self, values: list[object], depth: int) -> object:
        return self(values[0], depth) if len(values) == 1 else {str(i): self(v, depth) for i, v in enumerate(values)}

    @staticmethod
    def _network(network: Network) -> dict[str, object]:
        tensors: dict[str, object] = dict(network.tensors())
        if any(key.startswith("synthesis.") for key in tensors):
            clamps: set[float] = set()
            with contextlib.suppress(TypeError, ValueError):
                clamps = network.clamps()
            if any(".skip." in key for key in tensors):  # a generator of the 'resnet' kind, which is refused by name
                clamps.discard(float("inf"))
            if len(clamps) > 1:
                raise Refused("its layers clamp at different values, which is not supported")
            if clamps and max(clamps) < float("inf"):
                tensors[CLAMP_KEY] = torch.tensor(float(max(clamps)))
        elif "b4.out.weight" in tensors:  # a discriminator; its layers without an activation have no limit
            limits: set[float] = set()
            with contextlib.suppress(TypeError, ValueError):
                limits = network.clamps() - {float("inf")}
            if len(limits) == 1:
                tensors["conv_clamp"] = torch.tensor(float(limits.pop()))
        return tensors
