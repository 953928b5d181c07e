"""The network of Deep Image Prior (Ulyanov et al. 2018): an hourglass with skip connections and random weights."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inversion.generators.base import build_without_weights

INPUTS = 32  # channels of the fixed input
SLOPE = 0.2


class Skip(nn.Module):
    """Hourglass with skip connections: noise (1, INPUTS, R, R) -> picture (1, 3, R, R) in (-1, 1).

    `compute_dtype` is the precision of the layers (float32 or bfloat16), except the last one: its rounding would show.
    """

    def __init__(self, width: int, skips: int, scales: int, enlarge: Literal["bilinear", "nearest"]) -> None:
        super().__init__()
        self.inputs = INPUTS
        self.compute_dtype = torch.float32
        self.enlarge = enlarge
        sides = [INPUTS] + [width] * scales
        self.down = nn.ModuleList(
            nn.Sequential(_conv(a, width, 3, stride=2), _conv(width, width, 3)) for a in sides[:-1]
        )
        self.skip = nn.ModuleList(_conv(a, skips, 1) for a in sides[:-1])
        self.up = nn.ModuleList(
            nn.Sequential(_norm(width + skips), _conv(width + skips, width, 3), _conv(width, width, 1))
            for _ in range(scales)
        )
        self.last = nn.Conv2d(width, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network, (B, INPUTS, R, R) -> (B, 3, R, R) in (-1, 1)."""
        skips = []
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.compute_dtype is torch.bfloat16):
            for down, skip in zip(self.down, self.skip, strict=True):
                skips.append(skip(x))
                x = down(x)
            for side, up in zip(skips[::-1], self.up, strict=True):
                x = F.interpolate(x, size=side.shape[-2:], mode=self.enlarge)
                x = up(torch.cat([side, x], dim=1))
        return 2 * self.last(x.float()).sigmoid() - 1


def random_network(
    width: int, skips: int, scales: int, enlarge: Literal["bilinear", "nearest"], rng: torch.Generator
) -> Skip:
    """A network on the CPU with weights drawn from the CPU generator `rng`.

    width: channels of the layers. skips: channels of the skip connections. scales: number of halvings.
    """
    network = build_without_weights(lambda: Skip(width, skips, scales, enlarge)).to_empty(device="cpu")
    draw_weights(network, rng)
    return network


def draw_weights(network: nn.Module, rng: torch.Generator) -> None:
    """Draw the weights of a network from a CPU generator, uniform in +-1 / sqrt(inputs), PyTorch's default."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            bound = module.weight[0].numel() ** -0.5
            for weight in (module.weight, module.bias):
                if weight is not None:
                    nn.init.uniform_(weight, -bound, bound, generator=rng)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def _norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm with the statistics of the current picture, also at evaluation."""
    return nn.BatchNorm2d(channels, track_running_stats=False)


def _conv(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Sequential:
    """Convolution with reflection padding, batch norm, leaky ReLU."""
    # Reflection copies the maps, also for a padding of 0.
    mode: Literal["reflect", "zeros"] = "reflect" if side > 1 else "zeros"
    conv = nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, padding_mode=mode)
    return nn.Sequential(conv, _norm(outputs), nn.LeakyReLU(SLOPE, inplace=True))
