"""An edit of an inverted code: moves along directions, in all styles or in a range of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from inversion.common.settings import SettingError
from inversion.directions import EVERYWHERE, Direction, Layers, conditioned, style_range
from inversion.editing.blend import driving_styles, styled

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior
    from inversion.methods.codes import Code


def edited(
    code: Code,
    prior: Prior,
    directions: Mapping[str, Direction],
    moves: Mapping[str, float],
    layers: Layers | None = None,
    keep: Sequence[str] = (),
) -> Code:
    """The code moved along directions; moves: name -> strength in deviations. Without moves, the code itself.

    A move ends where random codes end (`Direction.reach`): beyond it, pictures leave the domain and attributes reverse.
    prior: the generator that the code was inverted with, tuned or not. layers: the styles to move, None for all. keep:
    attributes to hold, by moves parallel to their boundaries (conditional manipulation). Raises SettingError.
    """
    if not moves:
        return code
    normals = [_normal(directions, name) for name in keep if name not in moves]
    first, last = style_range(layers, prior)
    styles = driving_styles(styled(code, prior))
    shift = torch.zeros_like(styles)
    for name, strength in moves.items():
        if not abs(strength) < float("inf"):
            raise SettingError(f"The strength of {name} must be a number, not {strength}.")
        direction = _find(directions, name)
        deviations = _within_reach(direction, styles - prior.w_avg, strength)  # (B, 1, 1)
        shift += deviations * direction.deviation * _parallel(direction.rows.to(shift), normals)
    shift[:, :first] = 0
    shift[:, last + 1 :] = 0
    return code.shifted(prior, shift)


def _within_reach(direction: Direction, offsets: Tensor, strength: float) -> Tensor:
    """The part of `strength` (B, 1, 1) that stays within the reach, in deviations.

    offsets (B, num_ws, w_dim): the styles minus the mean style.
    """
    if direction.reach == EVERYWHERE:
        return torch.full_like(offsets[:, :1, :1], strength)
    along = (offsets * direction.rows.to(offsets)).sum(dim=2)
    at = (along.mean(dim=1) if len(direction.rows) == 1 else along.sum(dim=1)) / direction.deviation
    low, high = (torch.full_like(at, end) for end in direction.reach)
    end = (at + strength).clamp(torch.minimum(at, low), torch.maximum(at, high))
    return (end - at)[:, None, None]


def _parallel(rows: Tensor, normals: Sequence[Tensor]) -> Tensor:
    """A direction parallel to the boundaries with these normals."""
    return conditioned(rows.expand_as(normals[0]), [n.to(rows) for n in normals]) if normals else rows


def _find(directions: Mapping[str, Direction], name: str) -> Direction:
    if name not in directions:
        raise SettingError(f"Unknown direction {name!r}. Choose one of: {', '.join(directions) or 'none'}.")
    return directions[name]


def _normal(directions: Mapping[str, Direction], name: str) -> Tensor:
    normal = _find(directions, name).normal
    if normal is None:
        raise SettingError(f"{name} cannot be kept, because it has no boundary. Keep an attribute instead.")
    return normal
