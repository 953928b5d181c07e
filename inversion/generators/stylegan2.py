"""StyleGAN2 (Karras et al. 2020) with skip generator and residual discriminator, for any channel table.

Weights are stored unscaled, as in official checkpoints (mapping weights divided by their learning-rate multiplier of
0.01), so `inversion.checkpoints.layouts` only has to rename them.
"""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from inversion.generators.base import (
    AVERAGE_SAMPLES,
    Prior,
    Size,
    State,
    StateDictError,
    build_without_weights,
    count_keys,
    load_prior,
    load_strictly,
    shapes_of,
    sides_to,
)
from inversion.generators.modulated import StyledConv, ToRGB
from inversion.generators.ops import EqualConv, EqualLinear, minibatch_deviation, pixel_norm

MAPPING_MULTIPLIER = 0.01
EMBEDDED_SETTINGS = {"w_dim": 256, "mapping_layers": 4, "noise": False}


def config_f(resolution: int) -> dict[int, int]:
    """Channels per side of the official "config F" networks (Karras et al. 2020). Raises ValueError as `sides_to`."""
    return {side: min(512, 32768 // side) for side in sides_to(resolution)}


class StyleGAN2(Prior):
    """Generator z -> w -> picture; `channels` gives the width at every side 4, 8, ... resolution.

    classes: of a conditional generator, 0 for any other. clamp: largest magnitude of every layer's output, as
    StyleGAN2-ADA's `conv_clamp` (Karras et al. 2020, "Training generative adversarial networks with limited data").
    """

    embed: EqualLinear | None
    condition: Tensor  # (classes,), of a conditional generator

    signature: ClassVar[tuple[str, ...]] = ("const", "dense.0.weight", "convs.0.affine.weight", "rgbs.0.weight")
    grows: ClassVar[bool] = True
    embedded_size: ClassVar[Size] = Size(256, 4096, settings=EMBEDDED_SETTINGS)

    def __init__(
        self,
        resolution: int,
        z_dim: int = 512,
        w_dim: int = 512,
        channels: Mapping[int, int] | None = None,
        mapping_layers: int = 8,
        noise: bool = True,
        compute_dtype: torch.dtype = torch.float32,
        classes: int = 0,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        table = config_f(resolution) if channels is None else dict(channels)
        sides = sides_to(resolution)
        self.resolution, self.z_dim, self.w_dim, self.compute_dtype = resolution, z_dim, w_dim, compute_dtype
        self.num_layers = 2 * len(sides) - 1
        self.num_ws = self.num_layers + 1
        self.spaces = frozenset({"z", "w", "w+", "noise"} if noise else {"z", "w", "w+"})
        self._sizes = [4 << (k // 2) for k in range(self.num_layers + 1)]  # before and after every convolution
        self._channels = [table[side] for side in self._sizes]
        self.noise_shapes = tuple((side, side) for side in self._sizes[1:]) if noise else ()

        self.classes = classes
        self.embed = EqualLinear(classes, w_dim) if classes else None
        widths = [z_dim + (w_dim if classes else 0)] + [w_dim] * mapping_layers
        self.dense = nn.ModuleList(
            EqualLinear(a, b, multiplier=MAPPING_MULTIPLIER, activate=True)
            for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.const = nn.Parameter(torch.randn(table[4], 4, 4))
        self.convs = nn.ModuleList(
            StyledConv(self._channels[k], self._channels[k + 1], w_dim, self._sizes[k + 1], k % 2 == 1, noise, clamp)
            for k in range(self.num_layers)
        )
        self.rgbs = nn.ModuleList(ToRGB(table[side], w_dim, clamp) for side in sides)
        for k, shape in enumerate(self.noise_shapes):
            self.register_buffer(f"noise_{k}", torch.randn(1, 1, *shape))
        self.register_buffer("w_avg", torch.zeros(self.num_ws, w_dim))
        if clamp is not None:
            self.register_buffer("clamp", torch.full((), clamp))
        if classes:  # the condition of the mapping: by default the mean of all classes
            mean = torch.full((classes,), 1.0 / classes, device="cpu")
            self.register_buffer("condition", mean, persistent=False)

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from a state dict. All sizes come from the tensors' shapes. Raises StateDictError."""
        depth, blocks = count_keys(tensors, "dense.{}.weight"), count_keys(tensors, "rgbs.{}.weight")
        if not depth or blocks < 2:
            raise StateDictError(f"{cls.__name__}: missing dense.0.weight, or rgbs.0.weight and rgbs.1.weight")
        name, biases = cls.__name__, [f"convs.{2 * j}.bias" for j in range(blocks)]
        (_, z_dim), (_, w_dim) = shapes_of(name, tensors, ["dense.0.weight", "convs.0.affine.weight"], 2)
        ((constant, *_),) = shapes_of(name, tensors, ["const"], 3)
        channels = {4 << j: width for j, (width,) in enumerate(shapes_of(name, tensors, biases, 1))} | {4: constant}
        noise = "convs.0.noise_strength" in tensors
        clamp = float(tensors["clamp"]) if "clamp" in tensors else None
        classes = 0
        if "embed.weight" in tensors:
            ((embedded, classes),) = shapes_of(name, tensors, ["embed.weight"], 2)
            z_dim -= embedded
        prior = build_without_weights(
            lambda: cls(4 << (blocks - 1), z_dim, w_dim, channels, depth, noise, classes=classes, clamp=clamp)
        )
        load_prior(prior, tensors)
        return prior

    def mapping(self, z: Tensor) -> Tensor:
        """Map z (B, z_dim), normalised inside, to ws (B, num_ws, w_dim) with equal rows.

        A conditional generator joins z with the embedding of its condition, which is normalised, too.
        """
        w = pixel_norm(z.to(self.w_avg))
        if self.embed is not None:
            label = pixel_norm(self.embed(self.condition[None]))
            w = torch.cat([w, label.expand(len(w), -1)], dim=1)
        for layer in self.dense:
            w = layer(w)
        return w[:, None].expand(-1, self.num_ws, -1)

    def for_class(self, label: int) -> Self:
        """A prior whose mapping and w_avg are those of one class; -1: of the mean of all classes."""
        if not self.classes:
            return self
        chosen = copy.copy(self)  # modules and parameters are shared, the two buffers below are its own
        chosen._buffers = dict(self._buffers)
        one_hot = torch.zeros_like(self.condition)
        one_hot[label] = 1.0
        chosen.condition = torch.full_like(one_hot, 1.0 / self.classes) if label < 0 else one_hot
        chosen.w_avg = chosen.measure_w_avg(AVERAGE_SAMPLES, torch.Generator().manual_seed(0))
        return chosen

    def picture_at(self, z: Tensor, side: int) -> Tensor:
        """The picture (B, 3, side, side) of z (B, z_dim), of the first blocks only if it is smaller."""
        if side == self.resolution:
            return self(z)
        ws, k = self.mapping(z), 2 * int(math.log2(side)) - 3
        state = self.head(ws, k)
        return self.rgbs[k // 2](state.features, ws[:, k], state.rgb)

    def head(self, ws: Tensor, k: int, noise: Sequence[Tensor] | None = None) -> State:
        """Run the first k convolutions for ws (B, num_ws, w_dim).

        At odd k the tail runs the picture layer of the features, so that it reads composed features.
        """
        self._check(ws, k, noise)
        features = self.const.to(self.compute_dtype)[None].expand(len(ws), -1, -1, -1)
        state = State(features.contiguous(memory_format=torch.channels_last), None)
        return self._run(state, 0, k, ws, noise)

    def tail(self, state: State, k: int, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Run the convolutions from k on and the remaining picture layers: (B, 3, R, R) float32."""
        self._check(ws, k, noise)
        state = self._run(state, k, self.num_layers, ws, noise)
        return self.rgbs[-1](state.features, ws[:, -1].to(self.w_avg), state.rgb)

    def channels(self, k: int) -> int:
        """Channels of the features after k convolutions."""
        return self._channels[k]

    def size(self, k: int) -> int:
        """Side of the features after k convolutions."""
        return self._sizes[k]

    def modulations(self) -> Iterator[tuple[int, Tensor]]:
        """Row and style weights (C, w_dim) of each convolution, then of each picture layer."""
        weights = dict(self.named_parameters())
        for k in range(self.num_layers):
            yield k, weights[f"convs.{k}.affine.weight"]
        for j in range(self.num_ws // 2):
            yield 2 * j + 1, weights[f"rgbs.{j}.affine.weight"]

    def tunable(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and weights of the synthesis without the strengths of noise."""
        for name, parameter in self.named_parameters():
            if not name.startswith(("dense.", "embed.")) and not name.endswith(".noise_strength"):
                yield name, parameter

    def _run(self, state: State, start: int, stop: int, ws: Tensor, noise: Sequence[Tensor] | None) -> State:
        x, rgb, rows = state.features, state.rgb, ws.to(self.w_avg).unbind(dim=1)
        for k in range(start, stop):
            if k % 2 == 1:  # the block of this size is complete, the next convolution doubles the side
                rgb = self.rgbs[k // 2](x, rows[k], rgb)
            x = self.convs[k](x, rows[k], self._noise(k, noise), self.compute_dtype)
        return State(x, rgb)

    def _noise(self, k: int, noise: Sequence[Tensor] | None) -> Tensor | None:
        if not self.noise_shapes:
            return None
        return getattr(self, f"noise_{k}") if noise is None else noise[k]


class _Block(nn.Module):
    """Residual block of the discriminator; the factor 1/sqrt(2) of the sum is folded into both branches."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = math.sqrt(0.5)
        self.conv1 = EqualConv(inputs, inputs, 3)
        self.conv2 = EqualConv(inputs, outputs, 3, down=True, gain=half)
        self.skip = EqualConv(inputs, outputs, 1, bias=False, down=True, activate=False, gain=half)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, H) to (B, outputs, H/2, H/2)."""
        return self.skip(x) + self.conv2(self.conv1(x))


class Discriminator(nn.Module):
    """Residual discriminator with minibatch deviation: pictures (B, 3, R, R) in [-1, 1] to logits (B,).

    clamp: largest magnitude of the output of every convolution with an activation, StyleGAN2-ADA's `conv_clamp`.
    """

    def __init__(
        self,
        resolution: int,
        channels: Mapping[int, int] | None = None,
        group: int = 4,
        compute_dtype: torch.dtype = torch.float32,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        table = config_f(resolution) if channels is None else dict(channels)
        sides = sides_to(resolution)[::-1]
        self.resolution, self.group, self.compute_dtype = resolution, group, compute_dtype
        self.from_rgb = EqualConv(3, table[resolution], 1)
        self.blocks = nn.ModuleList(_Block(table[a], table[b]) for a, b in zip(sides[:-1], sides[1:], strict=True))
        self.conv = EqualConv(table[4] + 1, table[4], 3)
        self.fc = EqualLinear(table[4] * 16, table[4], activate=True)
        self.out = EqualLinear(table[4], 1)
        if clamp is not None:
            self.register_buffer("clamp", torch.full((), clamp))
            for conv in [module for module in self.modules() if isinstance(module, EqualConv) and module.activate]:
                conv.limit = clamp * conv.gain * math.sqrt(0.5)  # the factor of the sum is folded into the gain

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor], group: int = 4) -> Self:
        """Build a discriminator from its state dict. `group` of the minibatch deviation cannot be read from shapes.

        Raises StateDictError.
        """
        blocks = count_keys(tensors, "blocks.{}.skip.weight")
        if not blocks:
            raise StateDictError(f"{cls.__name__}: missing blocks.0.skip.weight")
        names = ["from_rgb.bias", *(f"blocks.{i}.conv2.bias" for i in range(blocks))]
        sides = sides_to(4 << blocks)[::-1]
        shapes = shapes_of(cls.__name__, tensors, names, 1)
        channels = {side: width for side, (width,) in zip(sides, shapes, strict=True)}
        clamp = float(tensors["clamp"]) if "clamp" in tensors else None
        discriminator = build_without_weights(lambda: cls(sides[0], channels, group, clamp=clamp))
        load_strictly(discriminator, tensors)
        return discriminator

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B,) float32 of pictures (B, 3, R, R), large for real pictures. The 4x4 stage runs in float32."""
        features = self.features(x)[-1].to(self.out.weight.dtype)
        features = self.conv(minibatch_deviation(features, self.group))
        return self.out(self.fc(features.flatten(1)))[:, 0]

    def features(self, x: Tensor) -> list[Tensor]:
        """Feature maps (B, C, r, r) of pictures (B, 3, R, R) in the compute dtype: r = R from RGB, then R/2, ..., 4."""
        x = x.to(self.compute_dtype, memory_format=torch.channels_last)
        maps = [self.from_rgb(x)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps
