"""The encoder of pSp (Richardson et al. 2021): a feature pyramid and one small network per style.

With six input channels and no pyramid it is the encoder of ReStyle (Alaluf et al. 2021), which has a ResNet body for
domains other than faces.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self

from inversion.encoders.backbones import Backbone, backbone_of
from inversion.encoders.base import Encoder, load_frozen
from inversion.generators.base import StateDictError, build_without_weights, count_keys, shapes_of
from inversion.generators.ops import EqualLinear

SLOPE = 0.01  # of the leaky ReLU
MAX_HALVINGS = 10  # of a map; no network has more


class MapToStyle(nn.Module):
    """Strided convolutions that reduce a map to one pixel, then a linear layer: the paper's "map2style"."""

    def __init__(self, inputs: int, outputs: int, halvings: int) -> None:
        super().__init__()
        widths = [inputs] + [outputs] * halvings
        layers: list[nn.Module] = []
        for a, b in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, 2^halvings, 2^halvings) to (B, outputs)."""
        return self.linear(self.convs(x).flatten(1))


class PSP(Encoder):
    """Encoder with one network per style.

    `halvings[i]` is the number of convolutions of style i. It selects the map that the style reads: the last one, or
    the middle or the large one of the pyramid. If all styles read the last map, there is no pyramid. Raises
    StateDictError if there is no map for a style.
    """

    def __init__(self, backbone: Backbone, halvings: Sequence[int], w_dim: int = 512) -> None:
        super().__init__()
        self.num_ws, self.w_dim, self.inputs = len(halvings), w_dim, backbone.inputs
        self.size = backbone.reduction << halvings[0]
        self.levels = [n - halvings[0] for n in halvings]  # 0: last map, 1 and 2: the pyramid's
        if not set(self.levels) <= {0, 1, 2}:
            raise StateDictError(f"{type(self).__name__}: styles read maps of {sorted(set(halvings))} halvings")
        self.backbone = backbone
        width = backbone.widths[-1]
        self.styles = nn.ModuleList(MapToStyle(width, w_dim, n) for n in halvings)
        self.pyramid = len(backbone.widths) >= 3 and max(self.levels) > 0
        if self.pyramid:
            self.latlayer1 = nn.Conv2d(backbone.widths[-2], width, 1)
            self.latlayer2 = nn.Conv2d(backbone.widths[-3], width, 1)
        self.register_buffer("latent_avg", torch.zeros(self.num_ws, w_dim))

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from a state dict. All sizes come from the tensors' shapes. Raises StateDictError."""
        count = count_keys(tensors, "styles.{}.convs.0.weight")
        halvings = [
            sum(f"styles.{i}.convs.{2 * j}.weight" in tensors for j in range(MAX_HALVINGS)) for i in range(count)
        ]
        names = [f"styles.{i}.convs.0.weight" for i in range(max(count, 1))]
        w_dim = shapes_of(cls.__name__, tensors, names, 4)[0][0]
        backbone = backbone_of(cls.__name__, tensors)
        encoder = build_without_weights(lambda: cls(backbone, halvings, w_dim))
        load_frozen(encoder, tensors)
        return encoder

    def rows(self, x: Tensor) -> Tensor:
        """Run every style's network on its map: (B, num_ws, w_dim)."""
        maps = self.backbone(x)[::-1]
        if self.pyramid:
            middle = _enlarge(maps[0], maps[1]) + self.latlayer1(maps[1])
            maps = [maps[0], middle, _enlarge(middle, maps[2]) + self.latlayer2(maps[2])]
        found = [style(maps[level]) for style, level in zip(self.styles, self.levels, strict=True)]
        return torch.stack(found, dim=1)

    def offsets(self, x: Tensor) -> Tensor:
        """Predict (B, num_ws, w_dim) for x (B, inputs, size, size)."""
        return self.rows(x)


def _enlarge(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)
