"""Finds codes in the files of other projects: by the names and shapes of their arrays, without a network.

    latents_of(content)                 # {name: Latent}, {} if the content is no code
    latents_of(content, stated=True)    # the user says that it is a code, so that a single style is one, too

A direction and a code may have the same shape. A lone array (num_ws, w_dim) is a code, unless it has the length of a
direction. A lone style (w_dim,) is a direction, unless it is stated to be a code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from inversion.common.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

NAMES = ("w", "ws", "wp", "w_plus", "wplus", "w_pivot", "projected_w", "latent", "latents", "latent_code", "code")
UNNAMED = ("", "arr_0")  # of a lone array, and of NumPy's savez
NARROW, WIDE = 32, 8192  # plausible widths of W, if the user does not state that it is a code
UNIT = 1e-3  # how much the length of a direction may differ from 1
PLAIN = "tensor"  # the layout of a lone array
LAYERED = "The layers that the file of the direction names are left out: give them with `--layers`."


class CodeError(UserError):
    """A file that holds no code, several, or a broken one; or a code that does not fit the model."""


@dataclass(frozen=True, eq=False)
class Latent:
    """A code whose model is unknown. layout: how it was stored."""

    rows: Tensor  # (1, n, w_dim), n is 1 or num_ws
    noise: tuple[Tensor, ...]  # (1, 1, h, w) each; empty if the file has none
    layout: str


def latents_of(content: Mapping[str, object] | Tensor, stated: bool = False) -> dict[str, Latent]:
    """The codes of a file by name. content: tensors by name, in nested dicts, or one tensor. {} if it is no code.

    Raises CodeError for an array of several codes.
    """
    if isinstance(content, torch.Tensor):
        content = {"": content}
    found = _rosinality(content)
    if found:
        return found
    named = {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}
    known = [name for name in NAMES if name in named]
    if known:
        rows = _rows(named[known[0]], stated)
        return {} if rows is None else {known[0]: Latent(rows, (), "nvidia-projector" if known[0] == "w" else PLAIN)}
    if len(named) == 1 and (stated or next(iter(named)) in UNNAMED):
        rows = _rows(next(iter(named.values())), stated)
        direction = rows is not None and not stated and (rows.shape[1] == 1 or _has_length_of_direction(rows[0]))
        return {} if rows is None or direction else {"": Latent(rows, (), PLAIN)}
    nested = {name: value for name, value in content.items() if isinstance(value, Mapping)}
    if named or not nested:
        return {}
    if len(nested) == 1:
        return latents_of(next(iter(nested.values())), stated)
    several = {name: latents_of(value, stated) for name, value in nested.items()}  # of e4e's and PTI's scripts
    return {name: next(iter(one.values())) for name, one in several.items() if len(one) == 1}


def is_style_space(content: Mapping[str, object]) -> bool:
    """Whether a file holds a list of styles of different widths, one for each convolution (StyleSpace, Wu 2021)."""
    styles = [value for value in content.values() if isinstance(value, torch.Tensor)]
    listed = len(styles) == len(content) and all(name.isdigit() for name in content)
    flat = all(value.ndim and value.is_floating_point() and value.numel() == max(value.shape) for value in styles)
    return listed and flat and len({value.numel() for value in styles}) > 1


def _rosinality(content: Mapping[str, object]) -> dict[str, Latent]:
    """The codes of the projector in rosinality's stylegan2-pytorch: {file name: {img, latent, noise}}."""
    found: dict[str, Latent] = {}
    for name, value in content.items():
        latent = value.get("latent") if isinstance(value, Mapping) else None
        if not isinstance(value, Mapping) or not isinstance(latent, torch.Tensor) or not {"img", "noise"} & set(value):
            return {}
        rows, noise = _rows(latent, stated=True), value.get("noise")
        if rows is None:
            return {}
        # A reader of pickles gives a list as a dict by place, and a list of one as its only member.
        listed = list(noise.values()) if isinstance(noise, Mapping) else [noise]
        maps = [one.detach().float() for one in listed if isinstance(one, torch.Tensor)]
        found[name] = Latent(rows, tuple(one.reshape(1, 1, *one.shape[-2:]) for one in maps), "rosinality-projector")
    return found


def _rows(value: Tensor, stated: bool) -> Tensor | None:
    """An array of styles as (1, n, w_dim) float32. None if its shape is not that of a code. Raises CodeError."""
    if not value.is_floating_point() or value.ndim < 1 or not value.numel():
        return None
    if not stated and not NARROW <= value.shape[-1] <= WIDE:
        return None
    while value.ndim > 2 and len(value) == 1:
        value = value[0]
    if value.ndim > 3:
        return None
    if value.ndim == 3:
        shape = tuple(value.shape)
        raise CodeError(f"it holds {shape[0]} codes {shape}: save one of them as a file of its own")
    return value.detach().float().reshape(1, -1, value.shape[-1])


def _has_length_of_direction(rows: Tensor) -> bool:
    """Whether styles (n, w_dim) have the length of a direction: 1 as a whole, or 0 or 1 each."""
    lengths = rows.norm(dim=1)
    unit = (lengths - 1).abs() < UNIT
    return bool((rows.norm() - 1).abs() < UNIT) or bool((unit | (lengths == 0)).all()) or bool((lengths == 0).any())
