"""An edit of an inverted code: moves along directions, in all styles or in a range of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from inversion.common.settings import SettingError
from inversion.directions.base import EVERYWHERE, Direction, Layers, conditioned, style_range
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
    offsets, shift = styles - prior.w_avg, torch.zeros_like(styles)
    for direction, strength in _in_order(directions, moves):
        deviations = _within_reach(direction, offsets, strength)  # (B, 1, 1)
        # A step that depends on the code begins where the moves before it end.
        shift += _parallel(direction.shift(offsets + shift, deviations), normals)
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


def _parallel(steps: Tensor, normals: Sequence[Tensor]) -> Tensor:
    """Steps (B, 1 or num_ws, w_dim), each parallel to the boundaries with these normals."""
    if not normals:
        return steps
    known = [normal.to(steps) for normal in normals]
    return torch.stack([conditioned(step.expand_as(known[0]), known) for step in steps])


def _in_order(directions: Mapping[str, Direction], moves: Mapping[str, float]) -> list[tuple[Direction, float]]:
    """The moves in the order of the model's directions, so that the order in which they are given has no effect."""
    for name, strength in moves.items():
        if not abs(strength) < float("inf"):
            raise SettingError(f"The strength of {name} must be a number, not {strength}.")
        _find(directions, name)
    return [(directions[name], moves[name]) for name in directions if name in moves]


def _find(directions: Mapping[str, Direction], name: str) -> Direction:
    if name not in directions:
        raise SettingError(f"Unknown direction {name!r}. Choose one of: {', '.join(directions) or 'none'}.")
    return directions[name]


def _normal(directions: Mapping[str, Direction], name: str) -> Tensor:
    normal = _find(directions, name).normal
    if normal is None:
        raise SettingError(f"{name} cannot be kept, because it has no boundary. Keep an attribute instead.")
    return normal
