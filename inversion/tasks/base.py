"""A task is a measurement operator y = A(x). A method brings A(G(w)) near to y and never knows which task it is on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from inversion.common.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


class TaskError(UserError):
    """A task was given a parameter it cannot work with; the text says what to change."""


@dataclass(frozen=True)
class Task(ABC):
    """One measurement of a picture. Pictures x are (B, 3, R, R) in [-1, 1]; the shape of y is the task's own.

    Laws (one test each, over all tasks): A is linear, so autograd gives its adjoint; A(pinv(y)) = y for y = A(x);
    where `merges`, A(merge(x, y)) = y and merge(x, y) lies in [-1, 1].
    """

    name: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str]
    # True if part of the picture is not measured: the method invents it, and merge puts the measured part back.
    merges: ClassVar[bool] = False
    # True if the measurement holds every value of the picture, without noise.
    exact: ClassVar[bool] = False
    # False if the result has no true picture to be compared with: the uploads already are the measurement.
    has_truth: ClassVar[bool] = True
    # True if nothing at all is known of whole regions, not even in pinv(y).
    leaves_holes: ClassVar[bool] = False

    @property
    def encoder_role(self) -> str:
        """Role in `Model.encoders` of an encoder that was trained on pinv(y) of this task, as pSp trains one a task."""
        return self.name

    @abstractmethod
    def A(self, x: Tensor) -> Tensor:
        """What is measured of the picture x (B, 3, R, R)."""

    @abstractmethod
    def pinv(self, y: Tensor) -> Tensor:
        """A picture (B, 3, R, R) with A(pinv(y)) = y: what an encoder reads and a perceptual network judges."""

    def merge(self, x: Tensor, y: Tensor) -> Tensor:
        """The result that is shown: x with the measured part put back, in [-1, 1]; x itself where nothing merges."""
        return x

    def measure(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """y of a picture that is the truth. `rng` (a CPU generator) serves tasks whose measurement is noisy."""
        return self.A(x)

    def read(self, picture: Tensor) -> Tensor:
        """y from a picture (B, 3, S, S) that already is the measurement, S = measured_size(R)."""
        return self.A(picture)

    def measured_size(self, resolution: int) -> int:
        """Side in pixels of the measurement of a picture with side `resolution`; TaskError where there is none."""
        return resolution

    def parameters(self) -> dict[str, Any]:
        """Numbers that are needed to make this task again, for a result's recipe."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if not isinstance(value, torch.Tensor)}


def scale_into_range(base: Tensor, detail: Tensor, t_of: Tensor | None = None) -> Tensor:
    """base + t * detail (B, 3, H, W), with the largest t in [0, 1] per pixel that keeps all channels in [-1, 1].

    Scaling keeps what A sees of `base` when A(detail) = 0; clamping would not. `t_of` replaces the per-pixel t where
    several pixels must share one.
    """
    t = range_factor(base, detail) if t_of is None else t_of
    # The clamp only takes off rounding errors of the last bit, far below what the law allows.
    return (base + t * detail).clamp(-1, 1)


def range_factor(base: Tensor, detail: Tensor) -> Tensor:
    """Largest t (B, 1, H, W) in [0, 1] with base + t * detail in [-1, 1] in all channels; base must lie in [-1, 1]."""
    room = torch.where(detail > 0, 1 - base, 1 + base).clamp_min(0)  # how far each channel may still go
    size = detail.abs()
    t = torch.where(size > room, room / size.clamp_min(torch.finfo(size.dtype).tiny), torch.ones_like(size))
    return t.amin(dim=1, keepdim=True)
