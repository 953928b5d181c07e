"""Records that a run yields, the base class of stages, and the optimisation loop that all stages share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch

from inversion.common.settings import setting
from inversion.losses import PIXELS, Objective
from inversion.model import prior_of

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.generators.base import Prior
    from inversion.methods.codes import Code
    from inversion.model import Model
    from inversion.tasks.base import Task


@dataclass(frozen=True, eq=False)
class Problem:
    """The problem of a run: find a code of `model` whose picture x brings task.A(x) close to the measurement y."""

    model: Model
    task: Task
    y: Tensor  # (B, ...), on the model's device; the shape is the task's own
    objective: Objective  # the distance between A(x) and y

    @property
    def prior(self) -> Prior:
        """The model's generator. Raises ValueError if the model has none; such a model does not offer the stage."""
        return prior_of(self.model)

    def on_pixels(self) -> Problem:
        """The same problem with the squared error of the pixels alone as its objective."""
        return replace(self, objective=Objective(self.task, self.y, self.model, PIXELS))


@dataclass(frozen=True)
class Step:
    """One step of a stage: `index` of `total`, its losses (means over the batch) and, for some steps, the picture.

    spent: seconds of an earlier run, if this step stands for everything that the run takes over from it.
    """

    stage: str
    index: int
    total: int
    losses: dict[str, float]
    image: Tensor | None = None  # (B, 3, R, R), not clamped
    spent: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """The last record of a stage: its result."""

    code: Code | None
    image: Tensor  # (B, 3, R, R), not clamped, not merged
    weights: dict[str, Tensor] | None = None  # the generator weights that tuning changed, on the CPU
    message: str = ""  # a note for the user, such as why the stage stopped early


@dataclass(frozen=True)
class Result:
    """The last record of a run: its result."""

    image: Tensor  # (B, 3, R, R); holds the measured part if the task merges
    code: Code | None
    weights: dict[str, Tensor] | None  # weights that tuning changed, on the CPU; apply with `tuned(prior, weights)`
    curves: dict[str, list[float]]  # "stage.loss" -> one value per step
    recipe: dict[str, object]  # everything needed to reproduce the result, as JSON values
    seconds: float  # computing time, without the pauses between steps, with the time that an earlier run spent
    steps: int  # number of updates, summed over the stages
    message: str = ""
    spent: float = 0.0  # seconds of `seconds` that an earlier run spent, see `Beginnings`


# If True is sent into a stage, it ends with its best iterate. A run keeps its time budget in this way.
Events = Generator[Step | Outcome, bool | None, None]


@dataclass(frozen=True)
class Stage(ABC):
    """One part of a method's pipeline. Its fields are its settings (see `setting`); subclasses are frozen dataclasses.

    `needs`: latent spaces of the prior, "prior" itself, attributes of the model ("discriminator", "predictor", ...), or
    one of its encoders ("encoders.psp").
    """

    key: ClassVar[str]
    cost: ClassVar[float]  # of a step: processor time of one thread, relative to a step of W on the built-in face model
    kind: ClassVar[Literal["embed", "optimise", "refine"]]
    label: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset({"prior"})
    standalone: ClassVar[bool] = False  # True if the stage uses no code and so cannot be combined with other stages
    leaves_domain: ClassVar[bool] = False  # True if it reaches pictures that no single code of the generator shows

    @abstractmethod
    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        """Yield Steps, then one Outcome. `code` comes from the stage before, None if there is none.

        `rng` is a CPU generator. Raises SettingError if the settings do not fit the problem.
        """

    def expected_steps(self, far: bool = False) -> int:
        """Steps that it makes if nothing ends it earlier. far: it begins at the mean of the prior."""
        steps = getattr(self, "steps_from_mean", 0) if far else 0
        return int(steps or getattr(self, "steps", 1))

    def start(self, code: Code, prior: Prior) -> Code | None:
        """A given code in the form from which the stage starts with exactly its picture; None if it cannot."""
        return None


