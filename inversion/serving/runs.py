"""A run as plain data: its request and its events."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from inversion.align import Crop
from inversion.analysis import Report
from inversion.checkpoints.registry import DEFAULT
from inversion.common.errors import UserError
from inversion.common.rows import RowView
from inversion.common.settings import SettingValue

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.checkpoints.codes import SavedCode
    from inversion.methods.codes import PlainCode


class LaneError(UserError):
    """A request that cannot be run. The text is one line for the user and says what to change."""


class LaneLost(LaneError):
    """The process that computes has ended, and its runs with it. A run can begin again.

    blameless: the process did not end in the run or request that meets this error.
    """

    def __init__(self, text: str, *, blameless: bool = False) -> None:
        super().__init__(text)
        self.blameless = blameless


@dataclass(frozen=True, eq=False)
class CroppedPicture:
    """A second picture of a request: uint8 (H, W, 3), and the part of it to use."""

    pixels: np.ndarray
    crop: Crop = Crop()


def picture_digest(picture: np.ndarray) -> str:
    """16 hexadecimal digits of the sha256 of the pixels uint8 (H, W, 3), which name a picture in recipes."""
    return hashlib.sha256(picture.tobytes()).hexdigest()[:16]


TaskInput = SettingValue | np.ndarray | CroppedPicture  # value of a task's own field


@dataclass(frozen=True)
class Request:
    """One method on one picture.

    picture: uint8 (H, W, 3), any size. crop: the part of it to use. settings: "stage.field" -> value.
    inputs: field of the task -> a number, a mask or a `CroppedPicture`; missing fields have their defaults. A mask is
    uint8 (H, W), marked where it exceeds 127; for a crop with a quad it must have the size of the picture.
    measured: the picture is already the measurement of the task. budget: seconds. notes: on how the files were read.
    options: field of `ModelOptions` -> value. start: a code to start from, instead of the method's own beginning.
    name: of the picture's file, "" if it is unknown.
    analysis: key of an analysis that runs instead of the method; then `settings` are its fields.
    translation: key of a translation that runs instead; then `settings` are its options without the seed.
    """

    task: str
    method: str
    picture: np.ndarray
    model: str = DEFAULT
    settings: Mapping[str, object] = field(default_factory=dict)
    inputs: Mapping[str, TaskInput] = field(default_factory=dict)
    seed: int = 0
    measured: bool = False
    budget: float = 300.0
    crop: Crop = Crop()
    notes: tuple[str, ...] = ()
    options: Mapping[str, SettingValue] = field(default_factory=dict)
    start: SavedCode | None = None
    name: str = ""
    analysis: str = ""
    translation: str = ""


@dataclass(frozen=True)
class Ready:
    """The measurement is ready. Pictures are uint8 (R, R, 3); `truth` is None if the upload is the measurement.

    notes: sentences for the user on what was measured.
    """

    truth: np.ndarray | None
    measured: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """One step of the run. Some steps have a picture, uint8 (R, R, 3), and `row` with its metrics.

    report: of an analysis, if it has changed.
    """

    stage: str
    step: int
    total: int
    seconds: float
    image: np.ndarray | None = None
    row: RowView | None = None
    report: Report | None = None


@dataclass(frozen=True)
class Finished:
    """The last event. `code` comes from `to_plain` or is None; `weights` are the tuned weights as CPU tensors."""

    image: np.ndarray
    row: RowView
    curves: Mapping[str, list[float]]
    code: PlainCode | None
    weights: Mapping[str, Tensor] | None
    message: str = ""
    report: Report | None = None  # of an analysis


Event = Ready | Progress | Finished
