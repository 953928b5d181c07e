"""What every embedded domain is made of: seeds, codes, factors, and the pictures that they describe.

A picture is a point z on the sphere of radius sqrt(64): the first coordinates of the normalised z, one per factor,
pushed through the Gaussian's distribution function, are uniform on (-1, 1). StyleGAN's mapping normalises z in the same
way, so a generator trained on pairs (z, picture) loses nothing of what the picture depends on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from torch import Tensor

Z_DIM = 64
HELD_OUT = 1_000_000  # training pictures have smaller seeds


@dataclass(frozen=True)
class Factor:
    """One continuous factor: ``low`` and ``high`` are its values at u = -1 and u = 1, in the unit of ``unit``."""

    name: str
    low: float
    high: float
    group: str
    unit: str = ""


@dataclass(frozen=True)
class Rendering:
    """Result of one call of a renderer, on the device of the factors."""

    picture: Tensor  # (B, 3, R, R) in [-1, 1]
    labels: Tensor  # (B, K, R, R): the given label rows, mixed by coverage; K = 0 without label rows


class Renderer(Protocol):
    """Draws pictures from factors, see `Domain.render`."""

    def __call__(self, u: Tensor, resolution: int, *, labels: Tensor | None = None, chunk: int = 16) -> Rendering: ...


@dataclass(frozen=True)
class Batch:
    """A batch of pictures of a domain with their ground truth."""

    z: Tensor  # (B, 64) codes, CPU
    factors: Tensor  # (B, len(names)) in (-1, 1), CPU
    picture: Tensor  # (B, 3, R, R) in [-1, 1]
    segmentation: Tensor  # (B, len(classes), R, R) coverages that sum to 1
    sketch: Tensor  # (B, 1, R, R) in [-1, 1], 1 is paper


@dataclass(frozen=True)
class Domain:
    """An embedded domain: factors, classes and renderer. The codes of every domain are ``latents(seeds)``."""

    resolution: int  # of the pictures that its generator is trained on
    names: tuple[str, ...]  # of the factors
    classes: tuple[str, ...]  # of the segmentation map; the first one is the background of all others
    detail: Mapping[str, float]  # classes of small things: how much more their pixels count in training, 0 to 1
    factors: Callable[[Tensor], Tensor]  # codes (B, 64) -> (B, len(names)) in (-1, 1), on the CPU
    # Factors u (B, len(names)) and a resolution -> pictures; `labels` (len(classes), K) are carried along with the
    # colours, and `chunk` pictures are drawn at a time, so that the planes stay in cache.
    render: Renderer
    # Factors (B, len(names)) and seeds -> factors of the same individuals in other poses and moods; None if the domain
    # has no individuals.
    mates: Callable[[Tensor, Sequence[int]], Tensor] | None = None

    def draw(self, seeds: Sequence[int], resolution: int | None = None, device: torch.device | str = "cpu") -> Batch:
        """Draw the pictures of these seeds; the default resolution is the domain's own."""
        z = latents(seeds)
        u = self.factors(z)
        drawn = self.render(u.to(device), resolution or self.resolution, labels=torch.eye(len(self.classes)))
        return Batch(z, u, drawn.picture, drawn.labels, sketch(drawn.picture, drawn.labels))

    def pictures(
        self, n: int, rng: torch.Generator, resolution: int | None = None, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Draw n pictures (n, 3, R, R) in [-1, 1] of random seeds below ``HELD_OUT``, drawn from rng."""
        seeds = torch.randint(0, HELD_OUT, (n,), generator=rng).tolist()
        return self.render(self.factors(latents(seeds)).to(device), resolution or self.resolution).picture

    def detail_labels(self) -> Tensor:
        """Label rows (len(classes), 1): how much each class counts as small detail, 0 to 1."""
        return torch.tensor([[self.detail.get(name, 0.0)] for name in self.classes])


def latents(seeds: Sequence[int]) -> Tensor:
    """Latent codes (B, 64) float32 on the CPU, standard normal; each seed has its own generator."""
    rows = []
    for seed in seeds:
        rows.append(torch.randn(Z_DIM, generator=torch.Generator().manual_seed(int(seed)), dtype=torch.float64))
    return torch.stack(rows).float() if rows else torch.empty(0, Z_DIM)


def uniform(z: Tensor, count: int) -> Tensor:
    """The first ``count`` coordinates of codes z (B, 64), uniform on (-1, 1): (B, count) float32 on the CPU.

    Computed in float64 and rounded once: vector and scalar code paths of float32 erf differ in the last bit.
    """
    z64 = z.detach().cpu().double()
    z64 = z64 * (z64.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
    return torch.erf(z64[:, :count] / math.sqrt(2)).float()


def factor_values(u: Tensor, table: Sequence[Factor]) -> dict[str, Tensor]:
    """Factor values in their own units: name -> (B,), from u (B, len(table)) in (-1, 1)."""
    return {f.name: f.low + (f.high - f.low) * (u[:, i] + 1) / 2 for i, f in enumerate(table)}


def sketch(picture: Tensor, segmentation: Tensor) -> Tensor:
    """Line drawing (B, 1, R, R) in [-1, 1], 1 is paper: borders between classes, and faint ones of the luminance."""

    def slope(planes: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(planes, (1, 1, 1, 1), mode="replicate")
        dx = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
        dy = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
        return (dx.square() + dy.square()).sqrt().amax(dim=1, keepdim=True)

    grey = (picture * torch.tensor([0.299, 0.587, 0.114], device=picture.device)[:, None, None]).sum(1, keepdim=True)
    ink = torch.maximum(slope(segmentation) * 1.1, slope(grey) * 0.9)
    return 1 - 2 * ink.clamp(0, 1)
