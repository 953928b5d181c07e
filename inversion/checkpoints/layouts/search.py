"""Finds networks in a checkpoint of any form: at any depth, under any prefix, beside any other content.

    survey = survey_of(checkpoint)      # nested dicts of tensors
    survey.found, survey.notes          # networks to use, and notes about other parts

A network is the part of the keys below one dotted prefix that has all signature keys of a layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from typing_extensions import Unpack

from inversion.checkpoints.inert import one_line
from inversion.checkpoints.layouts import ENCODER_TYPES, LAYOUTS, Checkpoint, Found, Shared, network
from inversion.checkpoints.layouts.unsupported import name_of, unsupported_reason
from inversion.generators import Prior, StateDictError

AVERAGES = ("latent_avg", "mean_latent", "latent_mean")  # names of the mean style beside a network
CLAMP = "conv_clamp"  # beside a state dict in NVIDIA's names: the limit of its layers
WITH_AVERAGE = ("rosinality", "psp", "single-w", "single-wplus")  # layouts that keep it outside of the network
PSP = WITH_AVERAGE[1:]
OPTIONS = ("opts", "args", "hparams")  # where a training script keeps its settings
MAIN = ("generator", "encoder", "discriminator")  # if a file has one of these kinds, its other networks are losses
MAX_ENTRIES = 1_000_000  # of a checkpoint; an optimiser of the largest network has 10,000
WHOLE = "use the file as its authors published it"


class NothingFound(StateDictError):
    """A checkpoint without a known network."""


@dataclass(frozen=True)
class Unreadable:
    """Placeholder for a part of a checkpoint that could not be read. `network`: whether it is a network."""

    reason: str
    network: bool = False


@dataclass(frozen=True)
class Survey:
    """The networks of a checkpoint to use, and sentences about the parts that were left out."""

    found: list[Found]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Place:
    """A network within a checkpoint."""

    prefix: str  # of its keys, with a dot at the end, or empty
    layout: str
    tensors: dict[str, Tensor]

    @property
    def kind(self) -> str:
        """The kind of its layout."""
        return LAYOUTS[self.layout].kind

    @property
    def rank(self) -> int:
        """0 for an averaged copy of the weights, which is preferred; 1 otherwise."""
        return 0 if re.search(r"(^|[._])ema($|[._])|smooth", self.prefix.lower()) else 1


def networks(checkpoint: Checkpoint, encoder: str | None = None) -> list[Found]:
    """The networks of a checkpoint; see `survey_of`, which lists the errors raised."""
    return survey_of(checkpoint, encoder).found


def survey_of(checkpoint: Checkpoint, encoder: str | None = None) -> Survey:
    """Recognise the networks of a checkpoint: at most one of each kind.

    `encoder` ("psp", "e4e", ...) is the architecture of an encoder if neither its tensors nor the file's own `opts`
    show it. Raises StateDictError, and NothingFound if no network is recognised.
    """
    tensors, unreadable = _flattened(checkpoint)
    broken = {name: part for name, part in unreadable.items() if part.network}
    notes = [f"{name} cannot be read and is left out: {part.reason}." for name, part in broken.items()]
    places = sorted(_places(tensors, ""), key=lambda place: place.rank)
    if not places:
        raise NothingFound(_unrecognised(checkpoint, tensors, unreadable))
    main = [place for place in places if place.kind in MAIN]
    chosen: dict[str, _Place] = {}
    for place in main or places:
        chosen.setdefault(place.kind, place)
    if "generator" in chosen:
        reason = unsupported_reason(chosen["generator"].layout, chosen["generator"].tensors)
        if reason is not None:
            raise StateDictError((name_of(tensors) or reason).rstrip("."))
    options: Checkpoint = next((checkpoint[key] for key in OPTIONS if isinstance(checkpoint.get(key), dict)), {})
    found = _renamed(chosen, tensors, options, encoder, notes)
    used = {place.prefix for place in chosen.values()}
    notes += _left_out(tensors, used, chosen, places)
    for part in found:
        if part.tensors.extra:
            notes.append(f"Left out, because the {part.kind} does not need them: {', '.join(part.tensors.extra[:5])}.")
    return Survey(found, notes)


def _renamed(
    chosen: Mapping[str, _Place],
    tensors: Mapping[str, Tensor],
    options: Checkpoint,
    encoder: str | None,
    notes: list[str],
) -> list[Found]:
    """The chosen networks under this package's names, an encoder first. A discriminator that does not fit is noted."""
    place = chosen.get("encoder")
    if place is not None and place.layout in PSP:
        found = _inversion(place, chosen.get("generator"), tensors, (options, encoder))
    else:
        found = [_named(one, tensors) for kind, one in chosen.items() if kind != "discriminator"]
    if "discriminator" in chosen:
        try:
            found.append(_named(chosen["discriminator"], tensors))
        except StateDictError as error:
            if not found:
                raise
            reason = str(error).removesuffix(f": {WHOLE}")  # nobody has to do anything
            notes.append(f"The discriminator is left out, because it does not fit: {reason}.")
    return found


