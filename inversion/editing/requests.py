"""Edits of results as quick requests of plain data, see `Lane.answer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from inversion import images, metrics
from inversion.common.rows import Row
from inversion.common.settings import SettingError
from inversion.directions.base import DirectionCard, Layers, attribute_label
from inversion.editing.blend import interpolated, interpolated_weights, mixed
from inversion.editing.edit import edited
from inversion.editing.local import blended, limited
from inversion.editing.unsupervised import directions_of
from inversion.methods.codes import from_plain
from inversion.methods.pti import tuned
from inversion.model import prior_of

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior
    from inversion.methods.codes import Code, PlainCode
    from inversion.model import Model

MIN_FRAMES, MAX_FRAMES = 2, 60  # of an interpolation


@dataclass(frozen=True, eq=False)
class Inverted:
    """The result of an inversion: its code, and the weights of a tuned generator, both on the CPU.

    options: those of the model that it was made with, by field of `ModelOptions`.
    """

    code: PlainCode | None  # None if the method has no code
    weights: Mapping[str, Tensor] | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    def on(self, model: Model) -> Code:
        """The code on the device of the model. Raises SettingError if the method has no code."""
        if self.code is None:
            raise SettingError("This result has no code, because its method has no generator. Choose another one.")
        return from_plain(self.code, model.device)


class Change(NamedTuple):
    """The value of an attribute before and after an edit, each in about (-1, 1), and the attribute in words."""

    before: float
    after: float
    label: str


@dataclass(frozen=True, eq=False)
class Edited:
    """An edited picture uint8 (R, R, 3) and what changed. Without a predictor there are no attributes.

    factor: the part of the strengths that was applied, below 1 if a limit shrank the edit.
    """

    picture: np.ndarray
    attributes: Mapping[str, Change]
    figures: Mapping[str, float | None]  # against the unedited picture, see `metrics.edit_scores`
    factor: float = 1.0

    def row(self) -> Row:
        """Attributes, figures and the applied part as plain JSON."""
        return {
            "factor": self.factor,
            "attributes": {name: [change.before, change.after] for name, change in self.attributes.items()},
            **self.figures,
        }


@dataclass(frozen=True, eq=False)
class DirectionsRequest:
    """The sliders of a model, see `directions_of`. layers: the range of styles that SeFa analyses."""

    model: str
    layers: Layers | None = None

    def __call__(self, model: Model) -> list[DirectionCard]:
        return [direction.card() for direction in directions_of(model, self.layers).values()]


@dataclass(frozen=True, eq=False)
class EditOptions:
    """One edit. moves: strengths by direction, in deviations. layers: first and last moved style, None for all.

    keep: attributes whose boundaries the move does not cross. mask: uint8 (R, R), white where the picture may change;
    None: everywhere. keep_identity: smallest similarity to the unedited picture, None for any; the moves are shrunk.
    """

    moves: Mapping[str, float] = field(default_factory=dict)
    layers: Layers | None = None
    keep: tuple[str, ...] = ()
    mask: np.ndarray | None = None
    keep_identity: float | None = None

    def row(self) -> Row:
        """The edit as plain JSON, with the share of the picture that the mask marks."""
        row: Row = {"moves": dict(self.moves), "layers": self.layers, "keep": list(self.keep)}
        region = None if self.mask is None else round(float((self.mask >= 128).mean()), 4)
        return {**row, "region": region, "keep_identity": self.keep_identity}

    def part(self, factor: float) -> EditOptions:
        """The same edit with all strengths multiplied by a factor."""
        return replace(self, moves={name: factor * strength for name, strength in self.moves.items()})


@dataclass(frozen=True, eq=False)
class EditRequest:
    """Move a result along directions, see `edited`. before: the unedited picture uint8 (R, R, 3).

    Raises SettingError for an unknown direction, a mask of another size, or a limit that the model cannot measure.
    """

    model: str
    result: Inverted
    before: np.ndarray
    options: EditOptions = EditOptions()

    def __call__(self, model: Model) -> Edited:
        model, limit = model.configured(self.result.options), self.options.keep_identity
        code, prior = self.result.on(model), _prior(model, self.result.weights)
        with torch.no_grad():
            if limit is None:
                return self._moved(model, code, prior, 1.0)
            name = metrics.identity_metric(model)
            if name is None:
                raise SettingError(f"{self.model} cannot measure the identity. Edit without this limit.")

            def allowed(made: Edited) -> bool:
                return (made.figures[name] or 0.0) >= limit

            kept = limited(lambda part: self._moved(model, code, prior, part), allowed)
            if kept is not None:
                return kept
            return self._answer(model, self.before, images.to_tensor(self.before).to(model.device), 0.0)

    def preview(self, model: Model) -> np.ndarray:
        """The edited picture alone, uint8 (R, R, 3): a quarter of the work if there is no limit of identity."""
        if self.options.keep_identity is not None:
            return self(model).picture
        model = model.configured(self.result.options)
        with torch.no_grad():
            return self._pictured(model, self.result.on(model), _prior(model, self.result.weights), self.options)[0]

    def _moved(self, model: Model, code: Code, prior: Prior, factor: float) -> Edited:
        """The result moved by a part of the strengths."""
        return self._answer(model, *self._pictured(model, code, prior, self.options.part(factor)), factor)

    def _pictured(self, model: Model, code: Code, prior: Prior, options: EditOptions) -> tuple[np.ndarray, Tensor]:
        """The moved result as a picture uint8 (R, R, 3), and as (1, 3, R, R)."""
        directions = directions_of(model, options.layers)
        after = edited(code, prior, directions, options.moves, options.layers, options.keep).render(prior).clamp(-1, 1)
        picture = images.to_array(after)
        if options.mask is not None:
            picture = blended(picture, self.before, options.mask)
            after = images.to_tensor(picture).to(after)
        return picture, after

    def _answer(self, model: Model, picture: np.ndarray, after: Tensor, factor: float) -> Edited:
        """A picture uint8 (R, R, 3), which is `after` (1, 3, R, R), with its figures."""
        before = images.to_tensor(self.before).to(after)
        figures = metrics.edit_scores(after, before, model)
        return Edited(picture, _attributes(model, before, after), figures, factor)


@dataclass(frozen=True, eq=False)
class PreviewsRequest:
    """Edits of several results of a model as pictures uint8 (R, R, 3) without figures, by the same names.

    Results that cannot be edited are left out.
    """

    model: str
    edits: Mapping[int, EditRequest]

    def __call__(self, model: Model) -> dict[int, np.ndarray]:
        pictures = {}
        for name, edit in self.edits.items():
            with suppress(SettingError):
                pictures[name] = edit.preview(model)
        return pictures


@dataclass(frozen=True, eq=False)
class InterpolateRequest:
    """Pictures uint8 (R, R, 3) from one result to another, both ends included; see `interpolated`.

    Raises SettingError for a number of frames out of range.
    """

    model: str
    first: Inverted
    second: Inverted
    frames: int = 7

    def __call__(self, model: Model) -> list[np.ndarray]:
        if not MIN_FRAMES <= self.frames <= MAX_FRAMES:
            raise SettingError(f"An interpolation has {MIN_FRAMES} to {MAX_FRAMES} frames, not {self.frames}.")
        model = model.configured(self.first.options)
        a, b = self.first.on(model), self.second.on(model)
        pictures = []
        for t in np.linspace(0, 1, self.frames).tolist():
            prior = _prior(model, interpolated_weights(self.first.weights, self.second.weights, t, prior_of(model)))
            with torch.no_grad():
                pictures.append(images.to_array(interpolated(a, b, t, prior).render(prior)))
        return pictures


@dataclass(frozen=True, eq=False)
class MixRequest:
    """Mix the styles of two results, see `mixed`. The content's generator renders the picture, tuned if it was."""

    model: str
    content: Inverted
    style: Inverted
    start: int

    def __call__(self, model: Model) -> np.ndarray:
        model = model.configured(self.content.options)
        prior = _prior(model, self.content.weights)
        with torch.no_grad():
            return images.to_array(mixed(self.content.on(model), self.style.on(model), self.start, prior).render(prior))


