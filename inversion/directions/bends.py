"""Steps that depend on the code: the difference of two mean styles, known to two small networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

WIDTH = 128  # of the hidden layers
LIMIT = 1.0  # attributes are read within (-LIMIT, LIMIT), where the factors of renders lie


class AttributeMap(nn.Module):
    """Reads K attributes from a style (w_dim), and writes the mean style of K attributes.

    The difference of two mean styles is a step that depends on the place where it begins. One straight line takes from
    all hair the warmth that brown hair loses on the average, so grey and dark hair would turn blue. StyleFlow (Abdal et
    al. 2021) serves the same purpose with a flow. Styles are given as offsets from the mean style.
    """

    scale: Tensor

    def __init__(self, w_dim: int, attributes: int, scale: float = 1.0) -> None:
        super().__init__()
        self.w_dim, self.attributes = w_dim, attributes
        self.register_buffer("scale", torch.tensor(scale))  # deviation of random styles
        self.reader = _network(w_dim, attributes)
        self.writer = _network(attributes, w_dim)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> AttributeMap:
        """The map of a file. Raises KeyError or RuntimeError if tensors are missing or do not fit each other."""
        first, last = tensors["reader.0.weight"], tensors["reader.4.weight"]
        with torch.device("meta"):  # random weights would be drawn in vain, and would change later random numbers
            made = cls(first.shape[-1], last.shape[0])
        made.load_state_dict(dict(tensors), assign=True)
        return made.eval().requires_grad_(False)

    def read(self, offsets: Tensor) -> Tensor:
        """Attributes (B, K) of styles (B, w_dim)."""
        return self.reader(offsets / self.scale)

    def mean_style(self, attributes: Tensor) -> Tensor:
        """The mean style (B, w_dim) of attributes (B, K)."""
        return self.writer(attributes) * self.scale

    def step(self, offsets: Tensor, index: int, change: Tensor) -> Tensor:
        """The step (B, w_dim) that changes one attribute of styles (B, w_dim) by change (B,)."""
        before = self.read(offsets).clamp(-LIMIT, LIMIT)
        after = before.clone()
        after[:, index] += change
        return self.mean_style(after.clamp(-LIMIT, LIMIT)) - self.mean_style(before)


@dataclass(frozen=True, eq=False)
class Bend:
    """How a slider's steps depend on the code, for an attribute to which one straight line does not do justice."""

    map: AttributeMap  # shared by the directions of a generator
    index: int  # of the attribute
    slope: float  # change of the attribute at strength 1

    def step(self, offsets: Tensor, strength: Tensor) -> Tensor:
        """The change (B, 1, w_dim) of styles for a strength (B, 1, 1).

        offsets (B, num_ws, w_dim): the styles minus the mean style. Their mean is read, because single styles of an
        optimised code say little.
        """
        return self.map.step(offsets.mean(dim=1), self.index, self.slope * strength[:, 0, 0])[:, None]


def _network(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, outputs)
    )