def _named(place: _Place, tensors: Mapping[str, Tensor], **shared: Unpack[Shared]) -> Found:
    """A place's network under this package's names. Raises StateDictError with the key that does not fit."""
    if place.layout in WITH_AVERAGE and "latent_avg" not in shared:
        shared["latent_avg"] = _average(place, tensors)
    own = {key: value for key, value in place.tensors.items() if key not in AVERAGES}
    clamp = _around(place, tensors, (CLAMP,)) if place.layout == "nvidia" else None
    if clamp is not None and f"synthesis.{CLAMP}" not in own:
        own = {key: value for key, value in own.items() if key != CLAMP} | {f"synthesis.{CLAMP}": clamp}
    try:
        given: Shared = {}
        if shared.get("latent_avg") is not None:
            given["latent_avg"] = shared["latent_avg"]
        if shared.get("num_ws") is not None:
            given["num_ws"] = shared["num_ws"]
        return network(own, **given)
    except StateDictError as error:
        known = name_of(place.tensors)
        if known is not None:
            raise StateDictError(known.rstrip(".")) from None
        architecture = LAYOUTS[place.layout].architecture
        raise StateDictError(f"it holds a network ({architecture}) that does not fit: {error}: {WHOLE}") from None


def _inversion(
    place: _Place, owner: _Place | None, tensors: Mapping[str, Tensor], given: tuple[Checkpoint, str | None]
) -> list[Found]:
    """The encoder of a pSp, e4e or ReStyle file with its generator, if the file has one. Both share the mean style."""
    options, wanted = given
    average = _average(place, tensors)
    if average is not None and average.ndim == 2 and not average.is_meta and bool((average == average[:1]).all()):
        average = average[0]  # equal rows, so one row also serves a generator of another size
    start, num_ws, decoder = average, 0, None
    if owner is not None:
        own: Shared = {"latent_avg": average} if owner.layout in WITH_AVERAGE else {}
        decoder = _named(owner, tensors, **own)
        prior = decoder.build()
        if isinstance(prior, Prior):
            decoder.tensors["w_avg"] = start = prior.w_avg  # measured if the file lacks it
            num_ws = prior.num_ws
    if average is None and options.get("start_from_latent_avg") is False and start is not None:
        start = torch.zeros_like(start)  # trained to predict styles, not offsets
    found = _named(place, tensors, latent_avg=start, num_ws=num_ws)
    kind = ENCODER_TYPES.get(str(options.get("encoder_type"))) or wanted
    architecture = kind if kind and found.architecture == "psp" else found.architecture
    return [Found(found.layout, "encoder", architecture, found.tensors), *([decoder] if decoder else [])]


def _average(place: _Place, tensors: Mapping[str, Tensor]) -> Tensor | None:
    """The mean style that is nearest to a network: within it, or in a container around it."""
    value = _around(place, tensors, AVERAGES)
    return value.reshape(value.shape[-2:]) if value is not None and value.ndim > 2 else value


def _around(place: _Place, tensors: Mapping[str, Tensor], names: Sequence[str]) -> Tensor | None:
    """The tensor of one of these names that is nearest to a network: within it, or in a container around it."""
    around = place.prefix.split(".")[:-1]
    for depth in range(len(around), -1, -1):
        for name in names:
            value = tensors.get(".".join([*around[:depth], name]))
            if value is not None:
                return value
    return None


