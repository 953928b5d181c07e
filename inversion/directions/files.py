"""Directions as tensors of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from inversion.directions.base import SAMPLES, Direction, attribute_label, deviation_along, random_styles
from inversion.directions.bends import AttributeMap, Bend

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior

MAP = "map."  # before the names of the map's tensors


def from_array(name: str, vector: Tensor, prior: Prior) -> Direction:
    """The direction of a published boundary (1 or num_ws, w_dim) of any length. Raises StateDictError."""
    from inversion.generators.base import StateDictError

    length, (rows, width) = float(vector.norm()), vector.shape
    if not 0 < length < float("inf"):
        raise StateDictError("it holds only zero or broken numbers, not a direction: give another one")
    if width != prior.w_dim:
        raise StateDictError(f"it holds a direction of {width} numbers, not of {prior.w_dim}, as this model needs")
    if rows not in (1, prior.num_ws):
        raise StateDictError(
            f"it holds {rows} rows of {width} numbers, and this model has {prior.num_ws} styles: save one row as a "
            "file of its own"
        )
    unit = vector.to(prior.w_avg) / length
    label = name.removeprefix("direction-").replace("-", " ").replace("_", " ").capitalize()
    with torch.no_grad():
        deviation = deviation_along(random_styles(prior, SAMPLES), unit)
    return Direction(name, label, "attributes", unit, deviation, normal=unit)


def names_of(tensors: Mapping[str, object]) -> list[str]:
    """The names of the directions in a file from `train directions`; [] for other files."""
    names = [key.removesuffix(".rows") for key in tensors if key.endswith(".rows")]
    return [name for name in names if {f"{name}.normal", f"{name}.numbers"} <= tensors.keys()]


def from_tensors(tensors: Mapping[str, Tensor], prior: Prior, domain: str) -> list[Direction]:
    """The directions in a file from `train directions`; the inverse of `to_tensors`, which gives the shapes.

    domain: that of the prior's pictures, which labels the attributes. Raises StateDictError if a tensor is missing or
    does not fit the prior.
    """
    from inversion.generators.base import StateDictError

    tensors = {key: tensor.to(prior.w_avg) for key, tensor in tensors.items()}
    bent = _map_of(tensors, prior)
    names = [key.removesuffix(".rows") for key in tensors if key.endswith(".rows")]
    shapes = ((1, prior.w_dim), (prior.num_ws, prior.w_dim))
    found = []
    for name in names:
        try:
            rows, normal, numbers = (tensors[f"{name}.{part}"] for part in ("rows", "normal", "numbers"))
        except KeyError as error:
            raise StateDictError(f"directions: missing {error.args[0]}") from None
        if rows.shape not in shapes or normal.shape != rows.shape or numbers.shape != (5,):
            raise StateDictError(f"directions: {name} does not fit {prior.num_ws} styles of {prior.w_dim} numbers")
        deviation, low, high, *reach = numbers.tolist()
        label = attribute_label(name, domain)
        ends = (reach[0], reach[1])
        found.append(
            Direction(name, label, "attributes", rows, deviation, low, high, normal, ends, _bend(tensors, name, bent))
        )
    if not found:
        raise StateDictError("directions: the file contains none")
    return found


def _map_of(tensors: Mapping[str, Tensor], prior: Prior) -> AttributeMap | None:
    """The map of a file, None if it has none. Raises StateDictError if it does not fit the prior."""
    from inversion.generators.base import StateDictError

    own = {key.removeprefix(MAP): tensor for key, tensor in tensors.items() if key.startswith(MAP)}
    if not own:
        return None
    try:
        made = AttributeMap.from_tensors(own)
        made.step(prior.w_avg.new_zeros(1, prior.w_dim), 0, prior.w_avg.new_zeros(1))
    except (KeyError, IndexError, RuntimeError):
        raise StateDictError(f"directions: the map does not fit styles of {prior.w_dim} numbers") from None
    return made


def _bend(tensors: Mapping[str, Tensor], name: str, bent: AttributeMap | None) -> Bend | None:
    """The bend of a direction of a file, None if it is straight. Raises StateDictError."""
    from inversion.generators.base import StateDictError

    numbers = tensors.get(f"{name}.bend")
    if numbers is None:
        return None
    if bent is None or numbers.shape != (2,) or not 0 <= int(numbers[0]) < bent.attributes:
        raise StateDictError(f"directions: the bend of {name} does not fit the map")
    return Bend(bent, int(numbers[0]), float(numbers[1]))


def to_tensors(directions: Sequence[Direction]) -> dict[str, Tensor]:
    """Fitted directions as tensors, by name.

    NAME.rows and NAME.normal (1 or num_ws, w_dim); NAME.numbers (5,): deviation, low, high, and both ends of reach.
    Bent ones also have NAME.bend (2,): index and slope, and map.*, the state dict of the AttributeMap that they share.

    Raises ValueError for a direction without a normal.
    """
    tensors: dict[str, Tensor] = {}
    for d in directions:
        if d.normal is None:
            raise ValueError(f"{d.name} was not fitted to an attribute")
        tensors |= {
            f"{d.name}.rows": d.rows.cpu().clone(),  # safetensors refuses two names of one tensor
            f"{d.name}.normal": d.normal.cpu().clone(),
            f"{d.name}.numbers": torch.tensor([d.deviation, d.low, d.high, *d.reach]),
        }
        if d.bend is not None:
            tensors[f"{d.name}.bend"] = torch.tensor([float(d.bend.index), d.bend.slope])
            tensors |= {f"{MAP}{key}": tensor.cpu().clone() for key, tensor in d.bend.map.state_dict().items()}
    return tensors
