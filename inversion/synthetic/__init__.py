"""The embedded domains: procedural faces and houses with exact factors, segmentation map and sketch for every picture.

A domain is a renderer and its factors; ``DOMAINS`` is what training, the hub and the tests go through. Faces have more:
mates, a view from the front, and out-of-domain extras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inversion.synthetic import houses
from inversion.synthetic.canvas import CLASSES
from inversion.synthetic.factors import HELD_OUT, NAMES, OUT_OF_DOMAIN, factors, latents, mates, turned_to_front
from inversion.synthetic.renderer import Rendering, render, sketch

__all__ = ["CLASSES", "DOMAINS", "HELD_OUT", "OUT_OF_DOMAIN", "Domain", "Drawn", "Faces", "faces", "pictures"]


@dataclass(frozen=True)
class Drawn:
    """A batch of a domain's pictures with what is known about them."""

    z: Tensor  # (B, 64) codes, CPU
    factors: Tensor  # (B, len(names)) in (-1, 1), CPU
    picture: Tensor  # (B, 3, R, R) in [-1, 1]
    segmentation: Tensor  # (B, len(classes), R, R) coverages that sum to 1
    sketch: Tensor  # (B, 1, R, R) in [-1, 1], 1 is paper


@dataclass(frozen=True)
class Domain:
    """What draws the pictures of a domain. Every domain's codes are ``latents(seeds)``."""

    resolution: int  # that its generator is trained at
    names: tuple[str, ...]  # of the factors
    classes: tuple[str, ...]  # of the segmentation map; the first lies behind everything
    detail: Mapping[str, float]  # classes of small things: how much more their pixels count in training, 0 to 1
    factors: Callable[[Tensor], Tensor]  # codes (B, 64) -> (B, len(names)) in (-1, 1), on the CPU
    render: Callable[..., Rendering]  # (factors, resolution, labels=(len(classes), K)) -> pictures and label planes
    mates: Callable[[Tensor, Sequence[int]], Tensor] | None = None  # factors of the same individuals otherwise seen

    def draw(self, seeds: Sequence[int], resolution: int | None = None, device: torch.device | str = "cpu") -> Drawn:
        """The pictures of these seeds, at the domain's own resolution unless another is given."""
        z = latents(seeds)
        u = self.factors(z)
        drawn = self.render(u.to(device), resolution or self.resolution, labels=torch.eye(len(self.classes)))
        return Drawn(z, u, drawn.picture, drawn.labels, sketch(drawn.picture, drawn.labels))

    def pictures(
        self, n: int, rng: torch.Generator, resolution: int | None = None, device: torch.device | str = "cpu"
    ) -> Tensor:
        """A stream: n pictures (n, 3, R, R) in [-1, 1], seeds below ``HELD_OUT`` drawn from rng."""
        seeds = torch.randint(0, HELD_OUT, (n,), generator=rng).tolist()
        picture: Tensor = self.render(self.factors(latents(seeds)).to(device), resolution or self.resolution).picture
        return picture

    def detail_labels(self) -> Tensor:
        """Label rows (len(classes), 1): how much each class counts as small detail."""
        return torch.tensor([[self.detail.get(name, 0.0)] for name in self.classes])


DOMAINS: dict[str, Domain] = {
    "synthetic-faces": Domain(
        128,
        NAMES,
        CLASSES,
        {"eyes": 1.0, "mouth": 1.0, "glasses": 1.0, "brows": 0.6, "nose": 0.4},
        factors,
        render,
        mates,
    ),
    "synthetic-houses": Domain(
        64,
        houses.NAMES,
        houses.CLASSES,
        {"window": 0.6, "door": 0.6, "shutters": 0.6, "beams": 0.6, "chimney": 0.6, "fence": 0.4},
        houses.factors,
        houses.render,
    ),
}


@dataclass(frozen=True)
class Faces:
    """A batch of faces with everything that is known about them."""

    z: Tensor  # (B, 64) codes, CPU
    factors: Tensor  # (B, len(FACTORS)) in (-1, 1), CPU
    picture: Tensor  # (B, 3, R, R) in [-1, 1]
    segmentation: Tensor  # (B, len(CLASSES), R, R) coverages that sum to 1
    sketch: Tensor  # (B, 1, R, R) in [-1, 1], 1 is paper
    front: Tensor  # (B, 3, R, R) the same faces turned to the front


def faces(seeds: Sequence[int], resolution: int = 128, device: torch.device | str = "cpu") -> Faces:
    """The faces of these seeds. From ``OUT_OF_DOMAIN`` on they wear hats, face paint or odd colours."""
    z = latents(seeds)
    u = factors(z)
    extras = _extras(seeds)
    on_device = u.to(device)
    drawn = render(on_device, resolution, labels=torch.eye(len(CLASSES)), extras=extras)
    front = render(turned_to_front(on_device), resolution, extras=extras).picture
    return Faces(z, u, drawn.picture, drawn.labels, sketch(drawn.picture, drawn.labels), front)


def pictures(n: int, rng: torch.Generator, resolution: int = 128, device: torch.device | str = "cpu") -> Tensor:
    """A stream of faces: n of them (n, 3, R, R) in [-1, 1], seeds below ``HELD_OUT`` drawn from rng."""
    return DOMAINS["synthetic-faces"].pictures(n, rng, resolution, device)


def _extras(seeds: Sequence[int]) -> dict[str, Tensor]:
    """What out-of-domain faces carry: each has one or two of hat, face paint and odd skin."""
    if all(seed < OUT_OF_DOMAIN for seed in seeds):
        return {}
    names = ("hat_hue", "paint_hue", "skin_hue")
    rows = []
    for seed in seeds:
        rng = torch.Generator().manual_seed(int(seed) + 1)
        hues = torch.rand(len(names), generator=rng)
        kind = seed % 3
        worn = torch.tensor([kind != 1, kind != 0, kind == 2], dtype=torch.float32) * float(seed >= OUT_OF_DOMAIN)
        rows.append(torch.cat([hues, worn]))
    table = torch.stack(rows)
    return dict(zip((*names, "hat", "paint", "skin_odd"), table.unbind(dim=1), strict=True))
