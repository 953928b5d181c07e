"""Coordinates of styles: Adam treats each alone, so it needs fewer steps in those that depend little on each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from inversion.generators.statistics import principal_axes

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.methods.base import Problem

SENSITIVE_HELP = (
    "Optimise along the axes of W to which the loss is sensitive, or along the principal axes if the model has no file "
    "of them. Fewer steps are enough. Not used from the mean, which is too far away."
)


@dataclass(frozen=True)
class Coordinates:
    """Styles (B, ..., rows, w_dim) as a function of `variable` of the same shape, a leaf that is optimised in place.

    axes: None for the entries themselves; columns (w_dim, w_dim), orthogonal, for all rows; or columns
    (rows, w_dim, w_dim) for each row, along which `variable` is the distance from the start.
    """

    start: Tensor
    variable: Tensor
    axes: Tensor | None

    @classmethod
    def of(cls, start: Tensor, axes: Tensor | None) -> Coordinates:
        """The coordinates of `start`."""
        with torch.inference_mode(False), torch.no_grad():
            if axes is None:
                variable = start.detach().clone(memory_format=torch.contiguous_format)
            else:
                variable = start @ axes if axes.ndim == 2 else torch.zeros_like(start)
        return cls(start, variable.requires_grad_(True), axes)

    def styles(self) -> Tensor:
        """The styles, with gradients to `variable`."""
        if self.axes is None:
            return self.variable
        if self.axes.ndim == 2:
            return self.variable @ self.axes.t()
        return self.start + torch.einsum("...lj,lij->...li", self.variable, self.axes)

    def best(self) -> Tensor:
        """A copy of the styles without gradients. Turning a code and back rounds it; a start that is best stays."""
        with torch.no_grad():
            found = self.styles().detach().clone()
            if self.axes is None or self.axes.ndim == 3:
                return found
            unmoved = (self.variable == self.start @ self.axes).flatten(1).all(dim=1)
            return torch.where(unmoved.view(-1, *[1] * (found.ndim - 1)), self.start, found)


def axes_of(problem: Problem, space: Literal["w", "wplus"], sensitive: bool, principal: bool = False) -> Tensor | None:
    """The axes that settings ask for: sensitive ones if the model has them, else principal ones; None for neither."""
    if sensitive and space in problem.model.axes:
        return problem.model.axes[space]
    return principal_axes(problem.prior)[0] if sensitive or principal else None
