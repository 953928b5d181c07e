"""StyleGAN (Karras et al. 2019) and its In-Domain variant (Zhu et al. 2020), whose mapping gives one w per layer.

Layer 0 styles the constant; layers 1, 2, ... convolve first, every other one after doubling the side. A layer adds
noise and bias, applies a leaky ReLU, normalises every map over its pixels and scales and shifts it by the style.
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
    load_prior,
    shapes_of,
    sides_to,
)
from inversion.generators.ops import EPSILON, SLOPE, EqualLinear, pixel_norm
from inversion.generators.plain import PlainConv
from inversion.generators.stylegan2 import EMBEDDED_SETTINGS, MAPPING_MULTIPLIER


class _Layer(nn.Module):
    """(Convolution,) noise, bias, leaky ReLU, instance norm, style; `inputs` is 0 for the layer of the constant."""

    kernel: Tensor

    def __init__(self, inputs: int, outputs: int, w_dim: int, size: int, up: bool, noise: bool) -> None:
        super().__init__()
        self.size = size
        self.conv = PlainConv(inputs, outputs, up=up) if inputs else None
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_weight = nn.Parameter(torch.zeros(outputs)) if noise else None
        self.affine = EqualLinear(w_dim, 2 * outputs)  # scales, then shifts
        with torch.no_grad():
            self.affine.bias[:outputs] = 1.0
        row = torch.tensor([0.25, 0.5, 0.25], device="cpu")  # a constant also within `build_without_weights`
        self.register_buffer("kernel", torch.outer(row, row), persistent=False)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, dtype: torch.dtype) -> Tensor:
        """Map x (B, C, h, h) and w (B, w_dim) to (B, C', size, size) in `dtype`."""
        bias = self.bias.to(dtype)
        if self.conv is None:
            x = x + bias[:, None, None]
        elif self.conv.up:
            kernel = self.kernel.to(dtype).expand(len(bias), 1, 3, 3)
            x = F.conv2d(self.conv(x, dtype), kernel, bias, padding=1, groups=len(bias))
        else:
            x = self.conv(x, dtype, bias)
        if noise is not None and self.noise_weight is not None:
            x = torch.addcmul(x, noise.to(dtype), self.noise_weight.to(dtype)[:, None, None])
        scale, move = self.affine(w).chunk(2, dim=1)
        return styled(F.leaky_relu_(x, SLOPE), scale, move)


def styled(x: Tensor, scale: Tensor, move: Tensor) -> Tensor:
    """Normalise every map of x (B, C, H, H) over its pixels, multiply it by scale and add move (B, C).

    For one picture, this is batch norm, which has the fewest passes over the maps. In float32, it would lose digits of
    a map whose mean is far above its deviation, so such maps are centred first; this changes no gradient.
    """
    if x.dtype == torch.float32:
        x = x - x.detach().mean(dim=(2, 3), keepdim=True)
    pictures = [x] if len(x) == 1 else x.split(1)  # a part of one picture would cost a copy in the backward
    parts = [
        F.batch_norm(picture, None, None, weight, bias, training=True, eps=EPSILON)
        for picture, weight, bias in zip(pictures, scale, move, strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class StyleGAN(Prior):
    """Generator z -> w -> picture. `in_domain`: the mapping ends in one w per layer, the picture in a tanh."""

    signature: ClassVar[tuple[str, ...]] = ("const", "dense.0.weight", "layers.0.affine.weight", "to_rgb.weight")
    embedded_size: ClassVar[Size] = Size(256, 4096, settings=EMBEDDED_SETTINGS)

    def __init__(
        self,
        resolution: int,
        z_dim: int = 512,
        w_dim: int = 512,
        channels: Mapping[int, int] | None = None,
        mapping_layers: int = 8,
        noise: bool = True,
        in_domain: bool = False,
        compute_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        sides = sides_to(resolution)
        table = {side: min(512, 16384 // side) for side in sides} if channels is None else channels
        self.resolution, self.z_dim, self.w_dim, self.compute_dtype = resolution, z_dim, w_dim, compute_dtype
        self.num_layers = 2 * len(sides) - 1
        self.num_ws = self.num_layers + 1
        self.in_domain = in_domain
        self.spaces = frozenset({"z", "w+"} | (set() if in_domain else {"w"}) | ({"noise"} if noise else set()))
        self._sizes = [4 << (k // 2) for k in range(self.num_ws)]  # of layer k's output
        self._channels = [table[side] for side in self._sizes]
        self.noise_shapes = tuple((side, side) for side in self._sizes) if noise else ()

        widths = [z_dim] + [w_dim] * mapping_layers
        widths[-1] *= self.num_ws if in_domain else 1
        self.dense = nn.ModuleList(
            EqualLinear(a, b, multiplier=MAPPING_MULTIPLIER, activate=True)
            for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.const = nn.Parameter(torch.ones(table[4], 4, 4))
        self.layers = nn.ModuleList(
            _Layer(a, b, w_dim, self._sizes[k], up=k > 0 and k % 2 == 0, noise=noise)
            for k, (a, b) in enumerate(zip([0, *self._channels[:-1]], self._channels, strict=True))
        )
        self.to_rgb = PlainConv(self._channels[-1], 3, side=1, gain=1.0)
        self.bias = nn.Parameter(torch.zeros(3))
        for k, shape in enumerate(self.noise_shapes):
            self.register_buffer(f"noise_{k}", torch.randn(1, 1, *shape))
        self.register_buffer("w_avg", torch.zeros(self.num_ws, w_dim))

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from a state dict. All sizes come from the tensors' shapes. Raises StateDictError."""
        depth, layers = count_keys(tensors, "dense.{}.weight"), count_keys(tensors, "layers.{}.bias")
        if not depth or layers < 4 or layers % 2:
            raise StateDictError(f"{cls.__name__}: missing dense.0.weight or layers.{max(layers, 3)}.bias")
        name, biases = cls.__name__, [f"layers.{k}.bias" for k in range(0, layers, 2)]
        (_, z_dim), (_, w_dim) = shapes_of(name, tensors, ["dense.0.weight", "layers.0.affine.weight"], 2)
        (mapped,), *widths = shapes_of(name, tensors, [f"dense.{depth - 1}.bias", *biases], 1)
        channels = {4 << j: width for j, (width,) in enumerate(widths)}
        noise, in_domain = "layers.0.noise_weight" in tensors, mapped != w_dim
        prior = build_without_weights(lambda: cls(2 << (layers // 2), z_dim, w_dim, channels, depth, noise, in_domain))
        load_prior(prior, tensors)
        return prior

    def mapping(self, z: Tensor) -> Tensor:
        """Map z (B, z_dim), normalised inside, to ws (B, num_ws, w_dim); the rows differ if the prior is in-domain."""
        w = pixel_norm(z.to(self.w_avg))
        for layer in self.dense:
            w = layer(w)
        return w.unflatten(1, (-1, self.w_dim)).expand(-1, self.num_ws, -1)

    def head(self, ws: Tensor, k: int, noise: Sequence[Tensor] | None = None) -> State:
        """Run the first k convolutions, each with the operations after it, for ws (B, num_ws, w_dim).

        At k = 0 the features are the constant.
        """
        self._check(ws, k, noise)
        x = self.const.to(self.compute_dtype)[None].expand(len(ws), -1, -1, -1)
        return State(self._run(x.contiguous(memory_format=torch.channels_last), 0, k, ws, noise), None)

    def tail(self, state: State, k: int, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Run the convolutions from k on and the picture layer: (B, 3, R, R) float32."""
        self._check(ws, k, noise)
        x = self._run(state.features, k, self.num_layers, ws, noise)
        rgb = self.to_rgb(x, x.dtype).to(self.bias) + self.bias[:, None, None]
        return rgb.tanh() if self.in_domain else rgb

    def channels(self, k: int) -> int:
        """Channels of the features after k convolutions."""
        return self._channels[k]

    def size(self, k: int) -> int:
        """Side of the features after k convolutions."""
        return self._sizes[k]

    def modulations(self) -> Iterator[tuple[int, Tensor]]:
        """Row and style weights (2 C, w_dim) of each layer."""
        weights = dict(self.named_parameters())
        for k in range(self.num_ws):
            yield k, weights[f"layers.{k}.affine.weight"]

    def tunable(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and weights of the synthesis without the weights of noise."""
        for name, parameter in self.named_parameters():
            if not name.startswith("dense.") and not name.endswith(".noise_weight"):
                yield name, parameter

    def _run(self, x: Tensor, start: int, stop: int, ws: Tensor, noise: Sequence[Tensor] | None) -> Tensor:
        """Run convolutions start .. stop - 1. Layer 0 has no convolution and runs before the first one."""
        for k in range(start + 1 if start else 0, stop + 1 if stop else 0):
            stored = getattr(self, f"noise_{k}", None)
            x = self.layers[k](x, ws[:, k].to(self.w_avg), stored if noise is None else noise[k], self.compute_dtype)
        return x
