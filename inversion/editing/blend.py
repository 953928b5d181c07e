"""Combinations of two inverted codes: interpolation (Zhu et al. 2020, section 4.3) and style mixing by layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from inversion.common.settings import SettingError
from inversion.methods.codes import Code, Mixture, WPlus

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior


def interpolated(a: Code, b: Code, t: float, prior: Prior) -> Code:
    """The code at t in [0, 1] on the straight line from a (t = 0) to b (t = 1); at both ends the picture is unchanged.

    If one result has several codes, the single code of the other is repeated, without its noise maps. Raises
    SettingError if both have several codes but different numbers of codes or split layers, TypeError without styles.
    """
    first, second = styled(a, prior), styled(b, prior)
    if isinstance(first, WPlus) and isinstance(second, WPlus):
        noise = tuple(torch.lerp(m, n, t) for m, n in zip(*_both_noises(first, second, prior), strict=True))
        return WPlus(torch.lerp(first.rows, second.rows, t), noise)
    first, second = _as_mixture(first, second), _as_mixture(second, first)
    if first.layer != second.layer or first.heads.shape != second.heads.shape:
        raise SettingError(
            "The two results differ in the number of codes or the split layer. Invert both with the same settings."
        )
    heads, alpha = torch.lerp(first.heads, second.heads, t), torch.lerp(first.alpha, second.alpha, t)
    return Mixture(heads, alpha, torch.lerp(first.rows, second.rows, t), first.layer)


def mixed(content: Code, style: Code, start: int, prior: Prior) -> Code:
    """The content's code with the style's rows from `start` on: coarse structure of one, fine structure of the other.

    1 <= start < num_ws; In-Domain uses 10 of 14. Raises SettingError for another `start`, TypeError without styles.
    """
    if prior.num_ws == 1:
        raise SettingError("This generator has a single style, so layers cannot be mixed.")
    if not 1 <= start < prior.num_ws:
        raise SettingError(f"The first layer to mix must be between 1 and {prior.num_ws - 1}, not {start}.")
    kept, given = styled(content, prior), driving_styles(styled(style, prior))
    if isinstance(kept, Mixture):
        heads = given[:, None].expand_as(kept.heads)
        return replace(kept, heads=_spliced(kept.heads, heads, start), rows=_spliced(kept.rows, given, start))
    return replace(kept, rows=_spliced(kept.rows, given, start))


def interpolated_weights(
    a: Mapping[str, Tensor] | None, b: Mapping[str, Tensor] | None, t: float, prior: Prior
) -> dict[str, Tensor] | None:
    """Tuned weights by name at t in [0, 1] between those of two results; None if neither generator was tuned.

    Tensors have the shapes of the prior's weights and lie on the CPU. A generator that was not tuned has the weights
    of the prior.
    """
    if not a and not b:
        return None
    own = dict(prior.tunable())
    names = {**(a or {}), **(b or {})}
    start, end = ({n: w[n] if w and n in w else own[n].detach().cpu() for n in names} for w in (a, b))
    return {name: torch.lerp(start[name], end[name], t) for name in names}


def styled(code: Code, prior: Prior) -> WPlus | Mixture:
    """The code in the space of styles, which renders the same picture. Raises TypeError for a code without styles."""
    moved = code.shifted(prior, torch.zeros_like(prior.w_avg))
    if not isinstance(moved, WPlus | Mixture):
        raise TypeError(f"{type(code).__name__} has no styles")
    return moved


def driving_styles(code: WPlus | Mixture) -> Tensor:
    """The styles (B, num_ws, w_dim) that control the layers: before a split the mean over the codes."""
    if isinstance(code, WPlus):
        return code.rows
    return torch.cat([code.heads.mean(dim=1)[:, : code.layer], code.rows[:, code.layer :]], dim=1)


def _as_mixture(code: WPlus | Mixture, like: WPlus | Mixture) -> Mixture:
    """A single code as a mixture like `like`: equal codes whose mixed features are those of the single code."""
    if isinstance(code, Mixture):
        return code
    if not isinstance(like, Mixture):
        raise TypeError("at least one of the two codes must be a mixture")
    N = like.alpha.shape[1]
    heads = code.rows[:, None].expand(-1, N, -1, -1)
    return Mixture(heads, torch.full_like(like.alpha, 1 / N), code.rows, like.layer)


def _both_noises(a: WPlus, b: WPlus, prior: Prior) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Noise maps of both: the prior's constant maps for a code without any, and none if neither code has any."""
    if not a.noise and not b.noise:
        return (), ()
    constant = tuple(getattr(prior, f"noise_{k}") for k in range(len(prior.noise_shapes)))
    return a.noise or constant, b.noise or constant


def _spliced(a: Tensor, b: Tensor, start: int) -> Tensor:
    """Rows (..., num_ws, w_dim) of a before `start`, and of b from `start` on."""
    return torch.cat([a[..., :start, :], b[..., start:, :]], dim=-2)
