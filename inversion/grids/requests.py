"""The requests of a planned grid: its setups with the pixels of their pictures and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inversion import align, images
from inversion.align import Crop, CropMode
from inversion.checkpoints.registry import registry
from inversion.common.settings import SettingValue, kind_of
from inversion.grids.plans import Setup
from inversion.images.drawn import DRAWN_MASKS, drawn_mask
from inversion.serving.measurement import crop
from inversion.serving.runs import Request, TaskInput
from inversion.tasks import task_class

SIDE = 512  # pixels of a mask that is drawn for a crop of the picture


@dataclass(frozen=True)
class Materials:
    """Pictures and masks by the names that setups use. A mask is a file or its content; it is read at each size."""

    pictures: Mapping[str, images.Decoded]
    masks: Mapping[str, str | Path | bytes] = field(default_factory=dict)


def grid_requests(setups: Sequence[Setup], materials: Materials) -> list[Request]:
    """One request for each setup. Raises UserError, also for a mask that does not fit its picture."""
    made = _Requests(materials)
    return [made.request(setup) for setup in setups]


class Originals(NamedTuple):
    """The parts of pictures that runs use: each once as (name, uint8 (R, R, 3)), and the index of each run's.

    The index is None if the picture is the input already.
    """

    pictures: list[tuple[str, np.ndarray]]
    of_runs: list[int | None]


def originals(requests: Sequence[Request]) -> Originals:
    """The originals of the requests of a grid."""
    cut: dict[tuple[int, object, int], tuple[str, np.ndarray]] = {}
    found: list[int | None] = []
    for request in requests:
        size = registry()[request.model].resolution
        key = (id(request.picture), request.crop.quad, size)
        if not request.measured and key not in cut:
            cut[key] = request.name, align.part_of(request.picture, request.crop, size)
        found.append(None if request.measured else list(cut).index(key))
    return Originals(list(cut.values()), found)


class _Requests:
    """Makes requests that share arrays and crops."""

    def __init__(self, materials: Materials) -> None:
        self.materials = materials
        self._pixels: dict[str, np.ndarray] = {}
        self._crops: dict[tuple[str, str, str], Crop] = {}
        self._masks: dict[tuple[object, ...], np.ndarray] = {}

    def request(self, setup: Setup) -> Request:
        """The request of a setup."""
        decoded = self.materials.pictures[setup.picture]
        picture = self._pixels.setdefault(setup.picture, np.asarray(decoded.picture))
        part, notes = self._crop(setup, picture), [*decoded.notes]
        return Request(
            task=setup.task,
            method=setup.method,
            picture=picture,
            model=setup.model,
            settings=dict(setup.settings),
            inputs=self._inputs(setup, part, picture, notes),
            seed=setup.run.seed,
            measured=setup.run.measured,
            budget=setup.run.budget,
            crop=part,
            notes=tuple(notes),
            options=dict(setup.options),
            name=setup.picture,
        )

    def _crop(self, setup: Setup, picture: np.ndarray) -> Crop:
        mode: CropMode = setup.run.align  # type: ignore[assignment] # RunFields checks it
        key = (setup.picture, setup.model, mode)
        if key not in self._crops:
            self._crops[key] = crop(picture, setup.model, mode)
        return self._crops[key]

    def _inputs(self, setup: Setup, part: Crop, picture: np.ndarray, notes: list[str]) -> dict[str, TaskInput]:
        masks = {spec.name for spec in fields(task_class(setup.task)) if kind_of(spec) == "mask"}
        return {
            name: self._mask(value, setup, part, picture.shape[:2], notes) if name in masks else value
            for name, value in setup.inputs
        }

    def _mask(
        self, name: SettingValue, setup: Setup, part: Crop, shape: tuple[int, ...], notes: list[str]
    ) -> np.ndarray:
        """A mask at the size of the picture, uint8 (H, W), white = marked."""
        key = (name, setup.run.seed, part.quad, shape)
        if key not in self._masks:
            self._masks[key] = self._read_mask(str(name), setup.run.seed, part, (shape[0], shape[1]), notes)
        return self._masks[key]

    def _read_mask(self, name: str, seed: int, part: Crop, shape: tuple[int, int], notes: list[str]) -> np.ndarray:
        if name in DRAWN_MASKS:
            drawn = drawn_mask(name, shape if part.quad is None else (SIDE, SIDE), seed)
            return drawn if part.quad is None else align.spread_mask(drawn, part.quad, shape)
        mask = images.decode_mask(self.materials.masks[name], shape)
        notes += mask.notes
        return mask.pixels
