"""Distances between features of networks, prepared so that a fixed target costs one pass and not one per step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from inversion.perception.networks import KerasVGG16, LPIPSNetwork

# torchvision's AlexNet, the trunk of published LPIPS figures. The name ends in the first digits of the file's sha256.
ALEXNET = "alexnet-owt-7be5be79.pth"


class Perceptual:
    """Mean over layers and positions of |f(a) - f(b)|^2, with f unit vectors over channels (Zhang et al. 2018, eq. 1).

    `network` maps pictures (B, 3, R, R) in [-1, 1] to feature maps (B, C, h, w). `name` says which distance it is.
    """

    def __init__(self, name: str, network: Callable[[Tensor], Sequence[Tensor]]) -> None:
        self.name = name
        self._network = network

    def features(self, x: Tensor) -> list[Tensor]:
        """Feature maps (B, C, h, w) of pictures, scaled so that `distance` needs no weights: layers count equally."""
        maps = [_unit(f.float()) for f in self._network(x)]
        return [f / len(maps) ** 0.5 for f in maps]

    def per_layer(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
        """Contribution (layers, B) of each layer to the `distance`."""
        return torch.stack([(p - q).square().sum(dim=1).flatten(1).mean(dim=1) for p, q in zip(a, b, strict=True)])

    def distance(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
        """Distance (B,) between the `features` of two pictures, 0 or more."""
        return self.per_layer(a, b).sum(dim=0)

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Distance (B,) between pictures (B, 3, R, R) in [-1, 1]."""
        return self.distance(self.features(a), self.features(b))


class LPIPS(Perceptual):
    """LPIPS v0.1 (Zhang et al. 2018): weighted squared differences of unit features, summed over five layers.

    Its name is `lpips` on AlexNet, the network of most published figures, and `lpips_vgg` on VGG16. Values of the two
    are not comparable.
    """

    def __init__(self, network: LPIPSNetwork) -> None:
        super().__init__("lpips" if network.name == "alex" else f"lpips_{network.name}", network.maps)
        # The heads weigh squared differences; their square roots weigh the features instead.
        self._scales = [head.clamp_min(0).sqrt()[None, :, None, None] for head in network.heads]

    def features(self, x: Tensor) -> list[Tensor]:
        """Unit feature maps (B, C, h, w) of the five layers, weighted by the heads."""
        return [f.float() * s for f, s in zip(self._network(x), self._scales, strict=True)]


class InDomainFeatures(Perceptual):
    """IDInvert's F: mean squared difference of VGG16's block4_conv3 (Zhu et al. 2020, eq. 6), times 5e-4.

    Perceptual terms have the weight 0.1 here, and 0.1 times 5e-4 is the paper's 5e-5.
    """

    def __init__(self, network: KerasVGG16) -> None:
        super().__init__("keras-vgg16", lambda x: [network(x)])

    def features(self, x: Tensor) -> list[Tensor]:
        """The feature map (B, 512, R/8, R/8), scaled so that `distance` needs no weights."""
        return [f * (5e-4 / f.shape[1]) ** 0.5 for f in self._network(x)]


def cached_lpips(device: torch.device) -> LPIPS | None:
    """LPIPS on torchvision's AlexNet from torch.hub's cache. None if the file is missing or has the wrong sha256."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET
    if not path.is_file():
        return None
    digits = path.stem.rpartition("-")[2]
    if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(digits):
        return None
    stored = torch.load(path, map_location="cpu", weights_only=True)
    trunk = {key: value for key, value in stored.items() if key.startswith("features.")}
    return LPIPS(LPIPSNetwork.from_state_dict(trunk).to(device))


def _unit(f: Tensor) -> Tensor:
    """Unit vectors over channels. The epsilon keeps the gradient finite where all channels are 0."""
    return f * torch.rsqrt(f.square().sum(dim=1, keepdim=True) + 1e-10)