# Returns terms (B,) with "total", and the pictures (B, 3, R, R). An optional "rank" replaces "total" in the choice of
# the best iterate. An iterate whose rank is nan is used only as long as no iterate has a rank.
Loss = Callable[[], "tuple[dict[str, Tensor], Tensor]"]


@dataclass(frozen=True)
class Schedule:
    """Factor on the learning rate: a linear ramp up, then a cosine decay to 0 (Karras et al. 2020, appendix D).

    ramp, decay: fractions of the steps, in [0, 1].
    """

    ramp: float = 0.0
    decay: float = 0.0

    def __call__(self, index: int, steps: int) -> float:
        """The factor in [0, 1] at step `index` of `steps`."""
        up = min(1.0, (index + 1) / (self.ramp * steps + 1))
        left = (steps - index) / steps
        down = 1.0 if left >= self.decay else 0.5 - 0.5 * math.cos(math.pi * left / self.decay)
        return up * down


PIXELS_HELP = "Reduce the squared error of the pixels alone. Its gradient is smooth, so fewer steps are enough."
ADAM_MEMORY = 0.999  # as in Adam's paper
PLATEAU = 0.001  # part of the lowest loss by which a loss must fall to count as an improvement: 0.004 dB


def memory_setting() -> Any:  # noqa: ANN401 - as `setting`
    """The field `memory` of a stage that descends, see `Descent`."""
    help = "How long Adam remembers the size of earlier gradients, which shrink fast. Smaller: for few steps."
    return setting(ADAM_MEMORY, "Memory", help, min=0.5, max=0.9999, step=0.01)


def patience_setting() -> Any:  # noqa: ANN401 - as `setting`
    """The field `patience` of a stage that descends, see `Descent`."""
    help = "Stop early after this many steps in which the loss did not fall by 0.1 %. 0: never."
    return setting(0, "Patience", help, min=0, max=10_000, step=10)


# Leaf tensors that are optimised in place, with their learning rate.
Groups = Sequence["tuple[Sequence[Tensor], float]"]


@dataclass(frozen=True)
class Descent:
    """Options of `descend`.

    schedule: (step, steps) -> factor on the learning rates. shared: every picture depends on all tensors, so that the
    batch has one best iterate; otherwise the first dimension of the tensors is the batch and each picture has its own.
    after: called after each update, without gradients. enough: if it returns True for the losses of a step, the loop
    ends. patience: number of steps after which the loop ends if no picture improved by `PLATEAU` in them; 0: never.
    memory: Adam's decay of the squared gradients (beta 2).
    """

    steps: int
    schedule: Callable[[int, int], float] = field(default_factory=Schedule)
    optimiser: Literal["adam", "sgd"] = "adam"
    shared: bool = False
    after: Callable[[], None] | None = None
    enough: Callable[[Mapping[str, float]], bool] | None = None
    patience: int = 0
    memory: float = ADAM_MEMORY

    def optimiser_of(self, groups: Groups) -> torch.optim.Optimizer:
        """The optimiser of the tensors in `groups`."""
        settings = [{"params": list(tensors), "lr": lr} for tensors, lr in groups]
        if self.optimiser == "sgd":
            return torch.optim.SGD(settings)
        return torch.optim.Adam(settings, betas=(0.9, self.memory), fused=True)


