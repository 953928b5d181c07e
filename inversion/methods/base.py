"""Records that a run yields, what a stage is, and the one optimisation loop of the package."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch

from inversion.model import prior_of

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior
    from inversion.losses import Objective
    from inversion.methods.codes import Code
    from inversion.model import Model
    from inversion.tasks.base import Task


@dataclass(frozen=True, eq=False)
class Problem:
    """A run's problem: find a code of `model` whose picture x brings task.A(x) near to the measurement y."""

    model: Model
    task: Task
    y: Tensor  # (B, ...), on the model's device; the shape is the task's own
    objective: Objective  # the distance between A(x) and y

    @property
    def prior(self) -> Prior:
        """The model's generator. ValueError without one: a stage that needs it is not offered then."""
        return prior_of(self.model)


@dataclass(frozen=True)
class Step:
    """One step of a stage: `index` of `total`, its losses (means over the batch) and, now and then, the picture."""

    stage: str
    index: int
    total: int
    losses: dict[str, float]
    image: Tensor | None = None  # (B, 3, R, R), not clamped


@dataclass(frozen=True)
class Outcome:
    """The last thing that a stage yields."""

    code: Code | None
    image: Tensor  # (B, 3, R, R), what the stage made, nothing merged
    weights: dict[str, Tensor] | None = None  # what tuning changed, on the CPU
    message: str = ""  # why the stage stopped early, in the user's words


@dataclass(frozen=True)
class Result:
    """The last thing that a run yields."""

    image: Tensor  # (B, 3, R, R), the measured part merged where the task merges
    code: Code | None
    weights: dict[str, Tensor] | None  # CPU state dict of what tuning changed; `tuned(prior, weights)` puts it to use
    curves: dict[str, list[float]]  # "stage.loss" -> one value per step
    recipe: dict[str, Any]  # what is needed to make the result again; JSON
    seconds: float  # of computing; the consumer's pauses do not count
    steps: int  # updates of all stages
    message: str = ""


# Sending True into a stage asks it to end with the best it has: how a run keeps its time budget.
Events = Generator[Step | Outcome, bool | None, None]


@dataclass(frozen=True)
class Stage(ABC):
    """One step of a method's pipeline. Fields are its settings (see `setting`); subclasses are frozen dataclasses.

    `needs`: latent spaces of the prior, "prior" itself, attributes of the model ("discriminator", "predictor", ...), or
    one of its encoders ("encoders.psp").
    """

    key: ClassVar[str]
    kind: ClassVar[Literal["embed", "optimise", "refine"]]
    label: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset({"prior"})
    alone: ClassVar[bool] = False  # makes its picture without a code, so that no other stage can go on from it

    @abstractmethod
    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        """Yield Steps, then one Outcome. `code` is the result of the stage before; `rng` is on the CPU."""


# Returns terms (B,) with "total", and the pictures they belong to. An optional "rank" replaces "total" in the choice of
# the best iterate; an iterate whose rank is nan cannot be compared and is kept only until a better one is known.
Loss = Callable[[], "tuple[dict[str, Tensor], Tensor]"]


@dataclass(frozen=True)
class Schedule:
    """Factor on the learning rate: linear ramp at first, cosine decay to 0 at last (Karras et al. 2020)."""

    ramp: float = 0.0  # part of the steps
    decay: float = 0.0

    def __call__(self, index: int, steps: int) -> float:
        up = min(1.0, (index + 1) / (self.ramp * steps + 1))
        left = (steps - index) / steps
        down = 1.0 if left >= self.decay else 0.5 - 0.5 * math.cos(math.pi * left / self.decay)
        return up * down


