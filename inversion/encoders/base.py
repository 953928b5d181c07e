"""The interface of every encoder: from a picture, a sketch or a label map to a code in a generator's W+."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from inversion.common.devices import resized_mean
from inversion.generators.base import load_strictly

# Input channels -> kind of input, and the role in `Model.encoders` unless the class has one of its own.
READS = {1: ("sketch", "sketch"), 3: ("picture", "psp"), 6: ("pair", "restyle")}
LABELS = ("labels", "map")  # any other number
COUNTER = ".num_batches_tracked"  # of batch norm; only training uses it, and files may lack it


class Encoder(nn.Module, ABC):
    """Network from inputs (B, inputs, size, size) to styles (B, num_ws, w_dim). Most predict offsets to a mean.

    The number of input channels says what it reads (READS): a picture in [-1, 1], a sketch in [0, 1], a picture and its
    current reconstruction (ReStyle), or a one-hot label map.
    """

    role: ClassVar[str] = ""  # in `Model.encoders`, if it reads pictures; "": the role of all that read the same
    inputs: int  # channels
    size: int  # side, in pixels
    num_ws: int
    w_dim: int
    latent_avg: Tensor  # (num_ws, w_dim); zero for encoders that predict styles, not offsets; NaN if unknown

    @classmethod
    @abstractmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from tensors under this package's names. Sizes come from their shapes.

        The network uses the tensors themselves, not copies. Raises StateDictError.
        """

    @abstractmethod
    def offsets(self, x: Tensor) -> Tensor:
        """Predict offsets (B, num_ws, w_dim) to the mean for x (B, inputs, size, size)."""

    @property
    def reads(self) -> str:
        """Kind of input: "picture", "sketch", "pair" (picture and reconstruction) or "labels"."""
        return READS.get(self.inputs, LABELS)[0]

    @classmethod
    def role_of(cls, inputs: int) -> str:
        """Role in `Model.encoders` of a network of this class with this number of input channels."""
        kind, role = READS.get(inputs, LABELS)
        return cls.role or role if kind == "picture" else role

    def forward(self, x: Tensor) -> Tensor:
        """Predict styles (B, num_ws, w_dim) for x (B, inputs, size, size)."""
        return self.offsets(x) + self.latent_avg

    def fit(self, x: Tensor) -> Tensor:
        """Resize pictures (B, C, R, R) to (B, C, size, size): block means, or repeated pixels if they are smaller."""
        side = (self.size, self.size)
        return x if x.shape[-2:] == side else resized_mean(x, side)


def load_frozen(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """`load_strictly`, with missing batch-norm counters set to 0; then eval mode without gradients.

    A missing mean style becomes NaN: the encoder cannot be used before it gets that of its generator.
    """
    own = module.state_dict()
    absent = {key: torch.zeros((), dtype=torch.long) for key in own if key.endswith(COUNTER)}
    if "latent_avg" in own:
        absent["latent_avg"] = torch.full(own["latent_avg"].shape, math.nan)
    load_strictly(module, {**absent, **tensors})
    module.eval().requires_grad_(False)