def _flattened(checkpoint: Checkpoint) -> tuple[dict[str, Tensor], dict[str, Unreadable]]:
    """All tensors of a checkpoint by dotted name, and the parts that could not be read."""
    tensors: dict[str, Tensor] = {}
    unreadable: dict[str, Unreadable] = {}
    visited = 0

    def visit(tree: Checkpoint, prefix: str) -> None:
        nonlocal visited
        for key, value in tree.items():
            visited += 1
            if visited > MAX_ENTRIES:
                raise StateDictError(f"it holds more than {MAX_ENTRIES:,} entries, which no checkpoint has: {WHOLE}")
            name = f"{prefix}{key}"
            if isinstance(value, Tensor):
                tensors[name] = value
            elif isinstance(value, Unreadable):
                unreadable[name] = value
            elif isinstance(value, Mapping):
                visit(value, f"{name}.")

    visit(checkpoint, "")
    return tensors, unreadable


def _places(tensors: Mapping[str, Tensor], prefix: str) -> Iterator[_Place]:
    """The networks below a prefix: one here, if all signature keys of a layout are here, else those further down."""
    scores = {name: layout.signature.split() for name, layout in LAYOUTS.items()}
    whole = [name for name, keys in scores.items() if all(key in tensors for key in keys)]
    if whole:
        yield _Place(prefix, max(whole, key=lambda name: len(scores[name])), dict(tensors))
        return
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        first, dot, rest = key.partition(".")
        if dot:
            parts.setdefault(first, {})[rest] = value
    for first, part in parts.items():
        if len(part) > 1:
            yield from _places(part, f"{prefix}{first}.")


def _left_out(
    tensors: Mapping[str, Tensor], used: set[str], chosen: Mapping[str, _Place], places: list[_Place]
) -> list[str]:
    """A sentence about the parts of a checkpoint that are not used, except copies of used parts."""
    copies = {place.prefix for place in places if place.kind in chosen}
    if "" in used:
        return []
    parts: dict[str, None] = {}
    for key in tensors:
        known = any(key.startswith(prefix) for prefix in copies) or key.rpartition(".")[2] in (*AVERAGES, CLAMP)
        if not known:
            parts[_beside(key, used)] = None
    return [f"Left out: {', '.join(list(parts)[:5])}{', ...' if len(parts) > 5 else ''}."] if parts else []


def _beside(key: str, used: set[str]) -> str:
    """The outermost part of a checkpoint that holds a key and no used part."""
    path = key.split(".")
    names = (".".join(path[: count + 1]) for count in range(len(path)))
    return next(name for name in names if name == key or not any(prefix.startswith(f"{name}.") for prefix in used))


def _unrecognised(checkpoint: Checkpoint, tensors: Mapping[str, Tensor], unreadable: Mapping[str, Unreadable]) -> str:
    """The message about a checkpoint without a known network: its content, and what to do."""
    if not tensors:
        names = ", ".join([*map(one_line, checkpoint)][:5])
        reasons = [f"{one_line(name)}: {part.reason}." for name, part in [*unreadable.items()][:3]]
        only = f"it holds no tensors but only these parts: {names}." if names else "it holds no tensors at all."
        return " ".join([only, *reasons, "Give a checkpoint of StyleGAN2, StyleGAN or PGGAN"])
    known = name_of(tensors)
    if known is not None:
        return known.rstrip(".")
    near = _nearest(tensors)
    if near is not None:
        return near
    first = ", ".join([*map(one_line, tensors)][:3])
    return (
        f"it holds {len(tensors)} tensors, but their names ({first}, ...) are those of no supported network: give a "
        "checkpoint of StyleGAN2, StyleGAN or PGGAN, or of one of their encoders"
    )


def _nearest(tensors: Mapping[str, Tensor]) -> str | None:
    """The message about a network that lacks some of its layout's signature keys. None if no layout is near."""
    best: tuple[float, str, str] = (0.0, "", "")
    prefixes = {""} | {key[: key.index(".", at) + 1] for key in tensors for at in _dots(key)}
    for prefix in prefixes:
        for name, layout in LAYOUTS.items():
            keys = layout.signature.split()
            part = sum(prefix + key in tensors for key in keys) / len(keys)
            if layout.kind in MAIN and part >= 0.5:
                best = max(best, (part, prefix, name))
    if not best[0]:
        return None
    _, prefix, name = best
    absent = [prefix + key for key in LAYOUTS[name].signature.split() if prefix + key not in tensors]
    architecture = LAYOUTS[name].architecture
    return f"it holds only a part of a network ({architecture}): missing {', '.join(absent)}: {WHOLE}"


def _dots(key: str) -> list[int]:
    """Positions from which to search for the ends of the first three components of a key."""
    ends = [i for i, letter in enumerate(key) if letter == "."]
    return [0, *(end + 1 for end in ends)][: min(3, len(ends))]
