"""Directions in the space of styles, each of which changes one thing: fitted to attributes, SeFa's and GANSpace's.

A style is what the mapping makes of a z. A generator without a mapping (PGGAN) has the normalised z itself as its only
style, so that one kind of direction serves all generators and, by `Code.shifted`, all codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inversion.generators.base import Prior, StateDictError
from inversion.generators.ops import pixel_norm
from inversion.methods.settings import SettingError

if TYPE_CHECKING:
    from inversion.hub import Model

SAMPLES = 4000  # mapped z behind GANSpace and deviations
COUNT = 10  # directions that SeFa and GANSpace offer
REACH = 3.0  # of a slider whose range nobody measured, as in InterFaceGAN and SeFa
# Sliders that most people look for, in this order; the others follow.
FIRST = (
    "yaw",
    "pitch",
    "age",
    "smile",
    "glasses",
    "beard",
    "hair_length",
    "hair_colour",
    "skin_tone",
    "nose_width",
    "light_azimuth",
    "mouth_open",
)

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


def directions_of(model: Model, layers: Layers | None = None) -> dict[str, Direction]:
    """All directions of a model by name: its own, those that most people look for first, then SeFa's and GANSpace's.

    layers: the styles that SeFa looks at. Empty for a model without a generator.
    """
    if model.prior is None:
        return {}
    place = {name: i for i, name in enumerate(FIRST)}
    own = sorted(model.directions.values(), key=lambda direction: place.get(direction.name, len(FIRST)))
    found = (*own, *_unsupervised(model.prior, layers))
    return {direction.name: direction for direction in found}


@lru_cache(maxsize=4)  # an entry keeps its prior in memory
def _unsupervised(prior: Prior, layers: Layers | None) -> tuple[Direction, ...]:
    return (*sefa(prior, COUNT, layers), *ganspace(prior, COUNT))


@torch.no_grad()
def sefa(prior: Prior, count: int, layers: Layers | None = None) -> list[Direction]:
    """SeFa (Shen and Zhou 2021): eigenvectors of A^T A, largest first, A the layers' modulation weights stacked.

    The weights of every output have unit norm, as in the official code. layers: the styles that count, None for all.
    """
    first, last = style_range(layers, prior)
    chosen = [weight for row, weight in prior.modulations() if first <= row <= last]
    stacked = F.normalize(torch.cat(chosen).double(), dim=1)  # (outputs, w_dim)
    _, vectors = torch.linalg.eigh(stacked.t() @ stacked)  # the smallest eigenvalue first
    rows = [_pointed(v.float())[None] for v in vectors.t().flip(0)[:count]]
    styles = random_styles(prior, SAMPLES)
    return [
        Direction(f"sefa_{i}", f"SeFa {i}", "sefa", row, deviation_along(styles, row)) for i, row in enumerate(rows, 1)
    ]


@torch.no_grad()
def ganspace(prior: Prior, count: int) -> list[Direction]:
    """GANSpace (Harkonen et al. 2020): principal components of the styles of random codes, the largest first."""
    flat = random_styles(prior, SAMPLES).flatten(1)
    flat = flat[: max(2 * count, SAMPLES // (flat.shape[1] // prior.w_dim))]  # the decomposition's cost stays the same
    _, sizes, components = torch.linalg.svd(flat - flat.mean(dim=0), full_matrices=False)
    spreads = (sizes / (len(flat) - 1) ** 0.5).tolist()
    return [
        Direction(f"ganspace_{i}", f"GANSpace {i}", "ganspace", _pointed(vector).view(-1, prior.w_dim), spreads[i - 1])
        for i, vector in enumerate(components[:count], 1)
    ]


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


def _pointed(vector: Tensor) -> Tensor:
    """The vector or its opposite, so that its largest entry is positive: decompositions leave the sign open."""
    return vector * vector[vector.abs().argmax()].sign()
