"""Files of this package as input: converted ones, whose header says everything, and networks that `train` made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from inversion.checkpoints.layouts import Checkpoint, Found
from inversion.checkpoints.layouts.source import Renamed
from inversion.encoders import ENCODERS, Encoder
from inversion.generators import GENERATORS, StateDictError, architecture_of

LAYOUT = "inversion"  # the name of this package's own layout
ENCODER = "encoder"  # in the header of a trained encoder: its architecture
MEAN = "latent_avg"  # a tensor of every encoder


def own_networks(checkpoint: Checkpoint, header: object, encoder: str | None = None) -> list[Found]:
    """The networks of a file of this package, [] for any other.

    header: of a file of this package, else None. encoder: "psp", "e4e", ... if an encoder does not state it.
    """
    networks = header.get("networks") if isinstance(header, dict) else None
    if isinstance(networks, dict):
        return [
            Found(str(part["layout"]), kind, str(part["architecture"]), _kept(checkpoint, f"{kind}."))
            for kind, part in networks.items()
            if isinstance(part, dict) and {"layout", "architecture"} <= part.keys()
        ]
    architecture = architecture_of(checkpoint)
    if architecture is None:
        stated = header.get(ENCODER) if isinstance(header, dict) else None
        return _encoders(_kept(checkpoint, ""), str(stated or encoder)) if MEAN in checkpoint else []
    if not all(isinstance(checkpoint[k], Tensor) for k in GENERATORS[architecture].signature):
        return []
    return [Found(LAYOUT, "generator", architecture, _kept(checkpoint, ""))]


def encoder_header(encoder: Encoder) -> dict[str, str]:
    """The header of a trained encoder's file: several architectures have the same tensors."""
    return {ENCODER: next(name for name, kind in ENCODERS.items() if type(encoder) is kind)}


def _encoders(tensors: Renamed, wanted: str) -> list[Found]:
    """An encoder that has exactly these tensors, or []. wanted: its architecture, or the role that it is made for."""
    fitting = [*_fitting(tensors)]
    chosen = next((name for name in fitting if wanted in (name, ENCODERS[name].role)), fitting[0] if fitting else None)
    return [] if chosen is None else [Found(LAYOUT, "encoder", chosen, tensors)]


def _fitting(tensors: Renamed) -> Iterator[str]:
    """The architectures of encoders that can be built of these tensors."""
    for name, kind in ENCODERS.items():
        try:
            kind.from_state_dict(tensors)
        except StateDictError:
            continue
        yield name


def _kept(tensors: Mapping[str, object], prefix: str) -> Renamed:
    """The tensors below a prefix, which have this package's names, as float32 if they are floating-point."""
    kept = Renamed()
    for key, value in tensors.items():
        if key.startswith(prefix) and isinstance(value, Tensor):
            name = key.removeprefix(prefix)
            kept[name] = value.float() if value.is_floating_point() else value
            kept.origins[name] = key
    return kept
