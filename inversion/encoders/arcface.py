"""ArcFace (Deng et al. 2019) on IR-SE-50: the identity of a face as a unit vector."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self

from inversion.common.devices import resized_mean
from inversion.encoders.backbones import Backbone, backbone_of
from inversion.encoders.base import load_frozen
from inversion.generators.base import StateDictError, build_without_weights, shapes_of

FACE = 256  # side of an FFHQ-aligned picture, of which the network reads a crop
ROWS, COLUMNS = slice(35, 223), slice(32, 220)
SIDE = 112  # of the crop after pooling


class ArcFace(nn.Module):
    """Pictures (B, 3, R, R) in [-1, 1] of one aligned face each, to unit embeddings (B, 512)."""

    def __init__(self, backbone: Backbone, features: int = 512) -> None:
        super().__init__()
        self.backbone = backbone
        width = backbone.widths[-1]
        dense = nn.Linear(width * (SIDE // backbone.reduction) ** 2, features)
        dropout = nn.Dropout(0.6)  # keeps the published numbering of the layers
        self.output_layer = nn.Sequential(nn.BatchNorm2d(width), dropout, nn.Flatten(), dense, nn.BatchNorm1d(features))

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from a state dict. All sizes come from the tensors' shapes. Raises StateDictError."""
        ((features, _),) = shapes_of(cls.__name__, tensors, ["output_layer.3.weight"], 2)
        backbone = backbone_of(cls.__name__, tensors)
        if SIDE % backbone.reduction:
            raise StateDictError(f"{cls.__name__}: {len(backbone.taps)} stages do not divide {SIDE} pixels")
        network = build_without_weights(lambda: cls(backbone, features))
        load_frozen(network, tensors)
        return network

    def forward(self, x: Tensor) -> Tensor:
        """Unit embeddings (B, 512) of aligned faces (B, 3, R, R), cropped as in pSp's identity loss."""
        x = x if x.shape[-1] == FACE else resized_mean(x, FACE)
        return self.embed(resized_mean(x[:, :, ROWS, COLUMNS], SIDE))

    def embed(self, x: Tensor) -> Tensor:
        """Unit embeddings (B, 512) of crops (B, 3, 112, 112) in [-1, 1]."""
        return F.normalize(self.output_layer(self.backbone(x)[-1]), dim=1)
