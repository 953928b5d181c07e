"""Optimisation of one code: in Z, in W, in W+ (Abdal et al. 2019, Karras et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import SettingError, setting
from inversion.generators.statistics import principal_axes, spread
from inversion.methods.base import Events, Loss, Outcome, Problem, Schedule, Stage, descend
from inversion.methods.codes import Code, W, WPlus, Z
from inversion.methods.embed import draw

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior

SCHEDULE = Schedule(ramp=0.05, decay=0.25)  # StyleGAN2's projector
IN_SPREADS = "In units of the spread of W: the standard deviation of its entries over random codes."
NOISE_LR = 0.1  # StyleGAN2's projector: maps have unit spread
NOISE_WEIGHT = 1e5  # of the noise regulariser, as in StyleGAN2's projector


@dataclass(frozen=True)
class OptimiseZ(Stage):
    """Adam on z: what the generator was trained to make, and no more."""

    key: ClassVar[str] = "z"
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "Z"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "z"})

    steps: int = setting(300, "Steps", min=1, max=10_000, step=10)
    lr: float = setting(0.1, "Learning rate", min=1e-4, max=2.0, step=0.01)

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y = problem.prior, problem.y
        start = code.z if isinstance(code, Z) else draw(rng, (1, prior.z_dim), y).expand(len(y), -1)
        found = Z(leaf(start))
        message = yield from descend(
            self.key, rendered(lambda: found, problem), [([found.z], self.lr)], self.steps, schedule=SCHEDULE
        )
        yield finished(found, prior, message)


@dataclass(frozen=True)
class OptimiseW(Stage):
    """Adam on one style vector for all layers."""

    key: ClassVar[str] = "w"
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "W"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "w"})

    steps: int = setting(300, "Steps", min=1, max=10_000, step=10)
    lr: float = setting(0.2, "Learning rate", IN_SPREADS, min=1e-4, max=2.0, step=0.01)

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y = problem.prior, problem.y
        found = W(leaf(start_ws(code, prior, y).mean(dim=1)))
        message = yield from descend(
            self.key,
            rendered(lambda: found, problem),
            [([found.w], self.lr * spread(prior))],
            self.steps,
            schedule=SCHEDULE,
        )
        yield finished(found, prior, message)


@dataclass(frozen=True)
class OptimiseWPlus(Stage):
    """Adam on one style vector per layer; on request on the noise maps too, where the prior has them.

    With `principal` Adam's step is the same along every principal axis of W instead of along every entry. The entries
    of a style depend on each other; along the axes fewer steps do.
    """

    key: ClassVar[str] = "wplus"
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "W+"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "w+"})

    steps: int = setting(300, "Steps", min=1, max=10_000, step=10)
    lr: float = setting(0.2, "Learning rate", IN_SPREADS, min=1e-4, max=2.0, step=0.01)
    noise: bool = setting(False, "Noise maps", "Optimise the generator's noise maps too, if it has any.")
    principal: bool = setting(False, "Principal axes", "Step along the principal axes of W: fewer steps do.")

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y = problem.prior, problem.y
        if self.noise and not prior.noise_shapes:
            raise SettingError(f"wplus.noise: the generator of {problem.model.name} has no noise inputs, leave it off")
        maps = code.noise if isinstance(code, WPlus) else ()
        if self.noise and not maps:
            maps = tuple(draw(rng, (1, 1, *shape), y).expand(len(y), -1, -1, -1) for shape in prior.noise_shapes)
        maps = tuple(leaf(m) if self.noise else m for m in maps)
        start, axes = start_ws(code, prior, y), principal_axes(prior)[0] if self.principal else None
        moved = leaf(start if axes is None else start @ axes)

        def found() -> WPlus:
            return WPlus(moved if axes is None else moved @ axes.t(), maps)

        loss = rendered(found, problem)
        message = yield from descend(
            self.key,
            with_quiet_noise(loss, maps) if self.noise else loss,
            [([moved], self.lr * spread(prior)), (maps if self.noise else (), NOISE_LR)],
            self.steps,
            schedule=SCHEDULE,
            after=(lambda: normalise(maps)) if self.noise else None,
        )
        with torch.no_grad():
            code = found()
        yield finished(code, prior, message)


def leaf(x: Tensor) -> Tensor:
    """A copy to optimise, made outside whatever mode the caller's thread is in."""
    with torch.inference_mode(False):
        return x.detach().clone(memory_format=torch.contiguous_format).requires_grad_(True)


def start_ws(code: Code | None, prior: Prior, y: Tensor) -> Tensor:
    """Styles (B, num_ws, w_dim) of the code that the stage before found, else the mean."""
    with torch.no_grad():
        return prior.w_avg[None].repeat(len(y), 1, 1) if code is None else code.ws(prior)


def rendered(code: Callable[[], Code], problem: Problem) -> Loss:
    """The loss of the picture of whatever the code is by then."""

    def loss() -> tuple[dict[str, Tensor], Tensor]:
        image = code().render(problem.prior)
        return problem.objective(image), image

    return loss


def finished(code: Code, prior: Prior, message: str) -> Outcome:
    """The outcome of a code that was optimised in place: the picture is exactly what the code renders."""
    for tensor in code.tensors().values():
        tensor.requires_grad_(False)
    with torch.no_grad():
        return Outcome(code, code.render(prior), message=message)


def with_quiet_noise(loss: Loss, maps: Sequence[Tensor], weight: float = NOISE_WEIGHT) -> Loss:
    """The loss plus the penalty that keeps structure out of noise maps (Karras et al. 2020, appendix D, eq. 11).

    The picture alone ranks the iterates: beside the penalty of small maps, which are noise at best, it would not count.
    """

    def both() -> tuple[dict[str, Tensor], Tensor]:
        terms, image = loss()
        penalty = torch.stack([_correlation(m) for m in maps]).sum(dim=0)
        total = terms["total"]
        return {"rank": total, **terms, "noise": penalty, "total": total + weight * penalty}, image

    return both


def normalise(maps: Sequence[Tensor]) -> None:
    """Give every map (B, 1, h, w) zero mean and unit power again, in place."""
    for m in maps:
        m.sub_(m.mean(dim=(1, 2, 3), keepdim=True))
        m.mul_(m.square().mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12).rsqrt())


def _correlation(m: Tensor) -> Tensor:
    """Squared correlation (B,) of a map with itself shifted by one pixel, summed over scales down to 8 pixels."""
    total = m.new_zeros(len(m))
    while True:
        for axis in (2, 3):
            total = total + (m * m.roll(1, dims=axis)).mean(dim=(1, 2, 3)).square()
        if min(m.shape[2:]) <= 8:
            return total
        m = torch.nn.functional.avg_pool2d(m, 2)
