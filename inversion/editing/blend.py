"""Two inverted codes become one: interpolation (Zhu et al. 2020, section 4.3) and style mixing by layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from inversion.common.settings import SettingError
from inversion.generators.base import Prior
from inversion.methods.codes import Code, Mixture, WPlus


def interpolated(a: Code, b: Code, t: float, prior: Prior) -> Code:
    """The code at t in [0, 1] on the straight line from a (t = 0) to b; both render at the ends as they are.

    A single code that meets a multi-code one stands for as many equal codes; its noise maps are left out then. Raises
    SettingError for two multi-code ones that were not made alike.
    """
    first, second = styled(a, prior), styled(b, prior)
    if isinstance(first, WPlus) and isinstance(second, WPlus):
        noise = tuple(torch.lerp(m, n, t) for m, n in zip(*_both_noises(first, second, prior), strict=True))
        return WPlus(torch.lerp(first.rows, second.rows, t), noise)
    first, second = _as_mixture(first, second), _as_mixture(second, first)
    if first.layer != second.layer or first.heads.shape != second.heads.shape:
        raise SettingError("the two results mix different numbers of codes, or at different layers: invert them alike")
    heads, alpha = torch.lerp(first.heads, second.heads, t), torch.lerp(first.alpha, second.alpha, t)
    return Mixture(heads, alpha, torch.lerp(first.rows, second.rows, t), first.layer)


def mixed(content: Code, style: Code, start: int, prior: Prior) -> Code:
    """The content's code with the style's from row `start` on: coarse things of one, fine things of the other.

    In-Domain takes the style from row 10 of 14 on. Raises SettingError.
    """
    if prior.num_ws == 1:
        raise SettingError("this generator has a single style: there is nothing to mix by layers")
    if not 1 <= start < prior.num_ws:
        raise SettingError(f"styles can be mixed from layer 1 to {prior.num_ws - 1} on, not from {start}")
    kept, given = styled(content, prior), driving_styles(styled(style, prior))
    if isinstance(kept, Mixture):
        heads = given[:, None].expand_as(kept.heads)
        return replace(kept, heads=_from(kept.heads, heads, start), rows=_from(kept.rows, given, start))
    return replace(kept, rows=_from(kept.rows, given, start))


def between(
    a: Mapping[str, Tensor] | None, b: Mapping[str, Tensor] | None, t: float, prior: Prior
) -> dict[str, Tensor] | None:
    """Tuned weights at t in [0, 1] between two results'; a generator that was not tuned has the prior's own."""
    if not a and not b:
        return None
    own = dict(prior.tunable())
    names = {**(a or {}), **(b or {})}
    start, end = ({n: w[n] if w and n in w else own[n].detach().cpu() for n in names} for w in (a, b))
    return {name: torch.lerp(start[name], end[name], t) for name in names}


def styled(code: Code, prior: Prior) -> WPlus | Mixture:
    """The code in the space of styles; it renders the same."""
    moved = code.shifted(prior, torch.zeros_like(prior.w_avg))
    if not isinstance(moved, WPlus | Mixture):
        raise TypeError(f"{type(code).__name__} has no styles")
    return moved


def driving_styles(code: WPlus | Mixture) -> Tensor:
    """The styles (B, num_ws, w_dim) that drive the layers: before a split the mean over the codes."""
    if isinstance(code, WPlus):
        return code.rows
    return torch.cat([code.heads.mean(dim=1)[:, : code.layer], code.rows[:, code.layer :]], dim=1)


def _as_mixture(code: WPlus | Mixture, like: WPlus | Mixture) -> Mixture:
    """A single code as `like` is made: equal codes that together have the features of the one."""
    if isinstance(code, Mixture):
        return code
    if not isinstance(like, Mixture):
        raise TypeError("one of two has to be a mixture")
    N = like.alpha.shape[1]
    heads = code.rows[:, None].expand(-1, N, -1, -1)
    return Mixture(heads, torch.full_like(like.alpha, 1 / N), code.rows, like.layer)


def _both_noises(a: WPlus, b: WPlus, prior: Prior) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Noise maps of both; the prior's constant ones for the one that has none, and nothing where neither has."""
    if not a.noise and not b.noise:
        return (), ()
    constant = tuple(getattr(prior, f"noise_{k}") for k in range(len(prior.noise_shapes)))
    return a.noise or constant, b.noise or constant


def _from(a: Tensor, b: Tensor, start: int) -> Tensor:
    """Rows (..., num_ws, w_dim) of a before `start`, of b from there on."""
    return torch.cat([a[..., :start, :], b[..., start:, :]], dim=-2)
