"""Reconstruction: the whole picture is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from inversion.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Reconstruct(Task):
    """A(x) = x. The result is the picture of the method, unchanged."""

    name: ClassVar[str] = "reconstruct"
    label: ClassVar[str] = "Reconstruction"
    description: ClassVar[str] = "Rebuild your picture with a GAN."

    exact: ClassVar[bool] = True

    def A(self, x: Tensor) -> Tensor:
        return x

    def pinv(self, y: Tensor) -> Tensor:
        return y
