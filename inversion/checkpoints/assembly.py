"""Assembles a Model: the generator of an entry, and every other entry that belongs to it and is available."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from inversion.checkpoints import fetch, weights
from inversion.checkpoints.registry import SERVE_ALL, BadCheckpoint, Entry, HubError, Kind, lineage, registry
from inversion.checkpoints.store import Mark, expected
from inversion.checkpoints.weights import errors_naming, frozen, open_network
from inversion.common.echo import brief
from inversion.directions import Direction, from_array, from_tensors, names_of
from inversion.encoders import ENCODERS, ArcFace, Encoder
from inversion.generators import GENERATORS, Discriminator
from inversion.model import Encoders, Model, prior_of
from inversion.perception import LPIPS, InDomainFeatures, KerasVGG16, LPIPSNetwork, Predictor, cached_lpips
from inversion.synthetic import DOMAINS

NAMED = 4  # models in an error


def bare_model(name: str, device: torch.device, dtype: torch.dtype) -> Model:
    """The generator `name`, the discriminator in its file, pictures of its domain and cached LPIPS; no other entry.

    `dtype` is that of the generator's convolutions. Raises HubError, and BadCheckpoint if the file does not fit.
    """
    entries = registry()
    entry = entries.get(name)
    if entry is None or entry.kind != "generator":
        known = ", ".join([e.name for e in entries.values() if e.kind == "generator"][:NAMED])
        raise HubError(
            f"There is no model {brief(name)}. Choose one of: {known}, ... All are in the Models tab and in "
            "`python -m inversion models`."
        )
    architecture = GENERATORS[entry.architecture]
    discriminator: nn.Module | None = None
    if entry.file is not None:
        prior = open_network(entry, architecture)
    else:
        parts = weights.networks_of(entry)
        found, discriminator = parts["generator"], parts.get("discriminator")
        if not isinstance(found, architecture):
            raise BadCheckpoint(f"{name}: its file does not hold the network {entry.architecture} of the registry")
        prior = found
    if prior.resolution != entry.resolution:
        raise BadCheckpoint(f"{name}: it makes {prior.resolution} pixels, the registry says {entry.resolution}")
    return Model(
        name,
        prior.to(device).freeze(dtype),
        entry.resolution,
        device,
        discriminator=frozen(discriminator, device) if isinstance(discriminator, Discriminator) else None,
        perceptual=cached_lpips(device),
        pictures=_pictures(entry, device),
        domain=entry.domain,
        licence=entry.licence,
        sha256=expected(entry)[0] or "",
        base_sha256=entry.base_sha256 or "",
    )


def complete_model(bare: Model) -> tuple[Model, dict[Entry, Mark | None]]:
    """A copy of the model with every entry that belongs to it and is available, and the marks of the absent files.

    `Model.absent` says why an entry is absent. If several entries serve one purpose, the first one in the registry is
    used. A wrong embedded file is an error. A wrong file is only absent if it is a download, or if a tuned generator
    borrows it from the model that it was tuned from. Raises HubError.
    """
    model = replace(bare, directions={}, axes={}, absent={})
    encoders: dict[str, Callable[[], Encoder]] = {}
    filled: set[str] = set()  # architectures, roles of encoders and names of directions that the model already has
    entries = belonging(model)
    marks = {entry: fetch.mark(entry) for entry in entries}  # before the files are read, so that no change is missed
    for entry in entries:
        place = entry.name if entry.kind == "directions" else entry.role or entry.architecture
        if entry.file is None and marks[entry] is None:
            model.absent[entry.name] = "not cached"
        elif place not in filled:
            try:
                if entry.kind == "encoder":
                    encoders[place] = partial(_own_encoder if entry.own else _encoder, model, entry)
                else:
                    ATTACH[entry.kind](model, entry)
                filled.add(place)
            except HubError as error:
                if entry.file is not None and entry.generator in (None, model.name):
                    raise
                model.absent[entry.name] = str(error)
                if entry.own:
                    fetch.note(entry, str(error))
    model.encoders = Encoders(encoders)
    return model, {entry: marks[entry] for entry in entries if entry.name in model.absent}


def check_fit(entry: Entry) -> None:
    """Check that an encoder or a direction fits the generator of its model. Raises HubError if it does not."""
    model = bare_model(str(entry.generator), torch.device("cpu"), torch.float32)
    if entry.kind == "encoder":
        _encoder(model, entry)
    else:
        ATTACH[entry.kind](replace(model, directions={}), entry)


def belonging(model: Model) -> list[Entry]:
    """The entries that the model uses besides its generator, in the order of the registry."""
    entries, owners = registry(), lineage(model.name)  # read once: every load and every edit asks
    owner = entries.get(model.name)
    return [entry for entry in entries.values() if _belongs(entry, model.domain, owner, owners)]


def _belongs(entry: Entry, domain: str, owner: Entry | None, owners: Sequence[str]) -> bool:
    """Whether a model uses an entry besides its generator. owner: the model's own. owners: see `lineage`."""
    if entry.kind == "detector":
        return False
    if entry.kind == "predictor":
        return entry.domain == domain  # it reads pictures of the domain from any generator
    if entry.generator is None and entry.kind in SERVE_ALL:
        crop, features = ("none", "none") if owner is None else (owner.crop, owner.perceptual)
        # ArcFace reads faces that are aligned as FFHQ's; LPIPS reads any picture.
        return crop == "ffhq" if entry.kind == "identity" else entry.architecture in ("lpips", features)
    return entry.generator is not None and entry.generator in owners