def descend(stage: str, loss: Loss, groups: Groups, options: Descent) -> Generator[Step, bool | None, str]:
    """Minimise loss()["total"] over the tensors of `groups`, in place; afterwards the tensors hold the best iterate.

    The only optimisation loop of the package. It ends after `options.steps` updates, if True is sent, if
    `options.enough(losses)` is True, after `options.patience` steps without an improvement, or if no picture has a
    finite loss. Returns the reason of an early end, else "".
    No torch context is open while the loop is suspended.
    """
    steps = options.steps
    best = _BestIterates([tensor for tensors, _ in groups for tensor in tensors], options.shared)
    optimiser = options.optimiser_of(groups)
    message = ""
    for index in range(steps + 1):  # one pass more than updates, to evaluate the last iterate
        with gradients(index < steps):
            terms, image = loss()
            total = terms["total"].detach()
            with torch.no_grad():
                best.offer(total, terms.pop("rank", total).detach())
            if not best.any_finite:
                message = f"Stopped at step {index}: the loss is not a number. The best picture so far is kept."
                break
            if index < steps:
                optimiser.zero_grad(set_to_none=True)
                terms["total"].sum().backward()
                for group, (_, lr) in zip(optimiser.param_groups, groups, strict=True):
                    group["lr"] = lr * options.schedule(index, steps)
                optimiser.step()
        if options.after is not None and index < steps:
            with gradients(False):
                options.after()
        losses = _means(terms)
        image = image.detach()
        terms = {}  # frees the graph while the loop is suspended
        stop = yield Step(stage, index, steps, losses, image)
        if stop or (options.enough is not None and options.enough(losses)):
            break
        if options.patience and index < steps and best.stalled >= options.patience:
            message = f"Stopped early at step {index} of {steps}: no improvement over {options.patience} steps."
            break
    best.restore()
    return message


class _BestIterates:
    """The tensors at the lowest loss so far of each picture or, if shared, at the lowest summed loss."""

    def __init__(self, tensors: Sequence[Tensor], shared: bool) -> None:
        self._tensors, self._shared = tensors, shared
        with torch.inference_mode(False):
            self._saved = [t.detach().clone() for t in tensors]
        self._lowest: Tensor | None = None
        self._plateau: Tensor | None = None  # losses, of which a lower one must be clearly below
        self.any_finite = True  # whether the loss of any picture is still finite
        self.stalled = 0  # number of the last steps without an improvement of any picture

    def offer(self, total: Tensor, rank: Tensor) -> None:
        """Save the tensors of every picture whose rank (B,) is the lowest so far. Call it without gradients."""
        if self._shared:
            total, rank = total.sum().view(1), rank.sum().view(1)
        self.any_finite = bool(total.isfinite().any())
        if self._lowest is None or self._plateau is None:
            self._lowest, self._plateau = torch.full_like(rank, math.inf), torch.full_like(rank, math.inf)
        improved = rank < (1 - PLATEAU) * self._plateau  # False where rank is nan, which says nothing
        self._plateau = torch.where(improved, rank, self._plateau)
        self.stalled = 0 if bool(improved.any()) else self.stalled + int(bool(rank.isfinite().any()))
        better = rank < self._lowest  # False where rank is nan
        unranked = rank.isnan() & self._lowest.isinf() & total.isfinite()
        self._lowest = torch.where(better, rank, self._lowest)
        better = better | unranked
        for saved, t in zip(self._saved, self._tensors, strict=True):
            if self._shared:
                if bool(better):
                    saved.copy_(t)
            else:
                torch.where(better.view(-1, *[1] * (t.ndim - 1)), t, saved, out=saved)

    def restore(self) -> None:
        """Write the best iterates back into the tensors."""
        with torch.no_grad():
            for saved, t in zip(self._saved, self._tensors, strict=True):
                t.copy_(saved)


def gradients(enabled: bool) -> AbstractContextManager[object]:
    """Turn gradients on or off, independently of the torch mode of the thread that resumes the run."""
    stack = ExitStack()
    stack.enter_context(torch.inference_mode(False))
    stack.enter_context(torch.set_grad_enabled(enabled))
    return stack


def _means(terms: Mapping[str, Tensor]) -> dict[str, float]:
    """Batch means as floats, with one transfer from the device."""
    values = torch.stack([value.detach().mean() for value in terms.values()]).tolist()
    return dict(zip(terms, values, strict=True))
