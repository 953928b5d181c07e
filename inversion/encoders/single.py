"""pSp's baselines: encoders that read the last map only and predict one style or all styles."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from typing_extensions import Self

from inversion.encoders.backbones import Backbone, backbone_of
from inversion.encoders.base import Encoder, load_frozen
from inversion.generators.base import StateDictError, build_without_weights, shapes_of
from inversion.generators.ops import EqualLinear

LAST = 16  # side of the last map: the published encoders read 256 pixels and halve four times
POOLED = 7  # side to which the W+ encoder pools it


class SingleW(Encoder):
    """Mean of the last map, then a linear layer: one style, repeated `num_ws` times. It is also e4e's W encoder."""

    def __init__(self, backbone: Backbone, num_ws: int = 18, w_dim: int = 512) -> None:
        super().__init__()
        self.num_ws, self.w_dim, self.inputs = num_ws, w_dim, backbone.inputs
        self.size = backbone.reduction * LAST
        self.backbone = backbone
        self.linear = EqualLinear(backbone.widths[-1], w_dim)
        self.register_buffer("latent_avg", torch.zeros(num_ws, w_dim))

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from a state dict. `latent_avg` has the number of styles; without it, 1. Raises StateDictError."""
        ((w_dim, _),) = shapes_of(cls.__name__, tensors, ["linear.weight"], 2)
        known = "latent_avg" in tensors
        num_ws = shapes_of(cls.__name__, tensors, ["latent_avg"], 2)[0][0] if known else 1
        backbone = backbone_of(cls.__name__, tensors)
        encoder = build_without_weights(lambda: cls(backbone, num_ws, w_dim))
        load_frozen(encoder, tensors)
        return encoder

    def offsets(self, x: Tensor) -> Tensor:
        """Predict (B, num_ws, w_dim) with equal rows for x (B, inputs, size, size)."""
        row = self.linear(self.backbone(x)[-1].mean(dim=(2, 3)))
        return row[:, None].expand(-1, self.num_ws, -1)


class SingleWPlus(Encoder):
    """The last map, pooled to 7x7, through two linear layers: all styles at once."""

    def __init__(self, backbone: Backbone, num_ws: int = 18, w_dim: int = 512) -> None:
        super().__init__()
        self.num_ws, self.w_dim, self.inputs = num_ws, w_dim, backbone.inputs
        self.size = backbone.reduction * LAST
        self.backbone = backbone
        width = backbone.widths[-1]
        pool, dense = nn.AdaptiveAvgPool2d(POOLED), nn.Linear(width * POOLED**2, w_dim)
        self.output_layer_2 = nn.Sequential(nn.BatchNorm2d(width), pool, nn.Flatten(), dense)
        self.linear = EqualLinear(w_dim, w_dim * num_ws)
        self.register_buffer("latent_avg", torch.zeros(num_ws, w_dim))

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from a state dict. All sizes come from the tensors' shapes. Raises StateDictError."""
        (rows, _), (w_dim, _) = shapes_of(cls.__name__, tensors, ["linear.weight", "output_layer_2.3.weight"], 2)
        if rows % w_dim:
            raise StateDictError(f"{cls.__name__}: linear.weight has {rows} rows, no multiple of {w_dim}")
        backbone = backbone_of(cls.__name__, tensors)
        encoder = build_without_weights(lambda: cls(backbone, rows // w_dim, w_dim))
        load_frozen(encoder, tensors)
        return encoder

    def offsets(self, x: Tensor) -> Tensor:
        """Predict (B, num_ws, w_dim) for x (B, inputs, size, size)."""
        code = self.output_layer_2(self.backbone(x)[-1])
        return self.linear(code).unflatten(1, (self.num_ws, self.w_dim))