# --- functions that attach an entry to a model, one per kind ---


def _discriminator(model: Model, entry: Entry) -> None:
    if model.discriminator is not None:
        return
    discriminator = open_network(entry, Discriminator)
    if discriminator.resolution != model.resolution:
        side = discriminator.resolution
        raise BadCheckpoint(f"{entry.name}: it reads {side} pixels, {model.name} makes {model.resolution}")
    model.discriminator = frozen(discriminator, model.device)


def _predictor(model: Model, entry: Entry) -> None:
    predictor = open_network(entry, Predictor)
    if entry.domain in DOMAINS:
        with errors_naming(entry):
            predictor.name_attributes(DOMAINS[entry.domain].names)
    model.predictor = frozen(predictor, model.device)


def _identity(model: Model, entry: Entry) -> None:
    model.identity = frozen(open_network(entry, ArcFace), model.device)


def _perceptual(model: Model, entry: Entry) -> None:
    if entry.architecture == "keras-vgg16":
        model.features = InDomainFeatures(frozen(open_network(entry, KerasVGG16), model.device))
    elif model.perceptual is None:
        model.perceptual = LPIPS(frozen(open_network(entry, LPIPSNetwork), model.device))


def _directions(model: Model, entry: Entry) -> None:
    for direction in _read_directions(entry, model):
        model.directions.setdefault(direction.name, direction)


def _axes(model: Model, entry: Entry) -> None:
    prior, tensors = prior_of(model), weights.tensors_of(entry)
    for name, rows in (("w", 1), ("wplus", prior.num_ws)):
        with weights.errors_naming(entry):
            found = tensors[name]
        if tuple(found.shape) != (rows, prior.w_dim, prior.w_dim):
            raise BadCheckpoint(f"{entry.name}: its axes do not fit the generator {model.name}")
        model.axes[name] = found.to(prior.w_avg)


ATTACH: dict[Kind, Callable[[Model, Entry], None]] = {
    "discriminator": _discriminator,
    "predictor": _predictor,
    "identity": _identity,
    "perceptual": _perceptual,
    "directions": _directions,
    "axes": _axes,
}


def _encoder(model: Model, entry: Entry) -> Encoder:
    """The entry's encoder. Raises BadCheckpoint if its styles do not fit the model's generator."""
    encoder = open_network(entry, ENCODERS[entry.architecture])
    prior = prior_of(model)
    if encoder.w_dim == prior.w_dim and bool(encoder.latent_avg.isnan().any()):
        encoder.latent_avg = prior.w_avg.cpu().clone()  # the file lacks the mean, which is the generator's
        encoder.num_ws = prior.num_ws if encoder.num_ws == 1 else encoder.num_ws
    if (encoder.num_ws, encoder.w_dim) != (prior.num_ws, prior.w_dim):
        raise BadCheckpoint(
            f"{entry.name}: it makes {encoder.num_ws} styles of {encoder.w_dim} numbers, but the generator "
            f"{model.name} has {prior.num_ws} of {prior.w_dim}: give the generator that it was trained for, or another "
            "encoder"
        )
    return frozen(encoder, model.device)


def _own_encoder(model: Model, entry: Entry) -> Encoder:
    """As `_encoder`, for a file of the user's, which may have been added before its generator was there."""
    try:
        return _encoder(model, entry)
    except BadCheckpoint as error:
        fetch.note(entry, str(error))
        raise BadCheckpoint(
            f"{error}, or remove it in the Models tab or with `python -m inversion models --remove {entry.name}`"
        ) from None


def _read_directions(entry: Entry, model: Model) -> list[Direction]:
    """The directions in our own safetensors file, or the single one in a plain array. Pickled arrays are refused."""
    prior = prior_of(model)
    name = Path(entry.filename or "").stem if entry.own else entry.name
    if entry.format == "safetensors":
        tensors = weights.tensors_of(entry)
        with weights.errors_naming(entry):
            if not names_of(tensors):  # as other projects publish them
                return [from_array(key, value.reshape(-1, value.shape[-1]), prior) for key, value in tensors.items()]
            return from_tensors(tensors, prior, model.domain)
    path = fetch.fetch(entry)
    try:
        array = np.load(path, allow_pickle=False)
        vector = torch.as_tensor(np.asarray(array, dtype=np.float32))
        vector = vector.reshape(-1, vector.shape[-1])
    except (OSError, ValueError, TypeError, EOFError, RuntimeError, IndexError):
        text = f"it is no array with rows of {prior.w_dim} numbers, as the styles of {model.name}: give another one"
        raise BadCheckpoint(f"{entry.name}: {text}") from None
    with weights.errors_naming(entry):
        return [from_array(name, vector, prior)]


def _pictures(entry: Entry, device: torch.device) -> Callable[[int, torch.Generator], Tensor] | None:
    """The function that draws pictures of an embedded domain; None for other domains."""
    from inversion.synthetic import DOMAINS

    domain = DOMAINS.get(entry.domain)
    if domain is None:
        return None
    return lambda n, rng: domain.pictures(n, rng, entry.resolution).to(device)