def check_moves(cards: Sequence[DirectionCard], moves: Mapping[str, object]) -> dict[str, float]:
    """The strengths by direction. Raises SettingError for an unknown direction or a strength outside of its slider."""
    ranges = {card["name"]: (card["low"], card["high"]) for card in cards}
    strengths = {}
    for name, strength in moves.items():
        if name not in ranges:
            raise SettingError(f"Unknown direction {name!r}. Choose one of: {', '.join(ranges) or 'none'}.")
        low, high = ranges[name]
        if isinstance(strength, bool) or not isinstance(strength, int | float) or not low <= strength <= high:
            raise SettingError(f"{name} must be a number between {low:g} and {high:g}.")
        strengths[name] = float(strength)
    return strengths


def read_layers(text: str) -> Layers | None:
    """First and last style of a text such as "0-5"; None for an empty text. Raises SettingError."""
    if not text.strip():
        return None
    first, _, last = (part.strip() for part in text.partition("-"))
    if not (first.isdecimal() and last.isdecimal()):
        raise SettingError(f"Layers {text!r} are not a range. Write the first and the last layer, as in 0-5.")
    return int(first), int(last)


def _prior(model: Model, weights: Mapping[str, Tensor] | None) -> Prior:
    return tuned(prior_of(model), weights) if weights else prior_of(model)


def _attributes(model: Model, before: Tensor, after: Tensor) -> dict[str, Change]:
    """Changes of the attributes of two pictures (1, 3, R, R), by name; empty without a predictor."""
    if model.predictor is None:
        return {}
    rows = model.predictor.heads(torch.cat([before, after]))[0].t().tolist()
    return {
        name: Change(round(a, 4), round(b, 4), attribute_label(name, model.domain))
        for name, (a, b) in zip(model.predictor.names, rows, strict=True)
    }
