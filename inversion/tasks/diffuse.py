"""Semantic diffusion (In-Domain, Zhu et al. 2020, section 4.3): blends a part of one picture into another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from inversion.common import settings
from inversion.common.settings import SettingValue
from inversion.tasks.base import Task, TaskError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Diffuse(Task):
    """A(x) = x * mask: the marked part of the target is measured. pinv(y) shows it pasted into the context.

    mask (1 or B, 1, R, R): 1 = target, 0 = context. context (1 or B, 3, R, R) in [-1, 1]. Encoders read the pasted
    picture. Nothing is merged, because the context may change to fit the part of the target. context_weight: of the
    squared error outside the region, which keeps hair and background of the context (`benchmarks.diffusion`). Raises
    TaskError unless the mask holds only 0 and 1, and both.
    """

    name: ClassVar[str] = "diffuse"
    label: ClassVar[str] = "Semantic diffusion"
    description: ClassVar[str] = "Put a part of one picture into another. The generator blends them."

    has_truth: ClassVar[bool] = False

    mask: Tensor = settings.mask("Region", "White marks the part of the target.", white=1)
    context: Tensor = settings.picture("Context", "The picture that receives the part.")
    context_weight: float = settings.setting(
        0.3,
        "Weight of the context",
        "Weight of the squared error outside the region, relative to that of the pixels inside. 0: as published.",
        min=0.0,
        max=10.0,
        step=0.05,
    )

    def __post_init__(self) -> None:
        if not bool(((self.mask == 0) | (self.mask == 1)).all()):
            raise TaskError("The mask of a region must hold only 1 (target) and 0 (context).")
        part = self.mask.flatten(1).mean(dim=1)
        if bool((part == 0).any()):
            raise TaskError("There is no region. Mark the part of the target to put into the context.")
        if bool((part == 1).any()):
            raise TaskError("The region covers the whole picture. Leave some of the context.")

    def measured_size(self, resolution: int) -> int:
        if self.mask.shape[-1] != resolution or self.context.shape[-1] != resolution:
            raise TaskError(f"Region and context must be {resolution} pixels wide, as the pictures of the generator.")
        return resolution

    def A(self, x: Tensor) -> Tensor:
        return x * self.mask.to(x)

    def pinv(self, y: Tensor) -> Tensor:
        return y + self.context.to(y) * (1 - self.mask.to(y))

    def penalty(self, x: Tensor) -> Tensor | None:
        if not self.context_weight:
            return None
        outside = (x - self.context.to(x)) * (1 - self.mask.to(x))
        return self.context_weight * outside.square().flatten(1).mean(dim=1)

    def parameters(self) -> dict[str, SettingValue]:
        return {"region": round(float(self.mask.mean()), 4), "context_weight": self.context_weight}
