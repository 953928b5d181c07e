"""PULSE (Menon et al., CVPR 2020): optimisation on the sphere where random Gaussian codes lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import setting
from inversion.losses import geodesic_cross, pixel
from inversion.methods.base import Descent, Events, Loss, Problem, Stage, descend, patience_setting
from inversion.methods.codes import Code, WPlus, Z
from inversion.methods.embed import draw_normal
from inversion.methods.latent import outcome_of, trainable_copy

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior

SLOPE = 0.2  # of the last leaky ReLU in the mapping of a StyleGAN
SAMPLES = 2048  # mapped z for the statistics; the paper uses a million
CROSS_WEIGHT = 0.002  # the paper: 0.05 against 100 L2 of pictures in [0, 1], which is 25 L2 in [-1, 1]


@dataclass(frozen=True)
class StyleGaussian:
    """Styles as w = LeakyReLU(0.2)(deviation v + mean). For v from N(0, I), w has about the moments of mapped z."""

    mean: Tensor  # (1 or num_ws, w_dim)
    deviation: Tensor  # (1 or num_ws, w_dim)

    @classmethod
    def of(cls, prior: Prior) -> StyleGaussian:
        """Fit to the mapping's values before its last activation, for a fixed set of random z."""
        z = torch.randn(SAMPLES, prior.z_dim, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            ws = prior.mapping(z.to(prior.w_avg))
            ws = ws[:, :1] if "w" in prior.spaces else ws  # the rows are equal: one is enough
            deviation, mean = torch.std_mean(torch.nn.functional.leaky_relu(ws, 1 / SLOPE), dim=0)
        return cls(mean, deviation)

    def styles(self, v: Tensor) -> Tensor:
        """Styles (B, num_ws or 1, w_dim) of v of the same shape."""
        return torch.nn.functional.leaky_relu(v * self.deviation + self.mean, SLOPE)

    def inverse(self, ws: Tensor) -> Tensor:
        """The v (B, num_ws, w_dim) of styles (B, num_ws, w_dim)."""
        return (torch.nn.functional.leaky_relu(ws, 1 / SLOPE) - self.mean) / self.deviation


@dataclass(frozen=True)
class OptimiseSphere(Stage):
    """Adam on one vector per layer, projected to the sphere of radius sqrt(w_dim) after every step (section 3).

    A Gaussian fit of W maps vectors to styles; the geodesic cross loss keeps the vectors of a picture close together.
    If the generator has no styles, z lies on the sphere. Starts at random, or at the code of the stage before.
    """

    key: ClassVar[str] = "pulse"
    cost: ClassVar[float] = 1.1
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "PULSE"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "z"})

    steps: int = setting(100, "Steps", min=1, max=10_000, step=10)
    lr: float = setting(0.8, "Learning rate", "The paper uses 0.4.", min=1e-4, max=2.0, step=0.01)
    cross: float = setting(
        CROSS_WEIGHT,
        "Cross weight",
        "How strongly the vectors of the layers are kept close together.",
        min=0.0,
        max=1.0,
    )
    tied: bool = setting(False, "One vector", "Use one vector for all layers.")
    eps: float = setting(
        2e-3,
        "Tolerance",
        "Pixel error (mean square, pictures in [0, 1]) that counts as a match. The paper states 0.001, its code uses "
        "0.002.",
        min=0.0,
        max=0.1,
        step=0.001,
    )
    noise_maps: int = setting(
        5, "Noise maps", "Number of noise maps that are optimised too, from the coarsest on.", min=0, max=32
    )
    patience: int = patience_setting()

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y = problem.prior, problem.y
        with torch.inference_mode(False):
            space = StyleGaussian.of(prior) if "w+" in prior.spaces else None
        v = trainable_copy(self._start(code, space, prior, y, rng))  # (B, num_ws or 1, w_dim)
        maps = () if space is None else _noise_maps(prior, y, rng)
        variables = [v, *maps[: self.noise_maps]]
        norms = [_norm(t).detach() for t in variables]

        def current() -> Code:
            if space is None:
                return Z(v[:, 0])
            return WPlus(space.styles(v).expand(-1, prior.num_ws, -1), maps)

        def project() -> None:
            for t, norm in zip(variables, norms, strict=True):
                t.mul_(norm / _norm(t).clamp_min(1e-12))

        message = yield from descend(
            self.key,
            self._loss(current, problem),
            [(variables, self.lr)],
            Descent(self.steps, one_cycle_drop, after=project, patience=self.patience),
        )
        with torch.no_grad():
            outcome = outcome_of(current(), prior, message)
        yield replace(outcome, message=outcome.message or self._tolerance_message(outcome.image, problem))

    def _start(
        self, code: Code | None, space: StyleGaussian | None, prior: Prior, y: Tensor, rng: torch.Generator
    ) -> Tensor:
        """The initial v (B, num_ws or 1, w_dim or z_dim), on the sphere."""
        with torch.no_grad():
            if space is not None and code is not None:
                v = space.inverse(code.ws(prior))
            elif isinstance(code, Z):
                v = code.z[:, None]
            else:
                rows, width = (1, prior.z_dim) if space is None else (prior.num_ws, prior.w_dim)
                v = draw_normal(rng, (1, rows, width), y).expand(len(y), -1, -1)
            v = v.mean(dim=1, keepdim=True) if self.tied else v
            return torch.nn.functional.normalize(v, dim=2) * v.shape[2] ** 0.5

    def _loss(self, current: Callable[[], Code], problem: Problem) -> Loss:
        """The objective, with the pixel error clamped below at `eps`, plus the geodesic cross loss."""
        prior, objective = problem.prior, problem.objective
        floor = 4 * self.eps  # pictures in [-1, 1] have four times the squared error

        def loss() -> tuple[dict[str, Tensor], Tensor]:
            code = current()
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

    def _tolerance_message(self, image: Tensor, problem: Problem) -> str:
        """A message if the pixel error exceeds the tolerance, else ""."""
        with torch.no_grad():
            error = pixel(problem.task.A(image) - problem.y).amax().item() / 4
        if error <= self.eps:
            return ""
        return f"No picture within the tolerance of {self.eps:g} was found. The error is {error:.2g}."


def one_cycle_drop(index: int, steps: int) -> float:
    """PULSE's factor on the rate: from 0.1 to 1 and back, then from 0.1 to 0.001 over the last tenth of the steps."""
    part = index / steps
    if part < 0.9:
        return (9 * (1 - abs(2 * part / 0.9 - 1)) + 1) / 10
    return 0.1 + (part - 0.9) / 0.1 * (0.001 - 0.1)


def _noise_maps(prior: Prior, y: Tensor, rng: torch.Generator) -> tuple[Tensor, ...]:
    """Random noise maps (B, 1, h, w), the last one zero as in PULSE; () if the generator has none."""
    maps = [
        trainable_copy(draw_normal(rng, (1, 1, *shape), y).expand(len(y), -1, -1, -1)) for shape in prior.noise_shapes
    ]
    for last in maps[-1:]:
        last.detach().zero_()
    return tuple(maps)


def _norm(t: Tensor) -> Tensor:
    """Euclidean norm of every vector (B, rows, width) or of every map (B, 1, h, w)."""
    return t.square().sum(dim=tuple(range(2 if t.ndim == 3 else 1, t.ndim)), keepdim=True).sqrt()
