"""Predictor of an embedded domain: attributes, an identity embedding and features of a picture.

It is trained on renders only and never on a generator's output, so that it can measure generators and inversions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self

from inversion.encoders.backbones import Halving
from inversion.generators.base import StateDictError, load_strictly

SIDE = 128  # pictures are resized to this
EMBEDDING = 64


class Predictor(nn.Module):
    """Small residual network on pictures (B, 3, R, R) in [-1, 1], R at least 32.

    names: of the attributes, in the order of the columns of `heads`; those of its domain's factors.
    """

    def __init__(self, names: Sequence[str], widths: tuple[int, ...] = (32, 48, 80, 128, 160)) -> None:
        super().__init__()
        self.names = tuple(names)
        self.stem = nn.Conv2d(3, widths[0], 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(Halving(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.norm = nn.BatchNorm1d(widths[-1] * 16)
        self.attribute_head = nn.Linear(widths[-1] * 16, len(self.names))
        self.identity_head = nn.Linear(widths[-1] * 16, EMBEDDING)

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from a state dict, frozen; sizes are read from the shapes. Raises StateDictError naming bad keys.

        The attributes are numbered, as the tensors do not name them: see `name_attributes`.
        """
        found = (tensors.get(name) for name in ("stem.weight", *(f"blocks.{i}.skip.weight" for i in range(8))))
        widths = tuple(tensor.shape[0] for tensor in found if tensor is not None)
        bias = tensors.get("attribute_head.bias")
        names = [str(i) for i in range(1 if bias is None else len(bias))]
        net = cls(names, widths) if len(widths) > 1 else cls(names)
        load_strictly(net, tensors)
        return net.eval().requires_grad_(False)

    def name_attributes(self, names: Sequence[str]) -> None:
        """Give the attributes the names of a domain's factors. Raises StateDictError if their number differs."""
        if len(names) != len(self.names):
            raise StateDictError(f"Predictor: it has {len(self.names)} attributes, but its domain has {len(names)}")
        self.names = tuple(names)

    def features(self, x: Tensor) -> list[Tensor]:
        """Feature maps (B, C, s, s) of pictures, s = 64, 32, ..., 4."""
        if x.shape[-1] != SIDE:
            x = F.interpolate(x, size=(SIDE, SIDE), mode="bilinear", antialias=x.shape[-1] > SIDE)
        maps = [F.silu(self.stem(x))]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Attributes (B, len(names)), about (-1, 1), and unit identity embeddings (B, 64) of pictures."""
        code = self.norm(self.features(x)[-1].flatten(1))
        return self.attribute_head(code), F.normalize(self.identity_head(code), dim=1)

    def attributes(self, x: Tensor) -> dict[str, Tensor]:
        """Attribute name -> (B,), about (-1, 1), of pictures."""
        return dict(zip(self.names, self.heads(x)[0].unbind(dim=1), strict=True))

    def embed(self, x: Tensor) -> Tensor:
        """Unit identity embeddings (B, 64) of pictures; the cosine of two is near 1 for the same person."""
        return self.heads(x)[1]
