"""A task is a measurement operator y = A(x). A method brings A(G(w)) close to y and never knows which task it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

import torch

from inversion.common.errors import UserError
from inversion.common.settings import SettingValue

if TYPE_CHECKING:
    from torch import Tensor


class TaskError(UserError):
    """A parameter that does not fit a task. The text says what to change."""


@dataclass(frozen=True)
class Task(ABC):
    """One measurement of a picture. Pictures x are (B, 3, R, R) in [-1, 1]; the shape of y depends on the task.

    Laws, which tests check for all tasks: A is linear, so autograd gives its adjoint; A(pinv(y)) = y for y = A(x); if
    `merges`, A(merge(x, y)) = y and merge(x, y) is in [-1, 1].
    """

    name: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str]
    # True if part of the picture is not measured. The method generates it, and merge restores the measured part.
    merges: ClassVar[bool] = False
    # True if the measurement holds every value of the picture, without noise.
    exact: ClassVar[bool] = False
    # False if there is no true picture for a comparison, because the uploads are the measurement.
    has_truth: ClassVar[bool] = True
    # True if nothing is known about whole regions, not even in pinv(y).
    leaves_holes: ClassVar[bool] = False
    # Role in `Model.encoders` of an encoder trained on pinv(y) of this task; pSp trains one per task. "": none.
    encoder_role: ClassVar[str] = ""

    @abstractmethod
    def A(self, x: Tensor) -> Tensor:
        """The measurement y (B, ...) of pictures x (B, 3, R, R)."""

    @abstractmethod
    def pinv(self, y: Tensor) -> Tensor:
        """Pictures (B, 3, R, R) with A(pinv(y)) = y. Encoders and perceptual networks read them."""

    def without_method(self, y: Tensor) -> Tensor:
        """The picture (B, 3, R, R) in [-1, 1] that the measurement gives alone, for a comparison with methods."""
        return self.pinv(y).clamp(-1, 1)

    def merge(self, x: Tensor, y: Tensor) -> Tensor:
        """The shown result: x (B, 3, R, R) with the measured part restored, in [-1, 1]; x itself unless `merges`."""
        return x

    def measure(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Simulate y of true pictures x (B, 3, R, R). `rng`: a CPU generator, used by tasks with noisy measurements."""
        return self.A(x)

    def read(self, picture: Tensor) -> Tensor:
        """y from a picture (B, 3, S, S) in [-1, 1] that is already the measurement; S = measured_size(R)."""
        return self.A(picture)

    def penalty(self, x: Tensor) -> Tensor | None:
        """A term (B,) that the task adds to the objective of pictures x (B, 3, R, R), weighted; None for no term."""
        return None

    def fitted(self, side: int, resolution: int) -> tuple[Task, str]:
        """The task that a measurement of `side` pixels fits, and a sentence if it is another one than this."""
        return self, ""

    def measured_size(self, resolution: int) -> int:
        """Side in pixels of the measurement of pictures with side `resolution`. Raises TaskError if it does not fit."""
        return resolution

    @property
    def hole_share(self) -> float | None:
        """The part of the picture that is a hole, 0 to 1; None if the task has no hole."""
        return None

    def remarks(self) -> list[str]:
        """Sentences for the user about the measurement."""
        return []

    def parameters(self) -> dict[str, SettingValue]:
        """The numbers of this task for the recipe of a result, as JSON values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if not isinstance(value, torch.Tensor)}


def scale_into_range(base: Tensor, detail: Tensor, factor: Tensor | None = None) -> Tensor:
    """base + t * detail (B, 3, H, W), with the largest t in [0, 1] per pixel that keeps all channels in [-1, 1].

    Scaling leaves A(base + t * detail) = A(base) if A(detail) = 0; clamping would not. `factor` (B, 1, H, W) replaces
    the t of each pixel if several pixels must have the same one.
    """
    t = range_factor(base, detail) if factor is None else factor
    # The clamp only removes rounding errors of the last bit, far below the tolerance of the law.
    return (base + t * detail).clamp(-1, 1)


def range_factor(base: Tensor, detail: Tensor) -> Tensor:
    """Largest t (B, 1, H, W) in [0, 1] with base + t * detail in [-1, 1] in all channels; base must lie in [-1, 1]."""
    room = torch.where(detail > 0, 1 - base, 1 + base).clamp_min(0)  # distance of each channel to the end of the range
    size = detail.abs()
    t = torch.where(size > room, room / size.clamp_min(torch.finfo(size.dtype).tiny), torch.ones_like(size))
    return t.amin(dim=1, keepdim=True)
