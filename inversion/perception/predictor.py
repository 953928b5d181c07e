"""Predictor of the embedded domain: attributes, an identity embedding and features of a face.

It is trained on renders only and never on a generator's output, so that it can measure generators and inversions.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Self

from inversion.encoders.backbones import Halving
from inversion.generators.base import load_strictly
from inversion.synthetic.faces import NAMES

SIDE = 128  # pictures are resized to this
EMBEDDING = 64


class Predictor(nn.Module):
    """Small residual network on pictures (B, 3, R, R) in [-1, 1], R at least 32."""

    names = NAMES  # of the attributes, in the order of the columns of `heads`

    def __init__(self, widths: tuple[int, ...] = (32, 48, 80, 128, 160)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(Halving(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.norm = nn.BatchNorm1d(widths[-1] * 16)
        self.attribute_head = nn.Linear(widths[-1] * 16, len(NAMES))
        self.identity_head = nn.Linear(widths[-1] * 16, EMBEDDING)

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from a state dict; widths are read from the shapes. Raises StateDictError naming bad keys."""
        found = (tensors.get(name) for name in ("stem.weight", *(f"blocks.{i}.skip.weight" for i in range(8))))
        widths = tuple(tensor.shape[0] for tensor in found if tensor is not None)
        net = cls(widths) if len(widths) > 1 else cls()
        load_strictly(net, tensors)
        return net.eval().requires_grad_(False)

    def features(self, x: Tensor) -> list[Tensor]:
        """Feature maps (B, C, s, s) of pictures, s = 64, 32, ..., 4."""
        if x.shape[-1] != SIDE:
            x = F.interpolate(x, size=(SIDE, SIDE), mode="bilinear", antialias=x.shape[-1] > SIDE)
        maps = [F.silu(self.stem(x))]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Factors (B, len(NAMES)), about (-1, 1), and unit identity embeddings (B, 64) of pictures."""
        code = self.norm(self.features(x)[-1].flatten(1))
        return self.attribute_head(code), F.normalize(self.identity_head(code), dim=1)

    def attributes(self, x: Tensor) -> dict[str, Tensor]:
        """Factor name -> (B,) on the factors' (-1, 1) scale."""
        return dict(zip(NAMES, self.heads(x)[0].unbind(dim=1), strict=True))

    def embed(self, x: Tensor) -> Tensor:
        """Unit identity embeddings (B, 64) of pictures; the cosine of two is near 1 for the same person."""
        return self.heads(x)[1]
