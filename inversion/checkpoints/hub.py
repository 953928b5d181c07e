"""From a name in checkpoints.yaml to a Model: fetched, checked, converted once, opened; networks kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from torch import Tensor, nn

from inversion.checkpoints import convert, fetch
from inversion.checkpoints.registry import DEFAULT, SERVE_ALL, BadCheckpoint, Entry, HubError, registry
from inversion.directions import Direction, from_array, from_tensors
from inversion.encoders import ENCODERS, ArcFace, Encoder
from inversion.generators import GENERATORS, Discriminator, StateDictError
from inversion.model import Encoders, Model
from inversion.perception import LPIPS, InDomainFeatures, KerasVGG16, LPIPSNetwork, cached_lpips

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class _Opened:
    """A model in memory. What is `lacking` is looked for at every load, because its file may have come since."""

    bare: Model  # the generator and what its own file holds
    whole: Model  # with all that belongs to it and is at hand
    lacking: Mapping[Entry, fetch.Mark]  # those in `whole.absent`, and what their files were


KEPT = 4  # models in memory; the one that has not been asked for the longest makes room
_models: dict[Hashable, _Opened] = {}  # the one asked for last comes last
_locks: dict[Hashable, threading.Lock] = {}
_keeping = threading.Lock()


def load(name: str = DEFAULT, device: str = "auto", dtype: str = "auto") -> Model:
    """The model `name` with all that is registered for its generator and at hand; in memory until `KEPT` others came.

    device: auto, cpu, cuda; dtype: auto, float32, bfloat16, float16 (of the generator's convolutions). A generator that
    is not at hand is downloaded; what belongs to it is not, see `Model.absent`. When the file of something absent has
    come, or come anew, the answer is another `Model` around the same generator; whoever works with the old one keeps
    it. Raises HubError.
    """
    where = _device(device)
    precision = _dtype(dtype, where)
    key = (name, str(where), precision)
    with _locks.setdefault(key, threading.Lock()):  # a long download keeps nobody from the other models
        opened = _models.get(key)
        if opened is None or any(fetch.mark(entry) != mark for entry, mark in opened.lacking.items()):
            bare = _build(name, where, precision) if opened is None else opened.bare
            opened = _completed(bare)
        _keep(key, opened)  # a load that fails leaves nothing behind
        return opened.whole


def _keep(key: Hashable, opened: _Opened) -> None:
    with _keeping:
        _models.pop(key, None)
        _models[key] = opened
        while len(_models) > KEPT:
            del _models[next(iter(_models))]


def tensors_of(entry: Entry) -> dict[str, Tensor]:
    """An embedded entry's tensors on the CPU in float32, from a file whose size and sha256 are the registered ones."""
    path = fetch.fetch(entry)
    data = path.read_bytes()
    try:
        tensors = parse_safetensors(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BadCheckpoint(
            f"{entry.name}: {path.name} is no safetensors file ({' '.join(str(error).split())})"
        ) from None
    for key, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise BadCheckpoint(f"{entry.name}: {key} holds values that are not numbers")
    return {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}


def networks_of(entry: Entry) -> dict[str, nn.Module]:
    """The networks of a file that is not embedded by kind, on the CPU, from its converted copy.

    The copy is made at the first time, and again where it is damaged or of another version. Raises HubError.
    """
    source = fetch.fetch(entry)
    if entry.by_hand:
        return _named(entry, lambda: convert.open_converted(source))
    copy = fetch.converted(fetch.digest(source))
    if not fetch.intact(copy):
        _convert(entry, source, copy)
    try:
        return convert.open_converted(copy)
    except BadCheckpoint:
        _convert(entry, source, copy, anew=True)
    return _named(entry, lambda: convert.open_converted(copy))


def _convert(entry: Entry, source: Path, copy: Path, anew: bool = False) -> None:
    """Write the converted copy of a file that has been checked; none of a file that holds something else."""
    encoder = entry.architecture if entry.kind == "encoder" else None
    with fetch.locked(copy.stem):
        if fetch.intact(copy) and not anew:
            return  # another process has made it in the meantime
        contents = _named(entry, lambda: convert.convert(source, copy, encoder))
        if not any(part.kind == entry.kind for part in contents.networks):
            copy.unlink()
            kinds = ", ".join(part.kind for part in contents.networks)
            raise BadCheckpoint(f"{entry.name}: {source.name} holds no {entry.kind} ({kinds})")
        fetch.seal(copy)


def _named(entry: Entry, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever `work` makes
    """Complaints about a file start with the entry's name."""
    try:
        return work()
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{entry.name}: {error}") from None


def _build(name: str, device: torch.device, dtype: torch.dtype) -> Model:
    """The generator `name` with what its own file holds, and what needs no entry: pictures, LPIPS if it is here."""
    entries = registry()
    entry = entries.get(name)
    if entry is None or entry.kind != "generator":
        known = ", ".join(e.name for e in entries.values() if e.kind == "generator")
        raise HubError(f"unknown model {name!r}: choose from {known}")
    architecture = GENERATORS[entry.architecture]
    if entry.file is not None:
        parts: dict[str, nn.Module] = {"generator": network(entry, architecture.from_state_dict)}
    else:
        parts = networks_of(entry)
    prior, discriminator = parts["generator"], parts.get("discriminator")
    if not isinstance(prior, architecture):
        raise BadCheckpoint(f"{name}: it is a {type(prior).__name__}, the registry says {entry.architecture}")
    if prior.resolution != entry.resolution:
        raise BadCheckpoint(f"{name}: it makes {prior.resolution} pixels, the registry says {entry.resolution}")
    model = Model(
        name,
        prior.to(device).freeze(dtype),
        entry.resolution,
        device,
        entry,
        discriminator=_still(discriminator, device) if isinstance(discriminator, Discriminator) else None,
        perceptual=cached_lpips(device),
        domain=entry.domain,
        licence=entry.licence,
        sha256=fetch.expected(entry)[0] or "",
    )
    from inversion.synthetic import DOMAINS

    if (drawer := DOMAINS.get(entry.domain)) is not None:
        model.pictures = lambda n, rng: drawer.pictures(n, rng, entry.resolution).to(device)
    return model


def _completed(bare: Model) -> _Opened:
    """A generator with all that belongs to it and is at hand; of the rest `Model.absent` says why not.

    Of several that do the same the first in the registry counts. Embedded files have to be right; a downloaded one that
    is not costs the model nothing but what it holds.
    """
    model = replace(bare, directions={}, absent={})
    encoders: dict[str, Callable[[], Encoder]] = {}
    served: set[str] = set()  # what there is one of already: kinds of networks, roles of encoders
    entries = [entry for entry in registry().values() if _belongs(entry, model)]
    marks = {entry: fetch.mark(entry) for entry in entries}  # before the files are read: what comes later is news
    for entry in entries:
        place = entry.name if entry.kind == "directions" else entry.role or entry.architecture
        if entry.file is None and marks[entry] is None:
            model.absent[entry.name] = "not cached"
        elif place not in served:
            try:
                if entry.kind == "encoder":
                    encoders[place] = partial(_encoder, entry, model)
                else:
                    _attach(model, entry)
                served.add(place)
            except HubError as error:
                if entry.file is not None:
                    raise
                model.absent[entry.name] = str(error)
    model.encoders = Encoders(encoders)
    return _Opened(bare, model, {entry: marks[entry] for entry in entries if entry.name in model.absent})


def _belongs(entry: Entry, model: Model) -> bool:
    """Whether an entry is for the model. ArcFace reads faces that are cut as FFHQ's alone, LPIPS reads everything."""
    if entry.kind == "detector":
        return False
    if entry.kind == "predictor":
        return entry.domain == model.domain  # it judges pictures, whichever generator made them
    if entry.generator is None and entry.kind in SERVE_ALL:
        crop, features = ("none", "none") if model.entry is None else (model.entry.crop, model.entry.perceptual)
        return crop == "ffhq" if entry.kind == "identity" else entry.architecture in ("lpips", features)
    return entry.generator == model.name


def _attach(model: Model, entry: Entry) -> None:
    """Add a network or a direction that belongs to the model's generator, unless it has one already."""
    if entry.kind == "discriminator" and model.discriminator is None:
        judge = _open(entry, Discriminator)
        if judge.resolution != model.resolution:
            raise BadCheckpoint(f"{entry.name}: it judges {judge.resolution} pixels, {model.name} makes others")
        model.discriminator = _still(judge, model.device)
    elif entry.kind == "predictor":
        from inversion.perception.predictor import Predictor

        model.predictor = _still(network(entry, Predictor.from_state_dict), model.device)
    elif entry.kind == "identity":
        model.identity = _still(_open(entry, ArcFace), model.device)
    elif entry.architecture == "keras-vgg16":
        model.features = InDomainFeatures(_still(_open(entry, KerasVGG16), model.device))
    elif entry.kind == "perceptual" and model.perceptual is None:
        model.perceptual = LPIPS(_still(_open(entry, LPIPSNetwork), model.device))
    elif entry.kind == "directions":
        model.directions |= {d.name: d for d in _directions(entry, model)}


def _open(entry: Entry, kind: type[Any]) -> Any:  # noqa: ANN401 - a `kind`
    """The entry's network, embedded or not. BadCheckpoint if the file holds another kind."""
    if entry.file is not None:
        return network(entry, kind.from_state_dict)
    found = networks_of(entry)[entry.kind]
    if not isinstance(found, kind):
        raise BadCheckpoint(f"{entry.name}: it is a {type(found).__name__}, the registry says {entry.architecture}")
    return found


def _encoder(entry: Entry, model: Model) -> Encoder:
    """An encoder that makes styles of the model's generator."""
    encoder: Encoder = _open(entry, ENCODERS[entry.architecture])
    prior = model.prior
    if prior is None or (encoder.num_ws, encoder.w_dim) != (prior.num_ws, prior.w_dim):
        raise BadCheckpoint(f"{entry.name}: its {encoder.num_ws} styles do not fit the generator {model.name}")
    return _still(encoder, model.device)


def _directions(entry: Entry, model: Model) -> list[Direction]:
    """The directions of a file of ours, or the one of a published array; pickled ones are refused."""
    prior = model.prior
    if prior is None:
        raise BadCheckpoint(f"{entry.name}: {model.name} has no generator")
    if entry.format == "safetensors":
        return network(entry, lambda tensors: from_tensors(tensors, prior))
    path = fetch.fetch(entry)
    try:
        array = np.load(path, allow_pickle=False)
        vector = torch.as_tensor(np.asarray(array, dtype=np.float32)).reshape(-1, prior.w_dim)
    except (OSError, ValueError, TypeError, EOFError, RuntimeError) as error:
        raise BadCheckpoint(f"{entry.name}: {path.name} is no plain array ({' '.join(str(error).split())})") from None
    try:
        return [from_array(entry.name, vector, prior)]
    except StateDictError as error:
        raise BadCheckpoint(f"{entry.name}: {path.name} is {error}") from None


def _still(module: Any, device: torch.device) -> Any:  # noqa: ANN401 - the module that came in
    return module.to(device).eval().requires_grad_(False)


def network(entry: Entry, build: Callable[[Mapping[str, Tensor]], Any]) -> Any:  # noqa: ANN401 - whatever `build` makes
    """The entry's network; BadCheckpoint names the keys that are missing, unknown or of the wrong shape."""
    try:
        return build(tensors_of(entry))
    except StateDictError as error:
        raise BadCheckpoint(f"{entry.name}: {error}") from None


def _device(name: str) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise HubError(f"unknown device {name!r}: choose from auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise HubError("there is no CUDA device here: choose cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _dtype(name: str, device: torch.device) -> torch.dtype:
    """auto: bfloat16 where the device multiplies it natively (half the time, the same figures), else float32."""
    if name in DTYPES:
        return DTYPES[name]
    if name != "auto":
        raise HubError(f"unknown dtype {name!r}: choose from auto, {', '.join(DTYPES)}")
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device)[0] >= 8
    else:
        native = torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32
