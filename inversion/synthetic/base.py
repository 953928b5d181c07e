"""The parts of an embedded domain: seeds, codes, factors, and the pictures that they describe.

A picture is a point z on the sphere of radius sqrt(64). The first coordinates of the normalised z, one per factor, are
mapped by the Gaussian distribution function, so that factors are uniform on (-1, 1). StyleGAN's mapping normalises z in
the same way, so a generator that is trained on pairs (z, picture) reads everything that determines the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from inversion.synthetic.canvas import Renderer

if TYPE_CHECKING:
    from torch import Tensor

Z_DIM = 64
SAME_INDIVIDUAL = 500_000  # seed offset of another picture of the same individual
HELD_OUT = 1_000_000  # training pictures have smaller seeds
OUT_OF_DOMAIN = 2_000_000  # from this seed on, pictures have extras that no generator has seen


@dataclass(frozen=True)
class Factor:
    """One continuous factor: `low` and `high` are its values at u = -1 and u = 1, in the unit of `unit`.

    label: in words, if the name does not say what it changes.
    """

    name: str
    low: float
    high: float
    group: str
    unit: str = ""
    label: str = ""

    @property
    def words(self) -> str:
        """Its label, or its name in words."""
        return self.label or words_of(self.name)


def words_of(name: str) -> str:
    """The name of a factor in words: hair_length is "Hair length"."""
    return name.replace("_", " ").capitalize()


@dataclass(frozen=True)
class Batch:
    """A batch of pictures of a domain with their ground truth."""

    z: Tensor  # (B, 64) codes, CPU
    factors: Tensor  # (B, len(names)) in (-1, 1), CPU
    picture: Tensor  # (B, 3, R, R) in [-1, 1]
    segmentation: Tensor  # (B, len(classes), R, R) coverages that sum to 1
    sketch: Tensor  # (B, 1, R, R) in [-1, 1], 1 is paper
    extras: Mapping[str, Tensor]  # name -> (B,), see `Domain.extras`; empty within the domain


@dataclass(frozen=True)
class KnownDomain:
    """How `inversion.editing.domain` recognises pictures of a domain, and the words for it.

    model: whose pSp encoder measures it. threshold: PSNR in dB below which a picture is outside.
    """

    model: str
    threshold: float
    knows: str  # completes "This model knows ..."
    label: str


@dataclass(frozen=True)
class Domain:
    """An embedded domain: its factors, its renderer, and all other facts that training and benchmarks need.

    The codes of every domain are `latents(seeds)`.
    """

    resolution: int  # of the pictures that its generator is trained on
    table: tuple[Factor, ...]  # the factors, in the order of their columns
    render: Renderer[Any]  # Any: each domain has its own scene
    detail: Mapping[str, float]  # classes of small things: how much more their pixels count in training, 0 to 1
    headline: tuple[str, ...]  # factors that tables show by name
    identity: tuple[str, ...] = ()  # factors that all pictures of one individual share; () if there are no individuals
    frontal: tuple[str, ...] = ()  # factors that are 0 in the frontal view; () if there is none
    # Seeds -> values (B,) that `render` takes as `extras`: parts that only pictures of seeds from OUT_OF_DOMAIN have.
    extras: Callable[[Sequence[int]], Mapping[str, Tensor]] | None = None
    often_omitted: Mapping[str, str] = field(default_factory=dict)  # class that a drawn map may lack -> class there
    sliders: tuple[str, ...] = ()  # factors whose sliders come first
    edits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # label -> moves of an edit, in deviations
    # Translation -> factors, and groups of factors, that its results do not take from the input.
    unseen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    noun: str = "picture"  # for one picture, in names of files
    examples: tuple[int, ...] = ()  # held-out seeds of the pictures that the page offers
    drawn: tuple[int, ...] = ()  # held-out seeds of the pictures whose line drawings and label maps it offers
    known: KnownDomain | None = None  # None if no model can tell whether a picture belongs to it

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the segmentation map; the first one is the background."""
        return self.render.classes

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the factors."""
        return tuple(factor.name for factor in self.table)

    @property
    def labels(self) -> dict[str, str]:
        """Name -> words of every factor."""
        return {factor.name: factor.words for factor in self.table}

    @property
    def finest(self) -> tuple[str, ...]:
        """The classes of `detail` that count most."""
        return tuple(name for name, weight in self.detail.items() if weight == max(self.detail.values()))

    def columns(self, names: Sequence[str]) -> list[int]:
        """Columns of these factors. Raises ValueError for an unknown name."""
        return [self.names.index(name) for name in names]

    def factors(self, z: Tensor) -> Tensor:
        """Factors (B, len(names)) in (-1, 1), float32 on the CPU, of codes z (B, 64)."""
        return uniform(z, len(self.table))

    def same_individuals(self, u: Tensor, seeds: Sequence[int]) -> Tensor:
        """Factors (B, len(names)) of other pictures of the individuals with factors u (B, len(names)).

        Identity factors are those of u. All other factors come from the seeds plus `SAME_INDIVIDUAL`.
        """
        other, shared = self.factors(latents([seed + SAME_INDIVIDUAL for seed in seeds])), self.columns(self.identity)
        other[:, shared] = u[:, shared]
        return other

    def turned_to_front(self, u: Tensor) -> Tensor:
        """The same factors (B, len(names)) with those of the pose at the middle of their range."""
        front = u.clone()
        front[:, self.columns(self.frontal)] = 0.0
        return front

    def frontal_codes(self, z: Tensor) -> Tensor:
        """Codes (B, 64) of the frontal views of z (B, 64); all factors but the pose stay.

        Factors are read from z at length 8, so the length of the pose moves to a coordinate that no factor uses.
        """
        front, pose = z * 8 / z.norm(dim=1, keepdim=True), self.columns(self.frontal)
        spare = front[:, -1].square() + front[:, pose].square().sum(dim=1)
        front[:, pose] = 0
        front[:, -1] = spare.sqrt()
        return front

    def draw(self, seeds: Sequence[int], resolution: int | None = None, device: torch.device | str = "cpu") -> Batch:
        """Draw the pictures of these seeds; the default resolution is the domain's own."""
        z = latents(seeds)
        u = self.factors(z)
        extras = {} if self.extras is None else self.extras(seeds)
        labels = torch.eye(len(self.classes))
        drawn = self.render(u.to(device), resolution or self.resolution, labels=labels, extras=extras)
        return Batch(z, u, drawn.picture, drawn.labels, sketch(drawn.picture, drawn.labels), extras)

    def front(self, drawn: Batch) -> Tensor:
        """The frontal views (B, 3, R, R) in [-1, 1] of a batch, with the same extras."""
        u = self.turned_to_front(drawn.factors).to(drawn.picture.device)
        return self.render(u, drawn.picture.shape[-1], extras=drawn.extras).picture

    def pictures(
        self, n: int, rng: torch.Generator, resolution: int | None = None, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Draw n pictures (n, 3, R, R) in [-1, 1] of random seeds below `HELD_OUT`, drawn from rng."""
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
    """The first `count` coordinates of codes z (B, 64), uniform on (-1, 1): (B, count) float32 on the CPU.

    Computed in float64 and rounded once: vector and scalar code paths of float32 erf differ in the last bit.
    """
    z64 = z.detach().cpu().double()
    z64 = z64 * (z64.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
    return torch.erf(z64[:, :count] / math.sqrt(2)).float()


def factor_values(u: Tensor, table: Sequence[Factor]) -> dict[str, Tensor]:
    """Factor values in their own units: name -> (B,), from u (B, len(table)) in (-1, 1)."""
    return {f.name: f.low + (f.high - f.low) * (u[:, i] + 1) / 2 for i, f in enumerate(table)}


def sketch(picture: Tensor, segmentation: Tensor) -> Tensor:
    """Line drawing (B, 1, R, R) in [-1, 1], 1 is paper: borders between classes, and fainter edges of the luminance.

    picture (B, 3, R, R), segmentation (B, classes, R, R).
    """

    def slope(planes: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(planes, (1, 1, 1, 1), mode="replicate")
        dx = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
        dy = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
        return (dx.square() + dy.square()).sqrt().amax(dim=1, keepdim=True)

    grey = (picture * torch.tensor([0.299, 0.587, 0.114], device=picture.device)[:, None, None]).sum(1, keepdim=True)
    ink = torch.maximum(slope(segmentation) * 1.1, slope(grey) * 0.9)
    return 1 - 2 * ink.clamp(0, 1)
