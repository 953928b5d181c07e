"""Edits of stored results: moves along directions, interpolation, mixing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from inversion.directions import DirectionCard, Layers
from inversion.editing.requests import (
    DirectionsRequest,
    Edited,
    EditOptions,
    EditRequest,
    InterpolateRequest,
    Inverted,
    MixRequest,
    PreviewsRequest,
)
from inversion.serving.exports import ExportRequest, ResultFiles
from inversion.serving.jobs import StoredResult
from inversion.serving.requests import Quick
from inversion.serving.runs import LaneError

T = TypeVar("T")


class Place(NamedTuple):
    """Where a result is stored: the key of its job, and the index of its run."""

    job: str
    run: int


class Pair(NamedTuple):
    """Two results of one model."""

    model: str
    first: Inverted
    second: Inverted
    lane: int | None  # the one that holds tuned weights of the first or else of the second


class Results(Protocol):
    """Stored results, and answers of quick requests about them: the part of a `Session` that edits use."""

    def stored_result(self, key: str, index: int) -> StoredResult:
        """The result of a finished run. Raises UnknownJob."""

    def ask(self, request: Quick[T], lane: int | None = None) -> T:
        """The answer of a quick request. lane: the one that holds its tensors. Raises Busy and UserError."""


class Edits:
    """Edits as quick requests. Raises UnknownJob if a result is no longer stored, Busy, and UserError."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def directions(self, model: str, layers: Layers | None = None) -> list[DirectionCard]:
        """The directions of a model as plain data. layers: first and last style for SeFa."""
        return self._results.ask(DirectionsRequest(model, layers))

    def move(self, key: str, index: int, options: EditOptions) -> Edited:
        """A result moved along directions."""
        stored = self._results.stored_result(key, index)
        return self._results.ask(_edit(stored, options), stored.lane)

    def pictured(self, key: str, index: int, options: EditOptions) -> Edited:
        """As `move`, but without figures, which are most of the work, unless a limit of the identity needs them."""
        shown = None if options.keep_identity is not None else self.previews(key, {index: options}).get(index)
        return self.move(key, index, options) if shown is None else Edited(shown, {}, {})  # it says why there is none

    def previews(self, key: str, edits: Mapping[int, EditOptions]) -> dict[int, np.ndarray]:
        """Results of a job moved along directions, uint8 (R, R, 3) by index, without figures: one request a lane.

        Results that cannot be edited are left out.
        """
        stored = {index: self._results.stored_result(key, index) for index in edits}
        pictures: dict[int, np.ndarray] = {}
        for place in {(one.model, one.lane) for one in stored.values()}:
            own = {i: _edit(one, edits[i]) for i, one in stored.items() if (one.model, one.lane) == place}
            pictures |= self._results.ask(PreviewsRequest(place[0], own), place[1])
        return pictures

    def interpolate(self, first: Place, second: Place, frames: int = 7) -> list[np.ndarray]:
        """Pictures uint8 (R, R, 3) from the first result to the second, both included."""
        pair = self._pair(first, second)
        return self._results.ask(InterpolateRequest(pair.model, pair.first, pair.second, frames), pair.lane)

    def mix(self, content: Place, style: Place, start: int) -> np.ndarray:
        """The content with the styles of `style` from layer `start` on, uint8 (R, R, 3)."""
        pair = self._pair(content, style)
        return self._results.ask(MixRequest(pair.model, pair.first, pair.second, start), pair.lane)

    def files(self, key: str, index: int) -> ResultFiles:
        """The code and the tuned generator of a result as files."""
        stored = self._results.stored_result(key, index)
        request = ExportRequest(stored.model, _inverted(stored), stored.row.get("method", ""))
        return self._results.ask(request, stored.lane)

    def _pair(self, first: Place, second: Place) -> Pair:
        """Two results. Raises LaneError unless they are of one model."""
        a, b = self._results.stored_result(*first), self._results.stored_result(*second)
        if a.model != b.model:
            raise LaneError(f"One result is of {a.model}, the other of {b.model}: invert both with the same model.")
        return Pair(a.model, _inverted(a), _inverted(b), b.lane if a.lane is None else a.lane)


def _edit(stored: StoredResult, options: EditOptions) -> EditRequest:
    """An edit of a stored result."""
    return EditRequest(stored.model, _inverted(stored), stored.image, options)


def _inverted(stored: StoredResult) -> Inverted:
    """A stored result as a request takes it."""
    return Inverted(stored.code, stored.weights, stored.row.get("model_options", {}))
