"""Renames the tensors of public StyleGAN and PGGAN checkpoints to this package's names.

Differences to this package: the mapping's biases are added after its gain of sqrt(2), the styles' scales are stored
minus 1, and convolutions that double the side to 128 pixels or more are transposed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from inversion.checkpoints.layouts.source import Renamed, Source
from inversion.generators.ops import SQRT2


@dataclass(frozen=True)
class _Names:
    """Where a StyleGAN layout keeps its tensors; {} is an index."""

    dense: tuple[str, str]  # weight, bias
    noise: str
    bias: str
    style: tuple[str, str]
    conv: str
    fused: str
    orient: Callable[[Tensor], Tensor]  # fused weights to (out, in, height, width) of an ordinary convolution
    output: tuple[str, str]


_IDINVERT = _Names(
    dense=("mapping.dense{}.fc.weight", "mapping.dense{}.wscale.bias"),
    noise="synthesis.layer{}.epilogue.apply_noise",
    bias="synthesis.layer{}.epilogue.bias",
    style=(
        "synthesis.layer{}.epilogue.style_mod.dense.fc.weight",
        "synthesis.layer{}.epilogue.style_mod.dense.wscale.bias",
    ),
    conv="synthesis.layer{}.conv.weight",
    fused="synthesis.layer{}.weight",
    orient=lambda weight: weight.permute(3, 2, 0, 1).flip(2, 3),
    output=("synthesis.output{}.conv.weight", "synthesis.output{}.bias"),
)
_GENFORCE = _Names(
    dense=("mapping.dense{}.weight", "mapping.dense{}.bias"),
    noise="synthesis.layer{}.apply_noise",
    bias="synthesis.layer{}.bias",
    style=("synthesis.layer{}.style.weight", "synthesis.layer{}.style.bias"),
    conv="synthesis.layer{}.weight",
    fused="synthesis.layer{}.weight",
    orient=lambda weight: weight.flip(2, 3),
    output=("synthesis.output{}.weight", "synthesis.output{}.bias"),
)
FUSED_FROM = 128  # output side from which doubling and convolving are stored as one transposed convolution


def idinvert_generator(tensors: Mapping[str, Tensor]) -> Renamed:
    """Rename an IDInvert generator, or mGANprior's StyleGAN, whose mapping repeats one w. Raises StateDictError."""
    return _stylegan(Source("IDInvert or mGANprior StyleGAN generator", tensors), _IDINVERT)


def genforce_generator(tensors: Mapping[str, Tensor]) -> Renamed:
    """Rename a GenForce StyleGAN `generator_smooth`. Raises StateDictError."""
    return _stylegan(Source("GenForce StyleGAN generator", tensors), _GENFORCE)


def mganprior_pggan(tensors: Mapping[str, Tensor]) -> Renamed:
    """Rename mGANprior's PGGAN. Raises StateDictError."""
    return _pggan(Source("mGANprior PGGAN generator", tensors), "conv.weight", "wscale.bias")


def genforce_pggan(tensors: Mapping[str, Tensor]) -> Renamed:
    """Rename a PGGAN of GenForce or SeFa. Raises StateDictError."""
    return _pggan(Source("GenForce PGGAN generator", tensors), "weight", "bias")


def _stylegan(source: Source, names: _Names) -> Renamed:
    layers = source.count(names.bias)
    if layers < 4 or layers % 2:
        raise source.error(f"missing {names.bias.format(layers)}")
    w_dim = source.width(names.style[0].format(0))
    source.move("synthesis.layer0.const", "const", change=lambda const: const.squeeze(0))
    for i in range(source.count(names.dense[0])):
        source.move(names.dense[0].format(i), f"dense.{i}.weight")
        source.move(names.dense[1].format(i), f"dense.{i}.bias", change=lambda bias: bias / SQRT2)
    for k in range(layers):
        to, side = f"layers.{k}", 4 << (k // 2)
        if k:
            fused = side >= FUSED_FROM and k % 2 == 0
            key = (names.fused if fused else names.conv).format(k)
            source.move(key, f"{to}.conv.weight", change=names.orient if fused else None)
        source.move(names.bias.format(k), f"{to}.bias")
        source.move(f"{names.noise.format(k)}.weight", f"{to}.noise_weight")
        source.move(f"{names.noise.format(k)}.noise", f"noise_{k}", (1, 1, side, side))
        source.move(names.style[0].format(k), f"{to}.affine.weight")
        source.move(names.style[1].format(k), f"{to}.affine.bias", change=_scales_from_one)
    last = layers // 2 - 1
    source.move(names.output[0].format(last), "to_rgb.weight")
    source.move(names.output[1].format(last), "bias")
    for j in range(last):  # picture layers of earlier stages of growing
        source.drop(names.output[0].format(j), names.output[1].format(j))
    source.colour("to_rgb", bias="bias")
    source.drop_zero("synthesis.lod")
    source.optional("truncation.truncation")
    source.average(source.optional("truncation.w_avg"), "truncation.w_avg", layers, w_dim)
    return source.finish()


def _pggan(source: Source, weight: str, bias: str) -> Renamed:
    layers = source.count("layer{}." + weight)
    if layers < 2 or layers % 2:
        raise source.error(f"missing layer{layers}.{weight}")
    for k in range(layers):
        source.move(f"layer{k}.{weight}", f"layers.{k}.conv.weight")
        source.move(f"layer{k}.{bias}", f"layers.{k}.bias")
    last = layers // 2 - 1
    source.move(f"output{last}.{weight}", "to_rgb.weight")
    source.move(f"output{last}.{bias}", "bias")
    for j in range(last):
        source.drop(f"output{j}.{weight}", f"output{j}.{bias}")
    source.colour("to_rgb", bias="bias")
    source.drop_zero("lod")
    return source.finish()


def _scales_from_one(bias: Tensor) -> Tensor:
    """Add 1 to the first half, the scales."""
    scales, shifts = bias.chunk(2)
    return torch.cat([scales + 1.0, shifts])
