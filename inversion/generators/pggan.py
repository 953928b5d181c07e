"""PGGAN (Karras et al. 2018, "Progressive growing of GANs"), fully grown, without intermediate picture layers.

Every layer is pixel norm, (doubling,) convolution, bias, leaky ReLU. The first layer turns z into 4x4 pixels. The
composing index of mGANprior counts these layers.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self

from inversion.generators.base import (
    Prior,
    Size,
    State,
    StateDictError,
    build_without_weights,
    count_keys,
    load_strictly,
    shapes_of,
)
from inversion.generators.ops import SLOPE, pixel_norm
from inversion.generators.plain import PlainConv


class _Layer(nn.Module):
    """Pixel norm, convolution, bias, leaky ReLU."""

    def __init__(self, conv: PlainConv) -> None:
        super().__init__()
        self.conv = conv
        self.bias = nn.Parameter(torch.zeros(conv.weight.shape[0]))

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Map x (B, C, h, h) to (B, C', h', h') in `dtype`."""
        return F.leaky_relu_(self.conv(pixel_norm(x), dtype, self.bias), SLOPE)


class PGGAN(Prior):
    """Generator z -> picture without styles: `ws` is z itself, as one row. `channels` as for StyleGAN2.

    Raises ValueError unless the resolution is a power of two and at least 4.
    """

    signature: ClassVar[tuple[str, ...]] = ("bias", "layers.0.conv.weight", "to_rgb.weight")
    embedded_size: ClassVar[Size] = Size(160, 2560)
    spaces = frozenset({"z"})
    num_ws = 1
    noise_shapes = ()

    def __init__(
        self,
        resolution: int,
        z_dim: int = 512,
        channels: Mapping[int, int] | None = None,
        compute_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        levels = resolution.bit_length() - 2
        if levels < 1 or resolution != 2 << levels:
            raise ValueError(f"resolution must be a power of two and at least 4, got {resolution}")
        self.resolution, self.z_dim, self.w_dim, self.compute_dtype = resolution, z_dim, z_dim, compute_dtype
        self.num_layers = 2 * levels
        self._sizes = [1] + [4 << (k // 2) for k in range(self.num_layers)]  # before and after every convolution
        table = {side: min(512, 16384 // side) for side in self._sizes} if channels is None else channels
        self._channels = [z_dim] + [table[side] for side in self._sizes[1:]]
        self.layers = nn.ModuleList(
            _Layer(PlainConv(a, b, 3 if k else 4, up=k > 0 and k % 2 == 0, padding=None if k else 3))
            for k, (a, b) in enumerate(zip(self._channels[:-1], self._channels[1:], strict=True))
        )
        self.to_rgb = PlainConv(self._channels[-1], 3, side=1, gain=1.0)
        self.bias = nn.Parameter(torch.zeros(3))
        self.register_buffer("w_avg", torch.zeros(1, z_dim, device="cpu"), persistent=False)  # the mean of N(0, I)

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from a state dict. All sizes come from the tensors' shapes. Raises StateDictError."""
        layers = count_keys(tensors, "layers.{}.conv.weight")
        if layers < 2 or layers % 2:
            raise StateDictError(f"{cls.__name__}: missing layers.{layers}.conv.weight")
        shapes = shapes_of(cls.__name__, tensors, [f"layers.{k}.conv.weight" for k in range(layers)], 4)
        channels = {4 << (k // 2): shape[0] for k, shape in enumerate(shapes)}
        prior = build_without_weights(lambda: cls(2 << (layers // 2), shapes[0][1], channels))
        load_strictly(prior, tensors)
        return prior

    def mapping(self, z: Tensor) -> Tensor:
        """z (B, z_dim) as the only row (B, 1, z_dim). The first layer normalises it, so its length has no effect."""
        return z[:, None]

    def head(self, ws: Tensor, k: int, noise: Sequence[Tensor] | None = None) -> State:
        """Run the first k convolutions for ws (B, 1, z_dim). At k = 0 the features are z as a 1x1 map."""
        self._check(ws, k)
        x = ws[:, 0, :, None, None].to(self.bias)
        return State(self._run(x, 0, k), None)

    def tail(self, state: State, k: int, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Run the convolutions from k on and the picture layer: (B, 3, R, R) float32. `ws` is not used."""
        self._check(ws, k)
        x = pixel_norm(self._run(state.features, k, self.num_layers))
        return self.to_rgb(x, x.dtype).to(self.bias) + self.bias[:, None, None]

    def channels(self, k: int) -> int:
        """Channels of the features after k convolutions."""
        return self._channels[k]

    def size(self, k: int) -> int:
        """Side of the features after k convolutions."""
        return self._sizes[k]

    def modulations(self) -> Iterator[tuple[int, Tensor]]:
        """The weights (16 O, z_dim) of the first layer, which turns z into 4x4 pixels (SeFa, Shen and Zhou 2021)."""
        weight = dict(self.named_parameters())["layers.0.conv.weight"]  # (O, z_dim, 4, 4)
        yield 0, weight.permute(0, 2, 3, 1).flatten(0, 2)

    def tunable(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and weights of the whole network, because it has no mapping."""
        yield from self.named_parameters()

    def _run(self, x: Tensor, start: int, stop: int) -> Tensor:
        for layer in self.layers[start:stop]:
            x = layer(x, self.compute_dtype)
        return x
