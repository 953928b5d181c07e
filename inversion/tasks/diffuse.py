"""Semantic diffusion (In-Domain, Zhu et al. 2020, section 4.3): part of one picture grows into another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from inversion.common import settings
from inversion.tasks.base import Task, TaskError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Diffuse(Task):
    """A(x) = x * mask: the marked part of the target is measured, and pinv(y) shows it pasted into the context.

    mask (1 or B, 1, R, R) with 1 = target, 0 = context; context (1 or B, 3, R, R) in [-1, 1]. Encoders start from the
    pasted picture; nothing is merged, because the context is to give way where the target's part asks for it.
    """

    name: ClassVar[str] = "diffuse"
    label: ClassVar[str] = "Semantic diffusion"
    description: ClassVar[str] = "Put part of one picture into another; the generator makes a face of both."

    has_truth: ClassVar[bool] = False

    mask: Tensor = settings.mask("Region", "White marks the part of the target.", white=1)
    context: Tensor = settings.picture("Context", "The picture that the part is put into.")

    def __post_init__(self) -> None:
        if not bool(((self.mask == 0) | (self.mask == 1)).all()):
            raise TaskError("a region's mask holds 1 for the target and 0 for the context, nothing between")
        part = self.mask.flatten(1).mean(dim=1)
        if bool((part == 0).any()):
            raise TaskError("no region is marked: mark the part of the target that is to go into the context")
        if bool((part == 1).any()):
            raise TaskError("the region covers the whole picture: leave some of the context")

    def measured_size(self, resolution: int) -> int:
        if self.mask.shape[-1] != resolution or self.context.shape[-1] != resolution:
            raise TaskError(f"region and context must be {resolution} pixels wide, as the generator's pictures")
        return resolution

    def A(self, x: Tensor) -> Tensor:
        return x * self.mask.to(x)

    def pinv(self, y: Tensor) -> Tensor:
        return y + self.context.to(y) * (1 - self.mask.to(y))

    def parameters(self) -> dict[str, Any]:
        return {"region": round(float(self.mask.mean()), 4)}
