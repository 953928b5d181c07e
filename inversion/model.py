"""A model: a generator with all that belongs to it, as a run works with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from inversion.perception.distance import Perceptual

if TYPE_CHECKING:
    from inversion.checkpoints.registry import Entry
    from inversion.directions import Direction
    from inversion.encoders import Encoder
    from inversion.generators import Discriminator, Prior
    from inversion.perception.predictor import Predictor


@dataclass
class Model:
    """What a run works with. Networks are frozen and on `device`; what the model lacks is None or empty."""

    name: str
    prior: Prior | None = None
    resolution: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    entry: Entry | None = None
    discriminator: Discriminator | None = None
    encoders: Mapping[str, Encoder] = field(default_factory=dict)  # by role; each says what it reads
    directions: dict[str, Direction] = field(default_factory=dict)  # what its styles can be moved along, by name
    perceptual: Perceptual | None = None  # LPIPS, never a stand-in
    features: Perceptual | None = None  # the distance that the generator's authors invert it with, if not LPIPS
    identity: nn.Module | None = None  # ArcFace, never a stand-in
    predictor: Predictor | None = None  # of attributes and identity, for the embedded faces
    pictures: Callable[[int, torch.Generator], Tensor] | None = None  # (n, rng) -> (n, 3, R, R) of the domain
    domain: str = ""
    licence: str = ""
    sha256: str = ""  # of the generator's file
    absent: dict[str, str] = field(default_factory=dict)  # entries that belong to it and are not attached, and why

    @property
    def perceptual_loss(self) -> Perceptual | None:
        """The perceptual distance that losses use: its authors' choice, LPIPS, the predictor's, the discriminator's.

        None where the model has none of them. Its `name` says which one it is.
        """
        if self.features is not None:
            return self.features
        if self.perceptual is not None:
            return self.perceptual
        if self.predictor is not None:
            return self.synthetic_perceptual
        if self.discriminator is not None:
            return Perceptual("discriminator", self.discriminator.features)
        return None

    @property
    def synthetic_perceptual(self) -> Perceptual | None:
        """The distance of the predictor's features; None without a predictor."""
        return None if self.predictor is None else Perceptual("synthetic_perceptual", self.predictor.features)


class Encoders(Mapping[str, "Encoder"]):
    """Encoders of a model, opened when they are first asked for: there are many, of a gigabyte each."""

    def __init__(self, openers: Mapping[str, Callable[[], Encoder]]) -> None:
        self._openers = openers
        self._opened: dict[str, Encoder] = {}
        self._lock = threading.Lock()

    def __getitem__(self, role: str) -> Encoder:
        """The encoder; KeyError if there is none in this role, HubError if its file is not what it must be."""
        opener = self._openers[role]
        with self._lock:
            if role not in self._opened:
                self._opened[role] = opener()
            return self._opened[role]

    def __contains__(self, role: object) -> bool:
        return role in self._openers  # the inherited one would open it

    def __iter__(self) -> Iterator[str]:
        return iter(self._openers)

    def __len__(self) -> int:
        return len(self._openers)


def prior_of(model: Model) -> Prior:
    """The model's generator. Raises ValueError without one: ask `Method.unavailable` first."""
    if model.prior is None:
        raise ValueError(f"{model.name} has no generator")
    return model.prior
