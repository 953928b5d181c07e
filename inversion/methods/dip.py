"""Deep Image Prior (Ulyanov et al., CVPR 2018): fits an untrained network to one picture, without a generator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from inversion.common.settings import SettingError, setting
from inversion.losses import pixel
from inversion.methods.base import Descent, Events, Outcome, Problem, Stage, descend, patience_setting
from inversion.methods.codes import Code
from inversion.methods.embed import draw_normal

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.methods.skip_network import Skip
    from inversion.tasks.base import Task

INPUT_MAX = 0.1  # the fixed input is uniform in [0, INPUT_MAX]
SCALES = 5  # as published; smaller pictures have fewer, so that the smallest map is SMALLEST_MAP wide
SMALLEST_MAP = 4  # pixels
WIDTHS = {"small": 32, "published": 128}
SKIP_CHANNELS = 4  # in the skip connections; inpainting has as many as in the other layers
OUTLIER = 10**0.5  # 5 dB: Adam's loss sometimes jumps; an output this much worse than the best one is not averaged


@dataclass(frozen=True)
class DeepImagePrior(Stage):
    """Adam on the weights of a convolutional network with fixed noise as input. It learns pictures before noise.

    The result is the running mean of the outputs, as in the authors' code, or the best single output. Raises
    SettingError for a batch.
    """

    key: ClassVar[str] = "dip"
    cost: ClassVar[float] = 0.8
    kind: ClassVar[Literal["embed", "optimise", "refine"]] = "refine"
    label: ClassVar[str] = "Deep Image Prior"
    needs: ClassVar[frozenset[str]] = frozenset()
    standalone: ClassVar[bool] = True

    steps: int = setting(
        1000,
        "Steps",
        "Published: 2000 to 6000. With too many steps, the result also contains the noise.",
        min=1,
        max=20_000,
        step=10,
    )
    lr: float = setting(0.01, "Learning rate", min=1e-5, max=1.0, step=0.001)
    network: str = setting(
        "small",
        "Network",
        "published: 128 channels. small: 32 channels, about ten times faster.",
        choices=tuple(WIDTHS),
    )
    jitter: float = setting(
        0.03,
        "Input noise",
        "Standard deviation of the noise that is added to the input in every step.",
        min=0.0,
        max=1.0,
        step=0.01,
    )
    average: float = setting(
        0.99,
        "Running mean",
        "Decay of the mean of all outputs. 0: show the best output.",
        min=0.0,
        max=0.999,
        step=0.01,
    )
    patience: int = patience_setting()

    def __call__(self, problem: Problem, code: Code | None, rng: torch.Generator) -> Events:
        task, y = problem.task, problem.y
        if len(y) != 1:
            raise SettingError("Deep Image Prior works on one picture at a time.")
        side = task.pinv(y).shape[-1]
        with torch.inference_mode(False):
            network = self.build_network(task, side, rng).to(y.device)
        prior = problem.model.prior
        if prior is not None and prior.compute_dtype is torch.bfloat16:
            network.compute_dtype = torch.bfloat16
        fixed = INPUT_MAX * torch.rand(1, network.inputs, side, side, generator=rng).to(y.device)
        mean = _RunningMean(self.average)

        def loss() -> tuple[dict[str, Tensor], Tensor]:
            image = network(fixed + self.jitter * draw_normal(rng, tuple(fixed.shape), y))
            total = pixel(task.A(image) - y)
            mean.add(image.detach(), total.item())
            return {"total": total, "pixel": total}, mean.value if self.average else image

        options = Descent(self.steps, shared=True, patience=self.patience)
        message = yield from descend(self.key, loss, [(list(network.parameters()), self.lr)], options)
        with torch.no_grad():
            image = mean.value if self.average else network(fixed)
        yield Outcome(None, image, message=message)

    def build_network(self, task: Task, side: int, rng: torch.Generator) -> Skip:
        """The network for pictures of `side` pixels, with random weights from `rng`."""
        from inversion.methods.skip_network import random_network

        width = WIDTHS[self.network]
        scales = min(SCALES, side.bit_length() - SMALLEST_MAP.bit_length())
        if task.leaves_holes:
            return random_network(width, width, scales, "nearest", rng)
        return random_network(width, SKIP_CHANNELS, scales, "bilinear", rng)


class _RunningMean:
    """Exponential moving average of outputs, unbiased from the first one on."""

    def __init__(self, decay: float) -> None:
        self._decay, self._weight, self._lowest = decay, 0.0, math.inf
        self._sum: Tensor | None = None

    @property
    def value(self) -> Tensor:
        """The mean (1, 3, R, R). Raises ValueError if nothing was added."""
        if self._sum is None:
            raise ValueError("no output was added")
        return self._sum / self._weight

    def add(self, image: Tensor, loss: float) -> None:
        """Add an output, unless its loss is an outlier or nan."""
        self._lowest = min(self._lowest, loss)
        if self._sum is not None and not loss <= OUTLIER * self._lowest:
            return
        before = torch.zeros_like(image) if self._sum is None else self._sum
        self._sum = self._decay * before + (1 - self._decay) * image
        self._weight = self._decay * self._weight + 1 - self._decay
