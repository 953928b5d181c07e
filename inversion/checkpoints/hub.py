"""From a name in checkpoints.yaml to a Model; recently used models stay in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from inversion.checkpoints import fetch
from inversion.checkpoints.assembly import bare_model, belonging, complete_model
from inversion.checkpoints.registry import DEFAULT, Entry, HubError, registry, weight_bytes
from inversion.checkpoints.store import Mark
from inversion.common import devices, memory
from inversion.common.commands import DEVICES, DTYPES
from inversion.model import Model

TORCH_DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in DTYPES}
MAX_MODELS = 4  # in memory
Key = tuple[str, str, torch.dtype]  # name, device, dtype


@dataclass(frozen=True)
class OpenedModel:
    """A model in memory, and the marks of the files that it lacked when it was put together."""

    bare: Model  # the generator and what its own file holds
    complete: Model  # with every available entry that belongs to it
    lacking: Mapping[Entry, Mark | None]
    entries: tuple[Entry | None, ...]  # its own, and those that belong to it

    @property
    def current(self) -> bool:
        """Whether no entry and no lacking file has been added or replaced since."""
        unchanged = all(fetch.mark(entry) == mark for entry, mark in self.lacking.items())
        return unchanged and self.entries == _entries(self.bare)


class ModelCache:
    """Models in memory. The least recently used one is dropped for room on a GPU, or if there are more than `size`.

    Thread-safe.
    """

    def __init__(self, size: int = MAX_MODELS) -> None:
        self.size = size
        self._models: dict[Key, OpenedModel] = {}  # the most recently used one is last
        self._loading: dict[Key, threading.Lock] = {}
        self._guard = threading.Lock()

    def loading(self, key: Key) -> threading.Lock:
        """The lock to hold while a model is loaded, one per key: a long download does not block other models."""
        return self._loading.setdefault(key, threading.Lock())

    def get(self, key: Key) -> OpenedModel | None:
        """The model, if it is in memory."""
        return self._models.get(key)

    def put(self, key: Key, opened: OpenedModel) -> None:
        """Keep a model as the most recently used one."""
        with self._guard:
            self._models.pop(key, None)
            self._models[key] = opened
            dropped = list(self._models)[: max(0, len(self._models) - self.size)]
            for oldest in dropped:
                del self._models[oldest]
        if dropped:
            memory.collect()

    def make_room(self, device: torch.device, need: int) -> None:
        """Drop models of a GPU, least recently used first, until it has `need` free bytes or holds none of them."""
        while devices.is_short_of(device, need):
            with self._guard:
                oldest = next((key for key in self._models if key[1] == str(device)), None)
                if oldest is None:
                    return
                del self._models[oldest]

    def clear(self) -> None:
        """Drop all models."""
        with self._guard:
            self._models.clear()

    def __len__(self) -> int:
        return len(self._models)


models = ModelCache()


def load(name: str = DEFAULT, device: str = "auto", dtype: str = "auto") -> Model:
    """The model `name` with every available entry that belongs to its generator.

    device: auto, cpu, cuda, mps. dtype, of the generator's convolutions: auto, float32, bfloat16, float16. A missing
    generator is downloaded; other missing files are not, see `Model.absent`. After an absent file has been added or
    replaced, `load` returns a new `Model` with the same generator, and earlier models stay valid. Raises HubError.
    """
    where = find_device(device)
    precision = _dtype(dtype, where)
    key = (name, str(where), precision)
    with models.loading(key):
        opened = models.get(key)
        if opened is None or not opened.current:
            same = opened is not None and opened.entries[0] == registry().get(name)
            if not same:
                models.make_room(where, weight_bytes(name))
            bare = opened.bare if opened is not None and same else bare_model(name, where, precision)
            opened = OpenedModel(bare, *complete_model(bare), _entries(bare))
        models.put(key, opened)  # not reached by a load that fails
        return opened.complete


def _entries(model: Model) -> tuple[Entry | None, ...]:
    """The entry of a model, and those that belong to it."""
    return (registry().get(model.name), *belonging(model))


def find_device(name: str) -> torch.device:
    """The device of a name in `DEVICES`; auto: CUDA, else Apple's GPU, else the CPU. Raises HubError."""
    if name not in DEVICES:
        raise HubError(f"Unknown device {name!r}. Choose one of: {', '.join(DEVICES)}.")
    if name == "cuda" and not torch.cuda.is_available():
        raise HubError("No CUDA device is available. Choose cpu or auto.")
    if name == "mps" and not devices.mps_works():
        reason = "torch cannot compute on it" if torch.backends.mps.is_available() else "none is available"
        raise HubError(f"mps needs a GPU of Apple, but {reason}. Choose cpu or auto.")
    if name == "cpu" or torch.cuda.is_available():
        return torch.device("cpu" if name in ("cpu", "mps") else "cuda")
    return torch.device("mps" if devices.mps_works() else "cpu")


def _dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of a name. auto: see `devices.fast_dtype`."""
    if name in TORCH_DTYPES:
        return TORCH_DTYPES[name]
    if name != "auto":
        raise HubError(f"Unknown dtype {name!r}. Choose one of: auto, {', '.join(DTYPES)}.")
    return devices.fast_dtype(device)
