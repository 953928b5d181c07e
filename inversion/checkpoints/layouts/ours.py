"""Files of this package as input: converted ones, whose header says everything, and generators of `train`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from inversion.checkpoints.layouts import Checkpoint, Found
from inversion.checkpoints.layouts.source import Renamed
from inversion.generators import GENERATORS, architecture_of

LAYOUT = "inversion"  # the name of this package's own layout


def own_networks(checkpoint: Checkpoint, header: object) -> list[Found]:
    """The networks of a file of this package, [] for any other. header: of a converted file, else None."""
    networks = header.get("networks") if isinstance(header, dict) else None
    if isinstance(networks, dict):
        return [
            Found(str(part["layout"]), kind, str(part["architecture"]), _kept(checkpoint, f"{kind}."))
            for kind, part in networks.items()
            if isinstance(part, dict) and {"layout", "architecture"} <= part.keys()
        ]
    architecture = architecture_of(checkpoint)
    if architecture is None or not all(isinstance(checkpoint[k], Tensor) for k in GENERATORS[architecture].signature):
        return []
    return [Found(LAYOUT, "generator", architecture, _kept(checkpoint, ""))]


def _kept(tensors: Mapping[str, object], prefix: str) -> Renamed:
    """The tensors below a prefix, which have this package's names, as float32 if they are floating-point."""
    kept = Renamed()
    for key, value in tensors.items():
        if key.startswith(prefix) and isinstance(value, Tensor):
            name = key.removeprefix(prefix)
            kept[name] = value.float() if value.is_floating_point() else value
            kept.origins[name] = key
    return kept
