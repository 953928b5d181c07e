"""Latent codes: one or several points of a latent space, and how a prior renders them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar

import torch

from inversion.common.settings import SettingError

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior

    PlainPart = str | int | Tensor | tuple[Tensor, ...]
    PlainCode = Mapping[str, PlainPart]  # a code as names, numbers and CPU tensors; see `to_plain`


@dataclass(frozen=True, eq=False)
class Code(ABC):
    """A batch of latent codes. `space` is the latent space of the directions that `moved` takes."""

    space: ClassVar[str]

    @abstractmethod
    def render(self, prior: Prior) -> Tensor:
        """Pictures (B, 3, R, R), about [-1, 1] but not clamped."""

    @abstractmethod
    def ws(self, prior: Prior) -> Tensor:
        """The corresponding styles (B, num_ws, w_dim), from which a later stage in W or W+ starts."""

    @abstractmethod
    def moved(self, direction: Tensor, strength: float) -> Code:
        """This code plus strength * direction; the direction is a vector of `space` that broadcasts to the code."""

    def shifted(self, prior: Prior, rows: Tensor) -> Code:
        """This code with rows ((B,) 1 or num_ws, w_dim) added to its styles, as directions in W or W+ edit it.

        If the prior has no styles, z scaled to the length of a random z takes their place.
        """
        return WPlus(_scaled_like_random(prior, self.ws(prior)) + rows)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the code by name, in the shapes that its class states."""
        return {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), torch.Tensor)}


@dataclass(frozen=True, eq=False)
class Z(Code):
    """One vector of the prior's input space."""

    space: ClassVar[str] = "z"
    z: Tensor  # (B, z_dim)

    def render(self, prior: Prior) -> Tensor:
        return prior.synthesis(self.ws(prior))

    def ws(self, prior: Prior) -> Tensor:
        return prior.mapping(self.z)

    def moved(self, direction: Tensor, strength: float) -> Z:
        return Z(self.z + strength * direction)


@dataclass(frozen=True, eq=False)
class W(Code):
    """One style vector for all layers."""

    space: ClassVar[str] = "w"
    w: Tensor  # (B, w_dim)

    def render(self, prior: Prior) -> Tensor:
        return prior.synthesis(self.ws(prior))

    def ws(self, prior: Prior) -> Tensor:
        return self.w[:, None].expand(-1, prior.num_ws, -1)

    def moved(self, direction: Tensor, strength: float) -> W:
        return W(self.w + strength * direction)


@dataclass(frozen=True, eq=False)
class WPlus(Code):
    """One style vector per layer, with noise maps if they were optimised."""

    space: ClassVar[str] = "w"
    rows: Tensor  # (B, num_ws, w_dim)
    noise: tuple[Tensor, ...] = ()  # (B, 1, h, w) each; empty: the constant maps of the prior

    def render(self, prior: Prior) -> Tensor:
        return prior.synthesis(self.rows, self.noise or None)

    def ws(self, prior: Prior) -> Tensor:
        return self.rows

    def moved(self, direction: Tensor, strength: float) -> WPlus:
        return replace(self, rows=self.rows + strength * direction)

    def shifted(self, prior: Prior, rows: Tensor) -> WPlus:
        return replace(self, rows=_scaled_like_random(prior, self.rows) + rows)

    def tensors(self) -> dict[str, Tensor]:
        return {"rows": self.rows, **{f"noise_{i}": n for i, n in enumerate(self.noise)}}


@dataclass(frozen=True, eq=False)
class MultiCode(Code):
    """Several codes whose features are mixed channel by channel (mGANprior, Gu et al. 2020, eq. 3).

    F = sum_n alpha_n * head(z_n), per channel; the layers after the split turn F into the picture. On StyleGAN2 the RGB
    states of the heads are averaged, and the layers after the split share one more code, `rows`.
    """

    space: ClassVar[str] = "z"
    z: Tensor  # (B, N, z_dim)
    alpha: Tensor  # (B, N, channels(layer)), unconstrained
    rows: Tensor  # (B, num_ws, w_dim), styles of the layers after the split
    layer: int  # number of convolutions before the split

    def render(self, prior: Prior) -> Tensor:
        return self.mixture(prior).render(prior)

    def ws(self, prior: Prior) -> Tensor:
        return self.rows

    def moved(self, direction: Tensor, strength: float) -> MultiCode:
        return replace(self, z=self.z + strength * direction)

    def shifted(self, prior: Prior, rows: Tensor) -> Mixture:
        return self.mixture(prior).shifted(prior, rows)

    def mixture(self, prior: Prior) -> Mixture:
        """The same code with the styles of every z instead of z."""
        heads = prior.mapping(self.z.flatten(0, 1)).unflatten(0, self.z.shape[:2])
        return Mixture(heads, self.alpha, self.rows, self.layer)