def descend(
    stage: str,
    loss: Loss,
    groups: Sequence[tuple[Sequence[Tensor], float]],
    steps: int,
    *,
    schedule: Callable[[int, int], float] | None = None,
    optimiser: Literal["adam", "sgd"] = "adam",
    shared: bool = False,
    after: Callable[[], None] | None = None,
    enough: Callable[[Mapping[str, float]], bool] | None = None,
) -> Generator[Step, bool | None, str]:
    """THE optimisation loop. Minimises loss()["total"] over `groups` of (leaf tensors, learning rate), in place.

    The tensors' first dimension is the batch and each picture keeps its own best iterate, unless `shared` says that all
    pictures depend on all tensors. When the loop ends the tensors hold the best. It ends after `steps` updates, when
    True is sent, when `enough(losses)`, or when no picture has a finite loss left. Returns why it stopped early, or "".
    `schedule(step, steps)` is the factor on the rates. `after` runs after each update, without gradients. No torch
    context is open while the loop is suspended.
    """
    schedule = schedule or Schedule()
    parameters = [tensor for tensors, _ in groups for tensor in tensors]
    best = _Best(parameters, shared)
    settings = [{"params": list(tensors), "lr": lr} for tensors, lr in groups]
    update: torch.optim.Optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimiser](settings)
    message = ""
    for index in range(steps + 1):  # once more than updates, so that the last iterate is judged too
        with gradients(index < steps):
            terms, image = loss()
            total = terms["total"].detach()
            with torch.no_grad():
                best.offer(total, terms.pop("rank", total).detach())
            if not best.alive:
                message = f"stopped at step {index}: the loss is not a number any more; the best picture so far is kept"
                break
            if index < steps:
                update.zero_grad(set_to_none=True)
                terms["total"].sum().backward()
                for group, (_, lr) in zip(update.param_groups, groups, strict=True):
                    group["lr"] = lr * schedule(index, steps)
                update.step()
        if after is not None and index < steps:
            with gradients(False):
                after()
        losses = _means(terms)
        image = image.detach()
        terms = {}  # nothing of the graph may live on while the consumer looks at the picture
        asked = yield Step(stage, index, steps, losses, image)
        if asked or (enough is not None and enough(losses)):
            break
    best.restore()
    return message


class _Best:
    """The parameters at each picture's lowest loss so far (or, shared, at the lowest summed loss)."""

    def __init__(self, parameters: Sequence[Tensor], shared: bool) -> None:
        self._parameters, self._shared = parameters, shared
        with torch.inference_mode(False):
            self._kept = [p.detach().clone() for p in parameters]
        self._loss: Tensor | None = None
        self.alive = True  # whether any picture's loss is still finite

    def offer(self, total: Tensor, rank: Tensor) -> None:
        """Keep the parameters of every picture whose rank (B,) is lower than before. Call it without gradients."""
        if self._shared:
            total, rank = total.sum().view(1), rank.sum().view(1)
        self.alive = bool(total.isfinite().any())
        if self._loss is None:
            self._loss = torch.full_like(rank, math.inf)
        better = rank < self._loss  # never where rank is nan
        stopgap = rank.isnan() & self._loss.isinf() & total.isfinite()
        self._loss = torch.where(better, rank, self._loss)
        better = better | stopgap
        for kept, p in zip(self._kept, self._parameters, strict=True):
            if self._shared:
                if bool(better):
                    kept.copy_(p)
            else:
                torch.where(better.view(-1, *[1] * (p.ndim - 1)), p, kept, out=kept)

    def restore(self) -> None:
        """Write the best parameters back."""
        with torch.no_grad():
            for kept, p in zip(self._kept, self._parameters, strict=True):
                p.copy_(kept)


def gradients(on: bool) -> AbstractContextManager[Any]:
    """Gradients on or off whatever the mode of the thread that happens to resume the run."""
    stack = ExitStack()
    stack.enter_context(torch.inference_mode(False))
    stack.enter_context(torch.set_grad_enabled(on))
    return stack


def _means(terms: Mapping[str, Tensor]) -> dict[str, float]:
    """Batch means as floats, with one transfer from the device."""
    values = torch.stack([value.detach().mean() for value in terms.values()]).tolist()
    return dict(zip(terms, values, strict=True))
