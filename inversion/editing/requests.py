"""Edits of results as requests of plain data, each answered well under a second; see `Lane.answer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from inversion import images
from inversion.common.settings import SettingError
from inversion.directions import Layers
from inversion.editing.blend import between, interpolated, mixed
from inversion.editing.edit import edited
from inversion.editing.unsupervised import directions_of
from inversion.methods.codes import Code, from_plain
from inversion.methods.pti import tuned
from inversion.model import prior_of

if TYPE_CHECKING:
    from inversion.generators.base import Prior
    from inversion.model import Model

FRAMES = (2, 60)  # an interpolation's fewest and most


@dataclass(frozen=True, eq=False)
class Inverted:
    """What an inversion found: its code as `to_plain` gives it, and a tuned generator's weights on the CPU."""

    code: Mapping[str, Any] | None
    weights: Mapping[str, Tensor] | None = None

    def on(self, model: Model) -> Code:
        """The code on the model's device. SettingError for a method without one."""
        if self.code is None:
            raise SettingError("this result has no code: its method works without a generator")
        return from_plain(self.code, model.device)


@dataclass(frozen=True, eq=False)
class Edited:
    """An edited picture, uint8 (R, R, 3), and what changed; figures without a judge are empty or None."""

    picture: np.ndarray
    attributes: Mapping[str, tuple[float, float]]  # name -> before, after, each in about (-1, 1)
    synthetic_identity: float | None  # to the unedited picture


@dataclass(frozen=True, eq=False)
class CardsRequest:
    """The sliders of a model: plain cards, see `Direction.card`. layers: the styles that SeFa looks at."""

    model: str
    layers: Layers | None = None

    def __call__(self, model: Model) -> list[dict[str, Any]]:
        return [direction.card() for direction in directions_of(model, self.layers).values()]


@dataclass(frozen=True, eq=False)
class EditRequest:
    """A result moved along directions; see `edited`. before: the unedited picture, uint8 (R, R, 3), for the figures."""

    model: str
    result: Inverted
    before: np.ndarray
    moves: Mapping[str, float] = field(default_factory=dict)
    layers: Layers | None = None
    keep: tuple[str, ...] = ()

    def __call__(self, model: Model) -> Edited:
        code, prior = self.result.on(model), _prior(model, self.result.weights)
        with torch.no_grad():
            moved = edited(code, prior, directions_of(model, self.layers), self.moves, self.layers, self.keep)
            after = moved.render(prior).clamp(-1, 1)
            return Edited(images.to_array(after), *_figures(model, self.before, after))


@dataclass(frozen=True, eq=False)
class InterpolateRequest:
    """Pictures on the way from one result to another, ends included; see `interpolated`."""

    model: str
    first: Inverted
    second: Inverted
    frames: int = 7

    def __call__(self, model: Model) -> list[np.ndarray]:
        if not FRAMES[0] <= self.frames <= FRAMES[1]:
            raise SettingError(f"an interpolation has {FRAMES[0]} to {FRAMES[1]} frames, not {self.frames}")
        a, b = self.first.on(model), self.second.on(model)
        pictures = []
        for t in np.linspace(0, 1, self.frames).tolist():
            prior = _prior(model, between(self.first.weights, self.second.weights, t, prior_of(model)))
            with torch.no_grad():
                pictures.append(images.to_array(interpolated(a, b, t, prior).render(prior)))
        return pictures


@dataclass(frozen=True, eq=False)
class MixRequest:
    """The content's coarse styles with the style's from layer `start` on; see `mixed`. Rendered by the content's
    generator, tuned if it was."""

    model: str
    content: Inverted
    style: Inverted
    start: int

    def __call__(self, model: Model) -> np.ndarray:
        prior = _prior(model, self.content.weights)
        with torch.no_grad():
            return images.to_array(mixed(self.content.on(model), self.style.on(model), self.start, prior).render(prior))


def read_layers(text: str) -> Layers | None:
    """First and last of "0-5", None for an empty text. Raises SettingError."""
    if not text.strip():
        return None
    first, _, last = (part.strip() for part in text.partition("-"))
    if not (first.isdecimal() and last.isdecimal()):
        raise SettingError(f"Layers: write the first and the last, as in 0-5, not {text!r}.")
    return int(first), int(last)


def _prior(model: Model, weights: Mapping[str, Tensor] | None) -> Prior:
    return tuned(prior_of(model), weights) if weights else prior_of(model)


def _figures(model: Model, before: np.ndarray, after: Tensor) -> tuple[dict[str, tuple[float, float]], float | None]:
    """Attributes of both pictures and the identity score between them, as far as the model can tell."""
    if model.predictor is None:
        return {}, None
    pair = torch.cat([images.to_tensor(before).to(after), after])
    attributes, persons = model.predictor.heads(pair)
    rows = [(round(a, 4), round(b, 4)) for a, b in attributes.t().tolist()]
    return dict(zip(model.predictor.names, rows, strict=True)), round(float(persons[0] @ persons[1]), 4)