@dataclass(frozen=True, eq=False)
class Mixture(Code):
    """A `MultiCode` whose codes are given by their styles; editing a `MultiCode` returns one."""

    space: ClassVar[str] = "w"
    heads: Tensor  # (B, N, num_ws, w_dim), styles of the layers before the split
    alpha: Tensor  # (B, N, channels(layer))
    rows: Tensor  # (B, num_ws, w_dim), styles of the layers after the split
    layer: int  # number of convolutions before the split

    def render(self, prior: Prior) -> Tensor:
        from inversion.generators.base import State

        B, N = self.heads.shape[:2]
        state = prior.head(self.heads.flatten(0, 1), self.layer)  # (B N, C, h, h)
        # Channels last: the product and its gradient run over contiguous channels, which is seven times faster.
        C, h, w = state.features.shape[1:]
        rows = state.features.permute(0, 2, 3, 1).reshape(B, N, h * w, C)
        mixed = (rows * self.alpha.to(rows.dtype)[:, :, None]).sum(dim=1)  # (B, h w, C)
        mixed = mixed.view(B, h, w, C).permute(0, 3, 1, 2)
        rgb = None if state.rgb is None else state.rgb.unflatten(0, (B, N)).mean(dim=1)
        return prior.tail(State(mixed, rgb), self.layer, self.rows)

    def ws(self, prior: Prior) -> Tensor:
        return self.rows

    def moved(self, direction: Tensor, strength: float) -> Mixture:
        return replace(self, heads=self.heads + strength * direction, rows=self.rows + strength * direction)

    def shifted(self, prior: Prior, rows: Tensor) -> Mixture:
        heads = _scaled_like_random(prior, self.heads) + rows.unsqueeze(-3)
        return replace(self, heads=heads, rows=self.rows + rows)


def as_w(code: Code, prior: Prior) -> W | None:
    """The code as one style with the same picture. None if it has several styles, noise maps or a mixture."""
    if isinstance(code, Z) and "w" in prior.spaces:
        with torch.no_grad():
            return W(code.ws(prior)[:, 0])
    if isinstance(code, WPlus) and not code.noise and torch.equal(code.rows, code.rows[:, :1].expand_as(code.rows)):
        return W(code.rows[:, 0])
    return code if isinstance(code, W) else None


def as_wplus(code: Code, prior: Prior) -> WPlus | None:
    """The code as one style per layer with the same picture. None if it is a mixture of codes."""
    if isinstance(code, Z | W):
        with torch.no_grad():
            return WPlus(code.ws(prior).contiguous())
    return code if isinstance(code, WPlus) else None


def described(code: Code) -> str:
    """The kind of a code in words, for messages."""
    if isinstance(code, WPlus):
        return "a code in W+ with noise maps" if code.noise else "a code in W+"
    if isinstance(code, MultiCode | Mixture):
        return "a multi-code" if isinstance(code, MultiCode) else "an edited multi-code"
    return f"a code in {code.space.upper()}"


CODES: dict[str, type[Code]] = {"z": Z, "w": W, "wplus": WPlus, "multicode": MultiCode, "mixture": Mixture}


def repeated(code: Code, count: int) -> Code:
    """The code for `count` pictures, if it is one or already has as many. Raises SettingError for any other number."""
    size = len(next(iter(code.tensors().values())))
    if size == count:
        return code
    if size != 1:
        raise SettingError(f"The start has {size} codes for {count} pictures. Give one code, or one for each picture.")
    parts = _map_tensors(vars(code), lambda tensor: tensor.expand(count, *tensor.shape[1:]))
    return type(code)(**parts)


def to_plain(code: Code) -> PlainCode:
    """A code of one of `CODES`, as names, numbers and CPU tensors; `from_plain` is the inverse."""
    kind = next(name for name, cls in CODES.items() if type(code) is cls)
    return {"kind": kind, **_map_tensors(vars(code), lambda tensor: tensor.detach().cpu())}


def from_plain(plain: PlainCode, device: torch.device) -> Code:
    """The code that `to_plain` converted, on `device`. Raises KeyError for an unknown kind."""
    parts = {name: value for name, value in plain.items() if name != "kind"}
    return CODES[str(plain["kind"])](**_map_tensors(parts, lambda tensor: tensor.to(device)))


def _map_tensors(parts: PlainCode, change: Callable[[Tensor], Tensor]) -> dict[str, PlainPart]:
    """The fields of a code with `change` applied to every tensor, also inside tuples."""
    return {
        name: change(value)
        if isinstance(value, torch.Tensor)
        else tuple(map(change, value))
        if isinstance(value, tuple)
        else value
        for name, value in parts.items()
    }


def _scaled_like_random(prior: Prior, styles: Tensor) -> Tensor:
    """The styles (..., num_ws, w_dim), or, if they are z, whose length has no effect, scaled to that of a random z."""
    if "w+" in prior.spaces:
        return styles
    from inversion.generators.ops import pixel_norm

    return pixel_norm(styles.transpose(1, -1)).transpose(1, -1)
