"""Beginnings of runs, kept so that runs with the same problem and the same first stages compute them once."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.methods.base import Outcome, Problem, Stage
    from inversion.methods.codes import Code

LIMIT = 256 * 2**20  # bytes
MOST = 64  # beginnings
EXPIRY = 600.0  # seconds


@dataclass(frozen=True)
class Reached:
    """A run after some of its stages: the last code, picture (B, 3, R, R) and tuned weights, and all messages."""

    code: Code | None
    image: Tensor | None = None  # not clamped, not merged; None before the first stage
    weights: dict[str, Tensor] | None = None
    messages: tuple[str, ...] = ()

    @property
    def picture(self) -> Tensor:
        """The picture. Raises ValueError before the first stage."""
        if self.image is None:
            raise ValueError("no stage has run")
        return self.image

    def after(self, outcome: Outcome) -> Reached:
        """The run after one more stage."""
        return Reached(
            self.code if outcome.code is None else outcome.code,
            outcome.image,
            self.weights if outcome.weights is None else outcome.weights,
            self.messages + ((outcome.message,) if outcome.message else ()),
        )


@dataclass(frozen=True)
class Beginning:
    """Everything that a run needs to go on after its first stages, to the same result bit for bit.

    rng: state of the random generator. curves, updates, seconds: of the run so far, see `Result`.
    """

    reached: Reached
    rng: Tensor
    curves: Mapping[str, Sequence[float]]
    updates: Mapping[str, int]
    seconds: float

    @property
    def size(self) -> int:
        """Bytes of its tensors."""
        code, weights = self.reached.code, self.reached.weights or {}
        tensors = [self.rng, *weights.values(), *(code.tensors().values() if code is not None else ())]
        if self.reached.image is not None:
            tensors.append(self.reached.image)
        return sum(tensor.nbytes for tensor in tensors)


class Beginnings:
    """Beginnings by problem and stages, MOST and `limit` bytes of them; the least recently used ones are forgotten.

    expiry: seconds without use after which one is forgotten. clock: seconds. Not thread-safe.
    """

    def __init__(self, limit: int = LIMIT, expiry: float = EXPIRY, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit, self.expiry, self._clock = limit, expiry, clock
        self._kept: OrderedDict[tuple[str, tuple[Stage, ...]], tuple[Beginning, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, problem: Problem, start: Code | None, seed: int) -> EarlierRuns:
        """Those of runs with the same problem, start and seed."""
        return EarlierRuns(self, problem_key(problem, start, seed))

    def longest(self, problem: str, stages: Sequence[Stage]) -> tuple[int, Beginning | None]:
        """The number of first stages that were computed before, at most all, and the run after them; 0 and None."""
        self.prune()
        for count in range(len(stages), 0, -1):
            key = (problem, tuple(stages[:count]))
            if key in self._kept:
                self.keep(*key, self._kept[key][0])  # used now
                return count, self._kept[key][0]
        return 0, None

    def keep(self, problem: str, stages: Sequence[Stage], beginning: Beginning) -> None:
        """Remember the run after `stages`, unless it alone exceeds the limit."""
        if beginning.size > self.limit:
            return
        key = (problem, tuple(stages))
        self._kept[key] = (beginning, self._clock())
        self._kept.move_to_end(key)
        while len(self._kept) > MOST or sum(kept.size for kept, _ in self._kept.values()) > self.limit:
            self._kept.popitem(last=False)

    def prune(self) -> None:
        """Forget what has not been used for `expiry` seconds."""
        now = self._clock()
        for key in [key for key, (_, used) in self._kept.items() if now - used > self.expiry]:
            del self._kept[key]


class EarlierRuns:
    """The beginnings of runs with one problem."""

    def __init__(self, beginnings: Beginnings, key: str) -> None:
        self._beginnings, self._key = beginnings, key

    def longest(self, stages: Sequence[Stage]) -> tuple[int, Beginning | None]:
        """See `Beginnings.longest`."""
        return self._beginnings.longest(self._key, stages)

    def keep(self, stages: Sequence[Stage], beginning: Beginning) -> None:
        """See `Beginnings.keep`."""
        self._beginnings.keep(self._key, stages, beginning)


def problem_key(problem: Problem, start: Code | None, seed: int) -> str:
    """A hash of everything besides the stages that determines a run: model, measurement, loss, start and seed."""
    model, task = problem.model, problem.task
    own = {spec.name: getattr(task, spec.name) for spec in fields(task)}
    tensors = {"y": problem.y, **{name: value for name, value in own.items() if isinstance(value, torch.Tensor)}}
    tensors |= {} if start is None else {f"start.{name}": tensor for name, tensor in start.tensors().items()}
    plain = {name: value for name, value in own.items() if name not in tensors}
    dtype = None if model.prior is None else model.prior.compute_dtype
    facts = (model.name, model.sha256, asdict(model.options), sorted(model.encoders), str(model.device), str(dtype))
    digest = hashlib.sha256()
    digest.update(repr((facts, type(task), plain, asdict(problem.objective.weights), type(start), seed)).encode())
    for name, tensor in tensors.items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
