"""Reconstruction: everything is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from inversion.tasks.base import Task


@dataclass(frozen=True)
class Reconstruct(Task):
    """A(x) = x. The result is what the method made, untouched."""

    name: ClassVar[str] = "reconstruct"
    label: ClassVar[str] = "Reconstruction"
    description: ClassVar[str] = "Find the code whose picture is yours."

    def A(self, x: Tensor) -> Tensor:
        return x

    def pinv(self, y: Tensor) -> Tensor:
        return y
