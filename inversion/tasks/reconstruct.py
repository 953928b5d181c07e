"""Reconstruction: everything is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from inversion.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Reconstruct(Task):
    """A(x) = x. The result is what the method made, untouched."""

    name: ClassVar[str] = "reconstruct"
    label: ClassVar[str] = "Reconstruction"
    description: ClassVar[str] = "Find the code whose picture is yours."

    exact: ClassVar[bool] = True

    def A(self, x: Tensor) -> Tensor:
        return x

    def pinv(self, y: Tensor) -> Tensor:
        return y
