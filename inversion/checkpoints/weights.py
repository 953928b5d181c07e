"""From an entry to a network: the file is fetched, checked, converted once if it is foreign, and opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from torch import Tensor, nn
from typing_extensions import Self

from inversion.checkpoints import convert, fetch, store
from inversion.checkpoints.accidents import safetensors_fault
from inversion.checkpoints.registry import BadCheckpoint, Entry
from inversion.generators import StateDictError


class Loadable(Protocol):
    """A network that is built from its tensors."""

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from tensors under this package's names. Raises StateDictError."""


Network = TypeVar("Network", bound=Loadable)
Module = TypeVar("Module", bound=nn.Module)


def open_network(entry: Entry, cls: type[Network]) -> Network:
    """The entry's network, on the CPU. Raises HubError; BadCheckpoint if the file holds another class of network."""
    if entry.file is not None:
        tensors = tensors_of(entry)
        with errors_naming(entry):
            return cls.from_state_dict(tensors)
    found = networks_of(entry).get(entry.kind)
    if not isinstance(found, cls):
        raise BadCheckpoint(f"{entry.name}: its file does not hold the network {entry.architecture} of the registry")
    return found


def tensors_of(entry: Entry) -> dict[str, Tensor]:
    """An embedded entry's tensors {name: tensor}, on the CPU, in float32 if they are floating-point.

    The file is parsed only if its size and sha256 are the registered ones. Raises BadCheckpoint.
    """
    path = fetch.fetch(entry)
    try:
        tensors = parse_safetensors(path.read_bytes())
    except (SafetensorError, ValueError, KeyError, TypeError):
        reason = safetensors_fault(path)
        raise BadCheckpoint(f"{entry.name}: {path.name} is not a whole safetensors file: {reason}") from None
    for key, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise BadCheckpoint(f"{entry.name}: {key} holds values that are not finite numbers")
    return {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}


def networks_of(entry: Entry) -> dict[str, nn.Module]:
    """The networks by kind in the file of an entry that is not embedded, on the CPU, from its converted copy.

    The copy is made at the first use, and again if it is damaged or of another version. Raises HubError.
    """
    source = fetch.fetch(entry)
    if entry.by_hand:
        with errors_naming(entry):
            return convert.open_converted(source)
    copy = store.converted(store.digests.of(source))
    if not store.intact(copy):
        _convert(entry, source, copy)
    try:
        return convert.open_converted(copy)
    except BadCheckpoint:
        _convert(entry, source, copy, again=True)
    with errors_naming(entry):
        return convert.open_converted(copy)


def frozen(module: Module, device: torch.device) -> Module:
    """The module itself, on the device, in eval mode and without gradients."""
    return module.to(device).eval().requires_grad_(False)


@contextmanager
def errors_naming(entry: Entry) -> Iterator[None]:
    """Put the entry's name before the text of BadCheckpoint and StateDictError; both become BadCheckpoint."""
    try:
        yield
    except (BadCheckpoint, StateDictError) as error:
        raise BadCheckpoint(f"{entry.name}: {error}") from None


def _convert(entry: Entry, source: Path, copy: Path, again: bool = False) -> None:
    """Write the converted copy of a checked file. Raises BadCheckpoint if it does not hold the entry's kind."""
    encoder = entry.architecture if entry.kind == "encoder" else None
    with store.locked(copy.stem):
        if store.intact(copy) and not again:
            return  # another process has made it in the meantime
        with errors_naming(entry):
            contents = convert.convert(source, copy, encoder)
        if not any(part.kind == entry.kind for part in contents.networks):
            copy.unlink()
            kinds = ", ".join(part.kind for part in contents.networks)
            raise BadCheckpoint(f"{entry.name}: {source.name} holds no {entry.kind}, only {kinds}")
        store.seal(copy)
