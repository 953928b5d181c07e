"""PULSE (Menon et al., CVPR 2020): codes that never leave the sphere on which Gaussian samples lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import setting
from inversion.losses import geodesic_cross, pixel
from inversion.methods.base import Events, Loss, Problem, Stage, descend
from inversion.methods.codes import Code, WPlus, Z
from inversion.methods.embed import draw
from inversion.methods.latent import finished, leaf

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior

SLOPE = 0.2  # of the leaky ReLU that ends a StyleGAN's mapping
SAMPLES = 2048  # mapped z behind the statistics; the paper takes a million
CROSS_WEIGHT = 0.002  # the paper's 0.05 beside 100 L2 of pictures in [0, 1], which is 25 L2 of ours in [-1, 1]


@dataclass(frozen=True)
class Gaussian:
    """Styles as w = LeakyReLU(0.2)(deviation v + mean): where v is N(0, I), w is spread as the mapping spreads it."""

    mean: Tensor  # (1 or num_ws, w_dim)
    deviation: Tensor

    @classmethod
    def of(cls, prior: Prior) -> Gaussian:
        """Fit to what stands before the mapping's last activation, for random z that are always the same."""
        z = torch.randn(SAMPLES, prior.z_dim, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            ws = prior.mapping(z.to(prior.w_avg))
            ws = ws[:, :1] if "w" in prior.spaces else ws  # rows that are equal need to be looked at once
            deviation, mean = torch.std_mean(torch.nn.functional.leaky_relu(ws, 1 / SLOPE), dim=0)
        return cls(mean, deviation)

    def styles(self, v: Tensor) -> Tensor:
        """Styles of v (B, num_ws or 1, w_dim)."""
        return torch.nn.functional.leaky_relu(v * self.deviation + self.mean, SLOPE)

    def inverse(self, ws: Tensor) -> Tensor:
        """The v of styles (B, num_ws, w_dim)."""
        return (torch.nn.functional.leaky_relu(ws, 1 / SLOPE) - self.mean) / self.deviation


@dataclass(frozen=True)
class OptimiseSphere(Stage):
    """Adam on one vector per layer, each brought back to the sphere of radius sqrt(w_dim) after every step.

    A vector stands for a style through a Gaussian fit of W; the geodesic cross loss keeps a picture's vectors together.
    A generator without styles has its z on the sphere. Starts at random, or at the code of the stage before.
    """

    key: ClassVar[str] = "pulse"
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "PULSE"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "z"})

    steps: int = setting(100, "Steps", min=1, max=10_000, step=10)
    lr: float = setting(0.4, "Learning rate", min=1e-4, max=2.0, step=0.01)
    cross: float = setting(
        CROSS_WEIGHT, "Cross weight", "How strongly the vectors of the layers are kept together.", min=0.0, max=1.0
    )
    tied: bool = setting(False, "One vector", "One vector for all layers.")
    eps: float = setting(
        2e-3,
        "Tolerance",
        "Pixel error (mean square, pictures in [0, 1]) below which nothing is gained. The paper says 0.001, its code "
        "0.002.",
        min=0.0,
        max=0.1,
        step=0.001,
    )
    noise_maps: int = setting(
        5, "Noise maps", "How many of the generator's noise maps are searched too, coarse ones first.", min=0, max=32
    )

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y = problem.prior, problem.y
        with torch.inference_mode(False):
            space = Gaussian.of(prior) if "w+" in prior.spaces else None
        v = leaf(self._start(code, space, prior, y, rng))  # (B, num_ws or 1, w_dim)
        maps = () if space is None else _maps(prior, y, rng)
        moving = [v, *maps[: self.noise_maps]]
        lengths = [_length(t).detach() for t in moving]

        def at() -> Code:
            if space is None:
                return Z(v[:, 0])
            return WPlus(space.styles(v).expand(-1, prior.num_ws, -1), maps)

        def back() -> None:
            for t, length in zip(moving, lengths, strict=True):
                t.mul_(length / _length(t).clamp_min(1e-12))

        message = yield from descend(
            self.key,
            self._loss(at, problem),
            [(moving, self.lr)],
            self.steps,
            schedule=one_cycle_drop,
            after=back,
        )
        with torch.no_grad():
            outcome = finished(at(), prior, message)
        yield replace(outcome, message=outcome.message or self._verdict(outcome.image, problem))

    def _start(
        self, code: Code | None, space: Gaussian | None, prior: Prior, y: Tensor, rng: torch.Generator
    ) -> Tensor:
        """Where v starts, on the sphere."""
        with torch.no_grad():
            if space is not None and code is not None:
                v = space.inverse(code.ws(prior))
            elif isinstance(code, Z):
                v = code.z[:, None]
            else:
                rows, width = (1, prior.z_dim) if space is None else (prior.num_ws, prior.w_dim)
                v = draw(rng, (1, rows, width), y).expand(len(y), -1, -1)
            v = v.mean(dim=1, keepdim=True) if self.tied else v
            return torch.nn.functional.normalize(v, dim=2) * v.shape[2] ** 0.5

    def _loss(self, at: Callable[[], Code], problem: Problem) -> Loss:
        """The objective, with the pixel error counted as `eps` where it is below, plus the geodesic cross loss."""
        prior, objective = problem.prior, problem.objective
        floor = 4 * self.eps  # pictures in [-1, 1] have four times the squared error

        def loss() -> tuple[dict[str, Tensor], Tensor]:
            code = at()
            image = code.render(prior)
            terms = objective(image)
            total = terms["total"]
            if "pixel" in terms:
                total = total + objective.weights.pixel * (terms["pixel"].clamp_min(floor) - terms["pixel"])
            if isinstance(code, WPlus) and not self.tied:
                terms["cross"] = geodesic_cross(code.rows)
                total = total + self.cross * terms["cross"]
            return {**terms, "total": total}, image

        return loss

    def _verdict(self, image: Tensor, problem: Problem) -> str:
        """What PULSE says where the domain holds no picture that fits."""
        with torch.no_grad():
            error = pixel(problem.task.A(image) - problem.y).amax().item() / 4
        return f"nothing within the tolerance of {self.eps:g} was found: the error is {error:.2g}" * (error > self.eps)


def one_cycle_drop(index: int, steps: int) -> float:
    """PULSE's factor on the rate: up and down between 0.1 and 1, then from 0.1 to 0.001 over the last tenth."""
    part = index / steps
    if part < 0.9:
        return (9 * (1 - abs(2 * part / 0.9 - 1)) + 1) / 10
    return 0.1 + (part - 0.9) / 0.1 * (0.001 - 0.1)


def _maps(prior: Prior, y: Tensor, rng: torch.Generator) -> tuple[Tensor, ...]:
    """Noise maps (B, 1, h, w) at random, the last one zero as in PULSE; () where the generator has none."""
    maps = [leaf(draw(rng, (1, 1, *shape), y).expand(len(y), -1, -1, -1)) for shape in prior.noise_shapes]
    for last in maps[-1:]:
        last.detach().zero_()
    return tuple(maps)


def _length(t: Tensor) -> Tensor:
    """Norm of every vector (B, rows, width) or of every map (B, 1, h, w)."""
    return t.square().sum(dim=tuple(range(2 if t.ndim == 3 else 1, t.ndim)), keepdim=True).sqrt()
