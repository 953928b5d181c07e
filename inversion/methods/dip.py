"""Deep Image Prior (Ulyanov et al., CVPR 2018): an untrained network is fitted to one picture; no model is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import SettingError, setting
from inversion.losses import pixel
from inversion.methods.base import Events, Outcome, Problem, Stage, descend
from inversion.methods.codes import Code
from inversion.methods.embed import draw

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.methods.skip_network import Skip
    from inversion.tasks.base import Task

REACH = 0.1  # its values are uniform in [0, REACH]
SCALES = 5  # as published; smaller pictures have fewer, so that the smallest map is 4 pixels wide
SMALLEST = 4
WIDTHS = {"small": 32, "published": 128}
SKIPS = 4  # channels of the skip connections; for inpainting as many as the others
JUMP = 10**0.5  # 5 dB: an output so much worse than the best is one of the jumps that Adam makes now and then


@dataclass(frozen=True)
class DeepImagePrior(Stage):
    """Adam on the weights of a convolutional network whose input is fixed noise: it learns pictures before noise.

    The result is the running mean of the outputs, as the authors show it, or the best single output.
    """

    key: ClassVar[str] = "dip"
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "refine"
    label: ClassVar[str] = "Deep Image Prior"
    needs: ClassVar[frozenset[str]] = frozenset()
    alone: ClassVar[bool] = True

    steps: int = setting(
        1000, "Steps", "Published: 2000 to 6000. Too many learn the noise too.", min=1, max=20_000, step=10
    )
    lr: float = setting(0.01, "Learning rate", min=1e-5, max=1.0, step=0.001)
    network: str = setting(
        "small",
        "Network",
        "published: 128 channels; small: 32 channels, about a tenth of the work.",
        choices=tuple(WIDTHS),
    )
    jitter: float = setting(
        0.03, "Input noise", "Standard deviation of the noise on the input in every step.", min=0.0, max=1.0, step=0.01
    )
    average: float = setting(
        0.99, "Running mean", "What of it stays in every step. 0: show the best output.", min=0.0, max=0.999, step=0.01
    )

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        task, y = problem.task, problem.y
        if len(y) != 1:
            raise SettingError("dip fits its network to one picture at a time")
        side = task.pinv(y).shape[-1]
        with torch.inference_mode(False):
            network = self._network(task, side, rng).to(y.device)
        fixed = REACH * torch.rand(1, network.inputs, side, side, generator=rng).to(y.device)
        mean = _RunningMean(self.average)

        def loss() -> tuple[dict[str, Tensor], Tensor]:
            image = network(fixed + self.jitter * draw(rng, tuple(fixed.shape), y))
            total = pixel(task.A(image) - y)
            mean.add(image.detach(), total.item())
            return {"total": total, "pixel": total}, mean.value if self.average else image

        message = yield from descend(self.key, loss, [(list(network.parameters()), self.lr)], self.steps, shared=True)
        with torch.no_grad():
            image = mean.value if self.average else network(fixed)
        yield Outcome(None, image, message=message)

    def _network(self, task: Task, side: int, rng: torch.Generator) -> Skip:
        """The network for pictures of `side` pixels, with weights drawn from rng."""
        from inversion.methods.skip_network import random_network

        width = WIDTHS[self.network]
        scales = min(SCALES, side.bit_length() - SMALLEST.bit_length())
        if task.leaves_holes:
            return random_network(width, width, scales, "nearest", rng)
        return random_network(width, SKIPS, scales, "bilinear", rng)


class _RunningMean:
    """Mean of outputs with weights that fade into the past, right from the first one on."""

    def __init__(self, keep: float) -> None:
        self._keep, self._weight, self._lowest = keep, 0.0, math.inf
        self._sum: Tensor | None = None

    @property
    def value(self) -> Tensor:
        """The mean of what was added."""
        if self._sum is None:
            raise ValueError("nothing was added")
        return self._sum / self._weight

    def add(self, image: Tensor, loss: float) -> None:
        """Add an output, unless its loss jumps up or is not a number."""
        self._lowest = min(self._lowest, loss)
        if self._sum is not None and not loss <= JUMP * self._lowest:
            return
        before = torch.zeros_like(image) if self._sum is None else self._sum
        self._sum = self._keep * before + (1 - self._keep) * image
        self._weight = self._keep * self._weight + 1 - self._keep
