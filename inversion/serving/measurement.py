"""The measurement of a request's picture, and the part of the picture that it uses."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np
import torch

from inversion import align, images, metrics
from inversion.align import Crop
from inversion.checkpoints import detector
from inversion.checkpoints.registry import registry
from inversion.common.settings import SettingValue, Spec, checked, kind_of
from inversion.model import prior_of
from inversion.serving.runs import CroppedPicture, LaneError, Request, TaskInput
from inversion.tasks import Task, make_task, task_class

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.model import Model

SMALL = 1 / 2  # of the model's resolution: a smaller picture gets a note


class Measurement(NamedTuple):
    """The task, the truth (1, 3, R, R) in [-1, 1] or None, y, and sentences for the user. Tensors on the device."""

    task: Task
    truth: Tensor | None
    y: Tensor
    notes: tuple[str, ...]


def measurement(request: Request, model: Model) -> Measurement:
    """The measurement of a request's picture, on the model's device. Raises UserError."""
    specs = {spec.name: spec for spec in fields(task_class(request.task))}
    parameters = {name: _parameter(specs[name], value, request, model) for name, value in request.inputs.items()}
    task = make_task(request.task, **parameters)
    task.measured_size(model.resolution)  # refuses what does not fit the generator
    notes = [*request.notes, *task.remarks()]
    if request.start is not None:
        notes += request.start.remarks(model.base_sha256, bool(prior_of(model).noise_shapes))
    if request.measured:
        task, note = task.fitted(_side(request), model.resolution)
        notes += [*([note] if note else []), *_scaled(request, task.measured_size(model.resolution))]
    size = task.measured_size(model.resolution)
    # What was erased is not known, so the result is not compared with the white that stands for it.
    if request.measured or not task.has_truth or images.ERASED in request.notes:
        y = task.read(images.to_tensor(align.part_of(request.picture, request.crop, size)).to(model.device))
        return Measurement(task, None, y, tuple(notes))
    notes += _enlarged(request, size, model.resolution)
    truth = images.to_tensor(align.part_of(request.picture, request.crop, model.resolution)).to(model.device)
    y = task.measure(truth, torch.Generator().manual_seed(request.seed))
    if not task.exact and not task.leaves_holes:
        [alone] = metrics.psnr(task.without_method(y), truth)
        notes.append(f"The input alone has a PSNR of {alone:.1f} dB: a result below that is worse than no method.")
    return Measurement(task, truth, y, tuple(notes))


def _enlarged(request: Request, size: int, resolution: int) -> list[str]:
    """A sentence if the used part of the picture is much smaller than those of the model. size: of the measurement."""
    side = _side(request)
    if size < resolution and side < resolution:
        return [
            f"The picture was enlarged from {side} to {resolution} pixels a side, and then made small. If it is the "
            "small picture already, tick the box for that, or give --measured."
        ]
    if request.crop.quad is not None or side >= SMALL * resolution:  # a face has notes of its own
        return []
    return [
        f"Only {side}x{side} pixels of the picture are used. They were enlarged to {resolution}x{resolution}, so they "
        "are blurred."
    ]


def _scaled(request: Request, size: int) -> list[str]:
    """How a measurement becomes a square of `size` pixels a side, if it is not one."""
    height, width = request.picture.shape[:2]
    side, lines = _side(request), []
    if request.crop.quad is None and height != width:
        lines.append(f"The input has {width}x{height} pixels; its central {side}x{side} pixels are used.")
    if side != size:
        lines.append(f"The input was scaled from {side}x{side} to {size}x{size} pixels.")
    return lines


def _side(request: Request) -> int:
    """Pixels a side of the part of the picture that is used."""
    quad = request.crop.quad
    return min(request.picture.shape[:2]) if quad is None else round(align.side_of(quad))


def _parameter(spec: Spec, value: TaskInput, request: Request, model: Model) -> SettingValue | Tensor:
    """The value of a task's field: a number, or a mask or picture as a tensor of the generator's resolution."""
    kind = kind_of(spec)
    if kind == "number":
        return checked(spec.name, spec, value)
    if kind == "mask" and isinstance(value, np.ndarray):
        known = _known_pixels(value, request.crop, model.resolution)
        return 1 - known if spec.metadata["white"] else known
    if kind == "picture" and isinstance(value, CroppedPicture):
        return images.to_tensor(align.part_of(value.pixels, value.crop, model.resolution)).to(model.device)
    raise LaneError(f"The input {spec.name} must be a {kind}, not {type(value).__name__}.")


AUTOMATIC_CROPS = tuple(mode for mode in get_args(align.CropMode) if mode != "hand")  # those that `crop` can compute


def crop(picture: np.ndarray, model: str, how: align.CropMode = "auto", face: int = 1) -> Crop:
    """The part of a picture, uint8 (H, W, 3), for the model. auto: the face, if the model needs aligned faces.

    `face`: which face, 1 for the largest. Raises AlignError or HubError, and LaneError for a face below 1.
    """
    if face < 1:
        raise LaneError(f"There is no face {face}. Count the faces from 1, the largest.")
    entries = registry()
    entry = entries.get(model)
    if how in ("centre", "hand") or (how == "auto" and (entry is None or entry.crop == "none")):
        return Crop()
    target = detector.target_of(entries, entry)
    return detector.choose(picture, how, lambda: detector.registered(entries), face, target)


def _known_pixels(mask: np.ndarray, crop: Crop, size: int) -> Tensor:
    """The cropped part of a mask as `images.known_pixels`: (1, 1, size, size), 0 where it is marked."""
    return images.known_pixels(mask if crop.quad is None else align.cut_mask(mask, crop.quad, size), size)
