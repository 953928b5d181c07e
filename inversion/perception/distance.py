"""Distances between network features: LPIPS where its backbone is at hand, else others under their own names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

# torchvision's file name ends in the first digits of its sha256; 'alex' is the backbone of LPIPS v0.1 figures.
LPIPS_BACKBONE = "alexnet-owt-7be5be79.pth"


class Perceptual:
    """Mean over layers and positions of |f(a) - f(b)|^2, f unit vectors over channels (Zhang et al. 2018, eq. 1).

    `features(x)` prepares a picture (B, 3, R, R) in [-1, 1] once: a fixed target costs one pass, not one per step.
    """

    def __init__(self, name: str, network: Callable[[Tensor], Sequence[Tensor]]) -> None:
        self.name = name
        self._network = network

    def features(self, x: Tensor) -> list[Tensor]:
        """Feature maps (B, C, H, W), scaled so that `distance` needs no weights of its own; layers count equally."""
        maps = [_unit(f.float()) for f in self._network(x)]
        return [f / len(maps) ** 0.5 for f in maps]

    def distance(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
        """Distance (B,) between two prepared pictures."""
        per_layer = [(p - q).square().sum(dim=1).flatten(1).mean(dim=1) for p, q in zip(a, b, strict=True)]
        return torch.stack(per_layer).sum(dim=0)

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Distance (B,) between pictures (B, 3, R, R) in [-1, 1]."""
        return self.distance(self.features(a), self.features(b))


class LPIPS(Perceptual):
    """LPIPS v0.1 (Zhang et al. 2018) as the lpips package computes it, but able to keep a target's features."""

    def __init__(self, module: nn.Module) -> None:
        parts: Any = module  # lpips.LPIPS has no types
        super().__init__("lpips", lambda x: parts.net(parts.scaling_layer(x)))
        # The package's 1x1 layers weigh squared differences; their square roots weigh the features instead.
        self._scales = [lin.model[-1].weight.detach().clamp_min(0).sqrt() for lin in parts.lins]  # each (1, C, 1, 1)

    def features(self, x: Tensor) -> list[Tensor]:
        return [_unit(f.float()) * s for f, s in zip(self._network(x), self._scales, strict=True)]


def cached_lpips(device: torch.device) -> LPIPS | None:
    """LPIPS when its torchvision backbone lies in torch.hub's cache with the right hash, else None. Never downloads."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / LPIPS_BACKBONE
    if not path.is_file():
        return None
    if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(LPIPS_BACKBONE.split("-")[-1].removesuffix(".pth")):
        return None
    import lpips  # imports torchvision, which takes seconds: only where there is a use for it

    module = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    trunk = torch.load(path, map_location="cpu", weights_only=True)
    slices = {name.split(".")[-1]: layer for part in module.net.children() for name, layer in part.named_children()}
    for index, layer in slices.items():
        own = {k.split(".")[-1]: v for k, v in trunk.items() if k.startswith(f"features.{index}.")}
        layer.load_state_dict(own)
    return LPIPS(module.eval().requires_grad_(False).to(device))


def _unit(f: Tensor) -> Tensor:
    """Unit vectors over channels; the epsilon under the root keeps the gradient finite where all channels are off."""
    return f * torch.rsqrt(f.square().sum(dim=1, keepdim=True) + 1e-10)
