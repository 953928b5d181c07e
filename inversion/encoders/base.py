"""What every encoder offers: codes of a picture, a sketch or a label map for the W+ space of a generator."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Self

from inversion.generators.base import load_strictly

COUNTER = ".num_batches_tracked"  # of batch norm: plays no part once training is over, and files leave it out


class Encoder(nn.Module, ABC):
    """Network from inputs (B, inputs, size, size) to styles (B, num_ws, w_dim). Public ones predict offsets to a mean.

    Inputs by channels: 3 a picture in [-1, 1]; 1 a sketch in [0, 1]; 6 a picture and its current reconstruction
    (ReStyle); any other number a label map, one-hot.
    """

    inputs: int  # channels
    size: int  # side, in pixels
    num_ws: int
    w_dim: int
    latent_avg: Tensor  # (num_ws, w_dim); zero for encoders that predict styles as they are

    @classmethod
    @abstractmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from tensors under this package's names, all sizes inferred, without a copy. Raises StateDictError."""

    @abstractmethod
    def offsets(self, x: Tensor) -> Tensor:
        """Predict (B, num_ws, w_dim) for x (B, inputs, size, size); the mean is not added yet."""

    @property
    def reads(self) -> str:
        """What to feed: "picture", "sketch", "pair" (picture and reconstruction) or "labels"."""
        return {3: "picture", 1: "sketch", 6: "pair"}.get(self.inputs, "labels")

    def forward(self, x: Tensor) -> Tensor:
        """Predict styles (B, num_ws, w_dim) for x (B, inputs, size, size)."""
        return self.offsets(x) + self.latent_avg

    def fit(self, x: Tensor) -> Tensor:
        """Bring pictures (B, C, R, R) to the encoder's side: block means, or repeated pixels where they are smaller."""
        side = (self.size, self.size)
        return x if x.shape[-2:] == side else F.adaptive_avg_pool2d(x, side)


def load_frozen(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """`load_strictly` that makes up missing batch-norm counters; the module ends in eval mode without gradients."""
    counters = {key: torch.zeros((), dtype=torch.long) for key in module.state_dict() if key.endswith(COUNTER)}
    load_strictly(module, {**counters, **tensors})
    module.eval().requires_grad_(False)
