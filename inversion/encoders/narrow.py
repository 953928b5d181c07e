"""Encoders of the embedded domains: a feature pyramid with a head for every style, as pSp, with a million weights."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self

from inversion.encoders.backbones import Halving
from inversion.encoders.base import Encoder, load_frozen
from inversion.encoders.e4e import from_one_style
from inversion.generators.base import build_without_weights, count_keys, shapes_of

LAST = 4  # side of the trunk's last map
WIDTHS = (24, 40, 64, 96, 128)
PYRAMID, HEAD = 64, 8  # channels of the pyramid, and of the head of one style


class _Heads(nn.Module):
    """The styles that read one map of the pyramid: shared convolutions, then a linear layer for each style."""

    def __init__(self, inputs: int, rows: int, w_dim: int, halvings: int, head: int) -> None:
        super().__init__()
        self.rows = rows
        self.downs = nn.ModuleList(nn.Conv2d(inputs, inputs, 3, stride=2, padding=1) for _ in range(halvings))
        self.mix = nn.Conv2d(inputs, rows * head, 1)
        read = head * LAST**2
        self.weight = nn.Parameter(torch.randn(rows, w_dim, read) / math.sqrt(read))
        self.bias = nn.Parameter(torch.zeros(rows, w_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, h), h = 4 doubled by every halving, to (B, rows, w_dim)."""
        for conv in self.downs:
            x = F.silu(conv(x))
        x = F.silu(self.mix(x)).unflatten(1, (self.rows, -1)).flatten(2)
        return torch.einsum("bri,roi->bro", x, self.weight) + self.bias


class Narrow(Encoder):
    """Residual trunk from 2^(n+2) pixels to 4, n = len(widths); a pyramid of its last maps; heads on each map.

    `rows` are the numbers of styles that read the smallest, the middle and the large map: (3, 4, 5) as in pSp; (n,) is
    pSp's baseline without a pyramid ("naive W+"); (1,) is one style for all `num_ws` rows.
    """

    def __init__(
        self,
        inputs: int,
        num_ws: int,
        w_dim: int,
        rows: Sequence[int],
        widths: Sequence[int] = WIDTHS,
        pyramid: int = PYRAMID,
        head: int = HEAD,
    ) -> None:
        super().__init__()
        self.inputs, self.num_ws, self.w_dim, self.size = inputs, num_ws, w_dim, LAST << len(widths)
        self.stem = nn.Conv2d(inputs, widths[0], 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(Halving(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.lateral = nn.ModuleList(nn.Conv2d(width, pyramid, 1) for width in widths[: -len(rows) - 1 : -1])
        self.heads = nn.ModuleList(_Heads(pyramid, n, w_dim, level, head) for level, n in enumerate(rows))
        self.register_buffer("latent_avg", torch.zeros(num_ws, w_dim))

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from a state dict. All sizes come from the tensors' shapes. Raises StateDictError."""
        blocks, levels = count_keys(tensors, "blocks.{}.skip.weight"), count_keys(tensors, "heads.{}.weight")
        names = ["stem.weight", *(f"blocks.{i}.skip.weight" for i in range(blocks)), "lateral.0.weight"]
        stem, *rest, lateral = shapes_of(cls.__name__, tensors, names, 4)
        heads = shapes_of(cls.__name__, tensors, [f"heads.{i}.weight" for i in range(max(levels, 1))], 3)
        ((num_ws, w_dim),) = shapes_of(cls.__name__, tensors, ["latent_avg"], 2)
        rows, widths = [shape[0] for shape in heads], [stem[0], *(shape[0] for shape in rest)]
        head = heads[0][2] // LAST**2
        encoder = build_without_weights(lambda: cls(stem[1], num_ws, w_dim, rows, widths, lateral[0], head))
        load_frozen(encoder, tensors)
        return encoder

    def rows(self, x: Tensor) -> Tensor:
        """Run every head on its map: (B, styles, w_dim)."""
        maps = [F.silu(self.stem(x))]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        found: list[Tensor] = []
        carried: Tensor | None = None
        for lateral, heads, seen in zip(self.lateral, self.heads, maps[: -len(self.heads) - 1 : -1], strict=True):
            level = lateral(seen)
            carried = level if carried is None else level + F.interpolate(carried, scale_factor=2, mode="nearest")
            found.append(heads(carried))
        return torch.cat(found, dim=1)

    def offsets(self, x: Tensor) -> Tensor:
        """Predict (B, num_ws, w_dim) for x (B, inputs, size, size)."""
        return self.rows(x).expand(-1, self.num_ws, -1)


class NarrowE4E(Narrow):
    """`Narrow` as in e4e (Tov et al. 2021): row 0 is the style of all layers, row i is the offset that layer i adds."""

    role: ClassVar[str] = "e4e"

    @torch.no_grad()
    def forget_offsets(self) -> None:
        """Set all offsets to 0, as at the start of training."""
        for level, heads in enumerate(self.heads):
            for values in heads.parameters(recurse=False):
                values[0 if level else 1 :] = 0

    def offsets(self, x: Tensor, stage: int | None = None) -> Tensor:
        """Predict (B, num_ws, w_dim); `stage` s adds the offsets of layers 1..s only, as in early training."""
        return from_one_style(self.rows(x), stage)
