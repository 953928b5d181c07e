"""A direction in the space of styles that changes one thing, how it is measured, and how it is stored.

A style is what the mapping makes of a z. A generator without a mapping (PGGAN) has the normalised z itself as its only
style, so that one kind of direction serves all generators and, by `Code.shifted`, all codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inversion.common.settings import SettingError
from inversion.generators.base import Prior, StateDictError
from inversion.generators.ops import pixel_norm

SAMPLES = 4000  # mapped z behind GANSpace and deviations
REACH = 3.0  # of a slider whose range nobody measured, as in InterFaceGAN and SeFa

Layers = tuple[int, int]  # first and last style of a range, both within it


EVERYWHERE = (-float("inf"), float("inf"))


@dataclass(frozen=True, eq=False)
class Direction:
    """One slider. Strengths count the deviations of random codes along it; low <= 0 <= high is the usable range."""

    name: str
    label: str
    group: str  # attributes, sefa or ganspace
    rows: Tensor  # (1 or num_ws, w_dim), unit length in all; one row serves all styles
    deviation: float
    low: float = -REACH
    high: float = REACH
    normal: Tensor | None = None  # as rows: unit normal of the boundary that tells codes with the attribute from others
    reach: tuple[float, float] = EVERYWHERE  # where random codes lie along it, in deviations from the mean

    def step(self) -> Tensor:
        """What strength 1 adds to every style, (1 or num_ws, w_dim)."""
        return self.rows * self.deviation

    def card(self) -> dict[str, Any]:
        """What a slider needs to know, as plain data."""
        return {
            "name": self.name,
            "label": self.label,
            "group": self.group,
            "low": self.low,
            "high": self.high,
            "unit": "standard deviations of random codes",
        }


def conditioned(direction: Tensor, normals: Sequence[Tensor]) -> Tensor:
    """Conditional manipulation (InterFaceGAN, Shen et al. 2020): the direction without its part along the normals.

    All of one shape; the result is as long as the direction. With N the normals as rows: d - N^T (N N^T)^-1 N d.
    """
    held = torch.stack([normal.flatten() for normal in normals])  # (n, D)
    flat = direction.flatten()
    rest = flat - held.t() @ torch.linalg.lstsq(held @ held.t(), (held @ flat)[:, None]).solution[:, 0]
    return (rest * (flat.norm() / rest.norm().clamp_min(1e-12))).view_as(direction)


def style_range(layers: Layers | None, prior: Prior) -> Layers:
    """First and last style of a range, all for None. SettingError where the prior has no such styles."""
    first, last = (0, prior.num_ws - 1) if layers is None else layers
    if not 0 <= first <= last < prior.num_ws:
        raise SettingError(f"layers {first}-{last}: this generator's styles are 0-{prior.num_ws - 1}")
    return first, last


def random_styles(prior: Prior, count: int, seed: int = 0) -> Tensor:
    """Styles of random z, (count, 1 or num_ws, w_dim): one row where all of a code's styles are equal."""
    z = torch.randn(count, prior.z_dim, generator=torch.Generator().manual_seed(seed))
    return as_fitted(prior, prior.mapping(z.to(prior.w_avg)))


def as_fitted(prior: Prior, ws: Tensor) -> Tensor:
    """Styles (B, num_ws, w_dim) of random codes in the shape of directions, (B, 1 or num_ws, w_dim)."""
    if "w+" not in prior.spaces:  # a z: the prior does not look at its length
        return pixel_norm(ws.transpose(1, 2)).transpose(1, 2)
    return ws[:, :1] if "w" in prior.spaces else ws


def deviation_along(styles: Tensor, rows: Tensor) -> float:
    """Standard deviation of styles (n, R, w_dim) along a unit direction (1 or R, w_dim)."""
    return float((styles * rows).sum(dim=2).std(dim=0).square().mean().sqrt())


def from_array(name: str, vector: Tensor, prior: Prior) -> Direction:
    """The direction of a published boundary (1 or num_ws, w_dim) of any length. Raises StateDictError."""
    length = float(vector.norm())
    if vector.shape not in ((1, prior.w_dim), (prior.num_ws, prior.w_dim)) or not 0 < length < float("inf"):
        raise StateDictError(f"no direction of {prior.w_dim} numbers")
    rows = vector.to(prior.w_avg) / length
    label = name.removeprefix("direction-").replace("-", " ").replace("_", " ").capitalize()
    with torch.no_grad():
        deviation = deviation_along(random_styles(prior, SAMPLES), rows)
    return Direction(name, label, "attributes", rows, deviation, normal=rows)


def from_tensors(tensors: Mapping[str, Tensor], prior: Prior) -> list[Direction]:
    """The directions of a file that `train directions` wrote; see `to_tensors`. Raises StateDictError."""
    tensors = {key: tensor.to(prior.w_avg) for key, tensor in tensors.items()}
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
        label = name.replace("_", " ").capitalize()
        found.append(Direction(name, label, "attributes", rows, deviation, low, high, normal, (reach[0], reach[1])))
    if not found:
        raise StateDictError("directions: the file holds none")
    return found


def to_tensors(directions: Sequence[Direction]) -> dict[str, Tensor]:
    """Fitted directions as tensors: name.rows, name.normal, and name.numbers = deviation, low, high and the reach."""
    tensors: dict[str, Tensor] = {}
    for d in directions:
        if d.normal is None:
            raise ValueError(f"{d.name} was not fitted to an attribute")
        tensors |= {
            f"{d.name}.rows": d.rows.cpu().clone(),  # the file must not see two names of one tensor
            f"{d.name}.normal": d.normal.cpu().clone(),
            f"{d.name}.numbers": torch.tensor([d.deviation, d.low, d.high, *d.reach]),
        }
    return tensors
