"""What is optimised: a point of a latent space, or several, and how a prior renders it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import ClassVar

from torch import Tensor

from inversion.generators.base import Prior, State


@dataclass(frozen=True, eq=False)
class Code(ABC):
    """A batch of latent codes. `space` names the latent space that a direction for `moved` lives in."""

    space: ClassVar[str]

    @abstractmethod
    def render(self, prior: Prior) -> Tensor:
        """Pictures (B, 3, R, R), not clamped."""

    @abstractmethod
    def ws(self, prior: Prior) -> Tensor:
        """The styles (B, num_ws, w_dim) nearest in meaning: where a later stage in W or W+ starts."""

    @abstractmethod
    def moved(self, direction: Tensor, strength: float) -> Code:
        """This code plus strength * direction, a vector of `space` that broadcasts to the code's tensor."""

    def tensors(self) -> dict[str, Tensor]:
        """The code's tensors by name."""
        return {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), Tensor)}


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
    """One style vector per layer, and noise maps where they were optimised too."""

    space: ClassVar[str] = "w"
    rows: Tensor  # (B, num_ws, w_dim)
    noise: tuple[Tensor, ...] = ()  # (B, 1, h, w) each; empty: the prior's own constant maps

    def render(self, prior: Prior) -> Tensor:
        return prior.synthesis(self.rows, self.noise or None)

    def ws(self, prior: Prior) -> Tensor:
        return self.rows

    def moved(self, direction: Tensor, strength: float) -> WPlus:
        return replace(self, rows=self.rows + strength * direction)

    def tensors(self) -> dict[str, Tensor]:
        return {"rows": self.rows, **{f"noise_{i}": n for i, n in enumerate(self.noise)}}


@dataclass(frozen=True, eq=False)
class MultiCode(Code):
    """Several codes whose features are mixed channel by channel (mGANprior, Gu et al. 2020, eq. 3).

    F = sum_n alpha_n * head(z_n), per channel; the picture is the rest of the network on F. On StyleGAN2 the RGB states
    of the heads are averaged, and the layers after the split share one more code, `rows`.
    """

    space: ClassVar[str] = "z"
    z: Tensor  # (B, N, z_dim)
    alpha: Tensor  # (B, N, channels(layer)), unconstrained
    rows: Tensor  # (B, num_ws, w_dim), styles of the layers after the split
    layer: int  # the split: how many convolutions come before it

    def render(self, prior: Prior) -> Tensor:
        B, N = self.z.shape[:2]
        state = prior.head(prior.mapping(self.z.flatten(0, 1)), self.layer)  # (B N, C, h, h)
        # As rows of a channels-last map the product and its gradient run over contiguous channels: seven times faster.
        C, h, w = state.features.shape[1:]
        rows = state.features.permute(0, 2, 3, 1).reshape(B, N, h * w, C)
        mixed = (rows * self.alpha.to(rows.dtype)[:, :, None]).sum(dim=1)  # (B, h w, C)
        mixed = mixed.view(B, h, w, C).permute(0, 3, 1, 2)
        rgb = None if state.rgb is None else state.rgb.unflatten(0, (B, N)).mean(dim=1)
        return prior.tail(State(mixed, rgb), self.layer, self.rows)

    def ws(self, prior: Prior) -> Tensor:
        return self.rows

    def moved(self, direction: Tensor, strength: float) -> MultiCode:
        return replace(self, z=self.z + strength * direction)
