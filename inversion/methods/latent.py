"""Optimisation of one code in Z, W or W+ (Karras et al. 2020; Abdal et al. 2019), and helpers for other stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import SettingError, setting
from inversion.generators.statistics import spread
from inversion.methods.base import Descent, Events, Loss, Outcome, Problem, Schedule, Stage, descend, patience_setting
from inversion.methods.codes import Code, W, WPlus, Z, as_w, as_wplus
from inversion.methods.coordinates import SENSITIVE_HELP, Coordinates, axes_of
from inversion.methods.embed import FROM_MEAN_HELP, at_mean, draw_normal

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior

SCHEDULE = Schedule(ramp=0.05, decay=0.25)  # as in StyleGAN2's projector
LR_HELP = "In units of the standard deviation of the entries of W over random codes."
NOISE_LR = 0.1  # as in StyleGAN2's projector; the maps have unit variance
NOISE_WEIGHT = 1e5  # weight of the noise penalty, as in StyleGAN2's projector


@dataclass(frozen=True)
class OptimiseZ(Stage):
    """Adam on z, the input space of the generator (Creswell and Bharath 2016). Pictures stay within the domain."""

    key: ClassVar[str] = "z"
    cost: ClassVar[float] = 1.0
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "Z"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "z"})

    steps: int = setting(300, "Steps", min=1, max=10_000, step=10)
    lr: float = setting(0.1, "Learning rate", min=1e-4, max=2.0, step=0.01)
    patience: int = patience_setting()

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y = problem.prior, problem.y
        start = code.z if isinstance(code, Z) else draw_normal(rng, (1, prior.z_dim), y).expand(len(y), -1)
        yield from descend_in_z(
            self.key, problem, start, self.lr, Descent(self.steps, SCHEDULE, patience=self.patience)
        )

    def start(self, code: Code, prior: Prior) -> Code | None:
        return code if isinstance(code, Z) else None


@dataclass(frozen=True)
class OptimiseW(Stage):
    """Adam on one style vector for all layers (Karras et al. 2020, appendix D, without noise maps)."""

    key: ClassVar[str] = "w"
    cost: ClassVar[float] = 1.0
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "W"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "w"})

    steps: int = setting(300, "Steps", min=1, max=10_000, step=10)
    lr: float = setting(0.2, "Learning rate", LR_HELP, min=1e-4, max=2.0, step=0.01)
    sensitive: bool = setting(False, "Sensitive axes", SENSITIVE_HELP)
    steps_from_mean: int = setting(0, "Steps from the mean", FROM_MEAN_HELP, min=0, max=10_000, step=10)
    patience: int = patience_setting()

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y = problem.prior, problem.y
        far = at_mean(code, prior)
        start = code.w[:, None] if isinstance(code, W) else start_ws(code, prior, y).mean(dim=1, keepdim=True)
        found = Coordinates.of(start, axes_of(problem, "w", self.sensitive and not far))
        message = yield from descend(
            self.key,
            code_loss(lambda: W(found.styles()[:, 0]), problem),
            [([found.variable], self.lr * spread(prior))],
            Descent((far and self.steps_from_mean) or self.steps, SCHEDULE, patience=self.patience),
        )
        yield outcome_of(W(found.best()[:, 0]), prior, message)

    def start(self, code: Code, prior: Prior) -> Code | None:
        return as_w(code, prior)


@dataclass(frozen=True)
class OptimiseWPlus(Stage):
    """Adam on one style vector per layer (Abdal et al. 2019) and, with `noise`, on the noise maps of the prior.

    With `principal`, Adam works in the principal axes of W instead of its entries, and with `sensitive` in the axes of
    the loss. The entries of a style are correlated; along the axes fewer steps are enough. Raises SettingError for
    `noise` if the prior has no noise inputs.
    """

    key: ClassVar[str] = "wplus"
    cost: ClassVar[float] = 1.0
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "optimise"
    label: ClassVar[str] = "W+"
    needs: ClassVar[frozenset[str]] = frozenset({"prior", "w+"})

    steps: int = setting(300, "Steps", min=1, max=10_000, step=10)
    lr: float = setting(0.2, "Learning rate", LR_HELP, min=1e-4, max=2.0, step=0.01)
    noise: bool = setting(False, "Noise maps", "Also optimise the noise maps. Needs a generator with noise inputs.")
    principal: bool = setting(
        False, "Principal axes", "Optimise along the principal axes of W. Fewer steps are enough."
    )
    sensitive: bool = setting(False, "Sensitive axes", SENSITIVE_HELP)
    steps_from_mean: int = setting(0, "Steps from the mean", FROM_MEAN_HELP, min=0, max=10_000, step=10)
    patience: int = patience_setting()

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        prior, y = problem.prior, problem.y
        far = at_mean(code, prior)
        self.check_noise(problem)
        maps = code.noise if isinstance(code, WPlus) else ()
        if self.noise and not maps:
            maps = tuple(draw_normal(rng, (1, 1, *shape), y).expand(len(y), -1, -1, -1) for shape in prior.noise_shapes)
        maps = tuple(trainable_copy(m) if self.noise else m for m in maps)
        axes = axes_of(problem, "wplus", self.sensitive and not far, self.principal)
        found = Coordinates.of(start_ws(code, prior, y), axes)
        loss = code_loss(lambda: WPlus(found.styles(), maps), problem)
        message = yield from descend(
            self.key,
            with_noise_penalty(loss, maps) if self.noise else loss,
            [([found.variable], self.lr * spread(prior)), (maps if self.noise else (), NOISE_LR)],
            Descent(
                (far and self.steps_from_mean) or self.steps,
                SCHEDULE,
                after=(lambda: normalise_maps(maps)) if self.noise else None,
                patience=self.patience,
            ),
        )
        yield outcome_of(WPlus(found.best(), maps), prior, message)

    def start(self, code: Code, prior: Prior) -> Code | None:
        found = as_wplus(code, prior)
        return with_maps(found, prior) if found is not None and self.noise else found

    def check_noise(self, problem: Problem) -> None:
        """Raise SettingError if `noise` is set and the prior has no noise inputs."""
        if self.noise and not problem.prior.noise_shapes:
            raise SettingError(f"wplus.noise: the generator of {problem.model.name} has no noise inputs. Turn it off.")


@dataclass(frozen=True)
class OptimiseEncoded(OptimiseWPlus):
    """Adam on the code of an encoder: in W+, or in Z if the generator has no styles (Zhu et al. 2016)."""

    needs: ClassVar[frozenset[str]] = frozenset({"prior"})

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        if not isinstance(code, Z) or "w+" in problem.prior.spaces:
            yield from super().__call__(problem, code, rng)
            return
        self.check_noise(problem)
        yield from descend_in_z(
            self.key, problem, code.z, self.lr, Descent(self.steps, SCHEDULE, patience=self.patience)
        )

    def start(self, code: Code, prior: Prior) -> Code | None:
        return super().start(code, prior) if "w+" in prior.spaces else (code if isinstance(code, Z) else None)


def descend_in_z(stage: str, problem: Problem, start: Tensor, lr: float, descent: Descent) -> Events:
    """Adam on z (B, z_dim) from `start`, as the stage of this key."""
    found = Z(trainable_copy(start))
    message = yield from descend(stage, code_loss(lambda: found, problem), [([found.z], lr)], descent)
    yield outcome_of(found, problem.prior, message)


def with_maps(code: WPlus, prior: Prior) -> WPlus:
    """The code with the constant noise maps of the prior, if it has none of its own: the same picture."""
    if code.noise or not prior.noise_shapes:
        return code
    maps = (prior.get_buffer(f"noise_{k}") for k in range(len(prior.noise_shapes)))
    return replace(code, noise=tuple(one.expand(len(code.rows), -1, -1, -1) for one in maps))


def trainable_copy(x: Tensor) -> Tensor:
    """A contiguous copy of x (any shape), without history, that takes gradients in any torch mode of the thread."""
    with torch.inference_mode(False):
        return x.detach().clone(memory_format=torch.contiguous_format).requires_grad_(True)


def start_ws(code: Code | None, prior: Prior, y: Tensor) -> Tensor:
    """Styles (B, num_ws, w_dim) to start from: those of the code, or the mean style if `code` is None."""
    with torch.no_grad():
        return prior.w_avg[None].repeat(len(y), 1, 1) if code is None else code.ws(prior)


def code_loss(code: Callable[[], Code], problem: Problem) -> Loss:
    """The objective of the picture of `code()`, which is called in every step."""

    def loss() -> tuple[dict[str, Tensor], Tensor]:
        image = code().render(problem.prior)
        return problem.objective(image), image

    return loss


def outcome_of(code: Code, prior: Prior, message: str) -> Outcome:
    """The outcome of a code that was optimised in place; its picture is exactly `code.render(prior)`."""
    for tensor in code.tensors().values():
        tensor.requires_grad_(False)
    with torch.no_grad():
        return Outcome(code, code.render(prior), message=message)


def with_noise_penalty(loss: Loss, maps: Sequence[Tensor], weight: float = NOISE_WEIGHT) -> Loss:
    """The loss plus a penalty that keeps structure out of noise maps (Karras et al. 2020, appendix D, eq. 11).

    maps: (B, 1, h, w) each. Iterates are ranked without the penalty: for small maps it is mostly random, and it would
    outweigh the loss.
    """

    def penalised() -> tuple[dict[str, Tensor], Tensor]:
        terms, image = loss()
        penalty = torch.stack([_correlation(m) for m in maps]).sum(dim=0)
        total = terms["total"]
        return {"rank": total, **terms, "noise": penalty, "total": total + weight * penalty}, image

    return penalised


def normalise_maps(maps: Sequence[Tensor]) -> None:
    """Scale every map (B, 1, h, w) to zero mean and unit variance, in place."""
    for m in maps:
        m.sub_(m.mean(dim=(1, 2, 3), keepdim=True))
        m.mul_(m.square().mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12).rsqrt())


def _correlation(m: Tensor) -> Tensor:
    """Squared correlation (B,) of a map (B, 1, h, w) with itself shifted by one pixel, summed over scales down to 8."""
    total = m.new_zeros(len(m))
    while True:
        for axis in (2, 3):
            total = total + (m * m.roll(1, dims=axis)).mean(dim=(1, 2, 3)).square()
        if min(m.shape[2:]) <= 8:
            return total
        m = torch.nn.functional.avg_pool2d(m, 2)
