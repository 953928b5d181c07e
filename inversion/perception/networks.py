"""Networks of perceptual distances, built from state dicts: LPIPS on AlexNet or VGG16, and IDInvert's VGG16.

They need neither torchvision nor the lpips package.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self

from inversion.generators.base import StateDictError, build_without_weights, load_strictly, shapes_of

Block = tuple[tuple[int, int, int], ...]  # (torchvision's index, stride, padding) of convolutions, each before a ReLU


@dataclass(frozen=True)
class Design:
    """Convolutions in blocks. A block starts with a max pool if its entry in `pools` is true."""

    name: str  # as in the lpips package
    blocks: tuple[Block, ...]
    pools: tuple[bool, ...]
    window: int  # of the max pools, in pixels; their stride is 2


ALEX = Design(
    "alex",
    (((0, 4, 2),), ((3, 1, 2),), ((6, 1, 1),), ((8, 1, 1),), ((10, 1, 1),)),
    (False, True, True, False, False),
    3,
)
VGG16 = Design(
    "vgg",
    tuple(
        tuple((index, 1, 1) for index in block) for block in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
    ),
    (False, True, True, True, True),
    2,
)


class Trunk(nn.Module):
    """Convolutional part of AlexNet or VGG16, under torchvision's names `features.N`."""

    def __init__(self, design: Design, shapes: Mapping[int, tuple[int, ...]]) -> None:
        super().__init__()
        self.design = design
        self.widths = [shapes[block[-1][0]][0] for block in design.blocks]
        self.features = nn.ModuleDict()
        for index, stride, padding in (conv for block in design.blocks for conv in block):
            outputs, inputs, side = shapes[index][:3]
            self.features[str(index)] = nn.Conv2d(inputs, outputs, side, stride, padding)

    @classmethod
    def of(cls, owner: str, tensors: Mapping[str, Tensor], prefix: str = "") -> Self:
        """Build, without weights, the trunk that the tensors under `prefix` describe. StateDictError if they do not."""
        design = VGG16 if f"{prefix}features.28.weight" in tensors else ALEX
        indices = [conv[0] for block in design.blocks for conv in block]
        shapes = shapes_of(owner, tensors, [f"{prefix}features.{index}.weight" for index in indices], 4)
        return build_without_weights(lambda: cls(design, dict(zip(indices, shapes, strict=True))))

    def forward(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the last ReLU's output (B, C, h, w) of every block, for normalised x (B, 3, H, W)."""
        for block, pool in zip(self.design.blocks, self.design.pools, strict=True):
            x = F.max_pool2d(x, self.design.window, 2) if pool else x
            for index, _, _ in block:
                x = F.relu(self.features[str(index)](x))
            yield x


class LPIPSNetwork(nn.Module):
    """Network of LPIPS v0.1 (Zhang et al. 2018): a trunk and one head per layer. `perception.LPIPS` computes distances.

    Its tensors are `features.N.*` of the trunk and `heads.0` (C,) to `heads.4`.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk
        self.name = trunk.design.name
        self.heads = nn.ParameterList(torch.ones(width) for width in trunk.widths)
        mean, deviation = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # ImageNet's, for [-1, 1]
        for name, values in (("shift", mean), ("scale", deviation)):
            self.register_buffer(name, torch.tensor(values, device="cpu")[:, None, None], persistent=False)

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from a state dict, frozen. Missing heads come from the lpips package. Raises StateDictError."""
        trunk = Trunk.of(cls.__name__, tensors)
        network = build_without_weights(lambda: cls(trunk))
        heads = {} if "heads.0" in tensors else published_heads(network.name)
        named = {(f"trunk.{k}" if k.startswith("features.") else k): v for k, v in {**tensors, **heads}.items()}
        load_strictly(network, named)
        return network.eval().requires_grad_(False)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Unit vectors over channels (B, C, h, w) at the five layers, for RGB pictures (B, 3, H, W) in [-1, 1].

        The epsilon is the lpips package's.
        """
        x = (x - self.shift) / self.scale
        return [f / (torch.linalg.vector_norm(f, dim=1, keepdim=True) + 1e-10) for f in self.trunk(x)]


class KerasVGG16(nn.Module):
    """VGG16 with Keras' weights and preprocessing up to block4_conv3: the features of IDInvert (Zhu et al. 2020)."""

    mean: Tensor

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk
        mean = torch.tensor((103.939, 116.779, 123.68), device="cpu")  # of blue, green, red in [0, 255]
        self.register_buffer("mean", mean[:, None, None], persistent=False)

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from tensors named `features.N.*`, frozen. Raises StateDictError."""
        trunk = Trunk.of(cls.__name__, tensors)
        if trunk.design is not VGG16:
            raise StateDictError(f"{cls.__name__}: missing features.28.weight")
        network = build_without_weights(lambda: cls(trunk))
        load_strictly(network, {f"trunk.{key}": value for key, value in tensors.items()})
        return network.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, 512, H/8, W/8) of RGB pictures (B, 3, H, W) in [-1, 1]."""
        blocks = self.trunk((x.flip(1) + 1.0) * 127.5 - self.mean)
        return [next(blocks) for _ in range(4)][-1]


def published_heads(name: str) -> dict[str, Tensor]:
    """The weights heads.0 (C,) to heads.4 that the lpips package ships for "alex" or "vgg".

    StateDictError if the package is not installed. It is not imported.
    """
    spec = importlib.util.find_spec("lpips")
    if spec is None or spec.origin is None:
        raise StateDictError("missing heads.0 to heads.4: install the lpips package, which ships them")
    path = Path(spec.origin).parent / "weights" / "v0.1" / f"{name}.pth"
    stored = torch.load(path, map_location="cpu", weights_only=True)
    return {f"heads.{i}": stored[f"lin{i}.model.1.weight"].flatten() for i in range(5)}
