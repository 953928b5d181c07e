"""Renames the tensors of public StyleGAN2 checkpoints to this package's names.

A layout reads a flat state dict {key: tensor} and takes every key, or raises a StateDictError that names the key.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import count

import torch
from torch import Tensor

from inversion.checkpoints.layouts.source import ROWS, Renamed, Source
from inversion.generators.base import count_keys


def rosinality_generator(tensors: Mapping[str, Tensor], latent_avg: Tensor | None = None) -> Renamed:
    """Rename a `g_ema` state dict, which also is the decoder of pSp, e4e and ReStyle.

    `latent_avg` is (w_dim,) or (num_ws, w_dim); without it there is no w_avg, and loading measures it. Missing noise
    maps are drawn from a fixed seed. Raises StateDictError.
    """
    source = Source("rosinality generator", tensors)
    layers = 1 + source.count("convs.{}.conv.weight")
    w_dim = source.width("conv1.conv.modulation.weight")
    source.move("input.input", "const", change=lambda const: const.squeeze(0))
    for i in range(source.count("style.{}.weight", start=1)):
        source.pair(f"style.{i + 1}", f"dense.{i}")
    rng = torch.Generator().manual_seed(0)
    for k in range(layers):
        name, to = ("conv1" if k == 0 else f"convs.{k - 1}"), f"convs.{k}"
        source.move(f"{name}.conv.weight", f"{to}.weight", change=_unbatched)
        source.move(f"{name}.activate.bias", f"{to}.bias")
        source.move(f"{name}.noise.weight", f"{to}.noise_strength", ())
        source.pair(f"{name}.conv.modulation", f"{to}.affine")
        shape = (1, 1, 4 << ((k + 1) // 2), 4 << ((k + 1) // 2))
        source.out[f"noise_{k}"] = torch.randn(shape, generator=rng)
        if f"noises.noise_{k}" in source.left:
            source.move(f"noises.noise_{k}", f"noise_{k}", shape)
    for j in range(layers // 2 + 1):
        name, to = ("to_rgb1" if j == 0 else f"to_rgbs.{j - 1}"), f"rgbs.{j}"
        source.move(f"{name}.conv.weight", f"{to}.weight", change=_unbatched)
        source.move(f"{name}.bias", f"{to}.bias", (-1,))
        source.pair(f"{name}.conv.modulation", f"{to}.affine")
    source.average(latent_avg, "latent_avg", layers + 1, w_dim)
    source.colour("rgbs.{}")
    return source.finish()


def nvidia_modules(layers: int, blocks: int) -> Iterator[tuple[str, str]]:
    """The modules with a weight and a bias of a StyleGAN2-ADA generator: the name in NVIDIA's files, and the one here.

    layers: of the mapping. blocks: of the synthesis, 4, 8, ... pixels.
    """
    for i in range(layers):
        yield f"mapping.fc{i}", f"dense.{i}"
    for j in range(blocks):
        convs = {"conv1": f"convs.{2 * j}"} | ({"conv0": f"convs.{2 * j - 1}"} if j else {})
        for part, to in (convs | {"torgb": f"rgbs.{j}"}).items():
            name = f"synthesis.b{4 << j}.{part}"
            yield name, to
            yield f"{name}.affine", f"{to}.affine"


def nvidia_generator(tensors: Mapping[str, Tensor]) -> Renamed:
    """Rename the `G_ema` of a StyleGAN2-ADA pickle; `synthesis.conv_clamp` is its layers' limit. StateDictError."""
    source = Source("StyleGAN2-ADA generator", tensors)
    w_dim = source.width("synthesis.b4.conv1.affine.weight")
    noise = any(".noise_" in key for key in source.left)
    if "mapping.embed.weight" in source.left:
        source.pair("mapping.embed", "embed")
    if "synthesis.conv_clamp" in source.left:
        source.move("synthesis.conv_clamp", "clamp", ())
    source.move("synthesis.b4.const", "const")
    blocks = next(j for j in count() if f"synthesis.b{4 << j}.torgb.weight" not in source.left)
    source.require(f"synthesis.b{4 << blocks}.torgb.weight", f"synthesis.b{4 << blocks}.")
    for name, to in nvidia_modules(source.count("mapping.fc{}.weight"), blocks):
        source.pair(name, to)
        if noise and re.fullmatch(r"convs\.\d+", to):
            k = int(to.removeprefix("convs."))
            side = 4 << ((k + 1) // 2)
            source.move(f"{name}.noise_strength", f"{to}.noise_strength", ())
            source.move(f"{name}.noise_const", f"noise_{k}", (1, 1, side, side))
    source.average(source.optional("mapping.w_avg"), "mapping.w_avg", 2 * blocks, w_dim)
    source.colour("rgbs.{}")
    return source.finish()


def nvidia_state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a StyleGAN2-ADA generator with the tensors of a `StyleGAN2`: the inverse of `nvidia_generator`.

    `mapping.w_avg` has one row: the mean of those here if they differ. The limit of the layers, `clamp`, is no tensor.
    """
    rows = tensors["w_avg"]
    average = rows[0] if bool((rows == rows[:1]).all()) else rows.mean(dim=0)
    row = torch.tensor(ROWS[4])
    kernel = torch.outer(row, row) / row.sum() ** 2
    blocks = count_keys(tensors, "rgbs.{}.weight")
    state = {"mapping.w_avg": average, "synthesis.b4.const": tensors["const"]}
    embed = [("mapping.embed", "embed")] if "embed.weight" in tensors else []
    for name, to in [*embed, *nvidia_modules(count_keys(tensors, "dense.{}.weight"), blocks)]:
        state |= {f"{name}.{part}": tensors[f"{to}.{part}"] for part in ("weight", "bias")}
        if re.fullmatch(r"convs\.\d+", to):
            state[f"{name}.resample_filter"] = kernel
            if f"{to}.noise_strength" in tensors:
                state[f"{name}.noise_strength"] = tensors[f"{to}.noise_strength"]
                state[f"{name}.noise_const"] = tensors[f"noise_{to.removeprefix('convs.')}"][0, 0]
    state |= {f"synthesis.b{4 << j}.resample_filter": kernel for j in range(blocks)}
    return {key: value.detach().cpu().clone() for key, value in state.items()}


def genforce_generator(tensors: Mapping[str, Tensor]) -> Renamed:
    """Rename a GenForce `generator_smooth`. Raises StateDictError."""
    return _genforce(Source("GenForce StyleGAN2 generator", tensors), "", lambda weight: weight)


def mganprior_generator(tensors: Mapping[str, Tensor]) -> Renamed:
    """Rename mGANprior's StyleGAN2, which has no golden output. Raises StateDictError."""
    source = Source("mGANprior StyleGAN2 generator", tensors)
    source.optional("truncation.truncation")
    return _genforce(source, ".fc", lambda weight: weight.permute(3, 2, 0, 1))  # from (height, width, in, out)


def _genforce(source: Source, fc: str, orient: Callable[[Tensor], Tensor]) -> Renamed:
    """GenForce adds 1 to the stored bias of styles and flips its up convolutions."""
    layers = source.count("synthesis.layer{}.weight")
    w_dim = source.width(f"synthesis.layer0.style{fc}.weight")
    source.move("synthesis.early_layer.const", "const", change=lambda const: const.squeeze(0))
    for i in range(source.count(f"mapping.dense{{}}{fc}.weight")):
        source.pair(f"mapping.dense{i}", f"dense.{i}", within=fc)
    for k in range(layers):
        name, to, side = f"synthesis.layer{k}", f"convs.{k}", 4 << ((k + 1) // 2)
        source.move(f"{name}.noise_strength", f"{to}.noise_strength", ())
        source.move(f"{name}.noise", f"noise_{k}", (1, 1, side, side))
        source.move(f"{name}.weight", f"{to}.weight", change=(lambda w: orient(w).flip(2, 3)) if k % 2 else orient)
        source.move(f"{name}.bias", f"{to}.bias")
        source.pair(f"{name}.style", f"{to}.affine", 1.0, fc)
    for j in range(layers // 2 + 1):
        source.move(f"synthesis.output{j}.weight", f"rgbs.{j}.weight", change=orient)
        source.move(f"synthesis.output{j}.bias", f"rgbs.{j}.bias")
        source.pair(f"synthesis.output{j}.style", f"rgbs.{j}.affine", 1.0, fc)
    source.average(source.optional("truncation.w_avg"), "truncation.w_avg", layers + 1, w_dim)
    source.colour("rgbs.{}")
    return source.finish()


def rosinality_discriminator(tensors: Mapping[str, Tensor]) -> Renamed:
    """Rename a `d` state dict of a training checkpoint. Raises StateDictError."""
    source = Source("rosinality discriminator", tensors)
    source.move("convs.0.0.weight", "from_rgb.weight")
    source.move("convs.0.1.bias", "from_rgb.bias")
    for i in range(source.count("convs.{}.skip.1.weight", start=1)):
        name, to = f"convs.{i + 1}", f"blocks.{i}"
        source.move(f"{name}.conv1.0.weight", f"{to}.conv1.weight")
        source.move(f"{name}.conv1.1.bias", f"{to}.conv1.bias")
        source.move(f"{name}.conv2.1.weight", f"{to}.conv2.weight")
        source.move(f"{name}.conv2.2.bias", f"{to}.conv2.bias")
        source.move(f"{name}.skip.1.weight", f"{to}.skip.weight")
    source.move("final_conv.0.weight", "conv.weight")
    source.move("final_conv.1.bias", "conv.bias")
    source.pair("final_linear.0", "fc")
    source.pair("final_linear.1", "out")
    source.colour_input("from_rgb.weight")
    return source.finish()


def nvidia_discriminator(tensors: Mapping[str, Tensor]) -> Renamed:
    """Rename the `D` of a StyleGAN2-ADA pickle (unconditional); `conv_clamp` is its layers' limit. StateDictError."""
    source = Source("StyleGAN2-ADA discriminator", tensors)
    if "mapping.embed.weight" in source.left:
        raise source.error("it takes labels, which is not supported")
    if "conv_clamp" in source.left:
        source.move("conv_clamp", "clamp", ())
    parts = [key.split(".") for key in source.left]
    side = max((int(part[0][1:]) for part in parts if part[1:2] == ["fromrgb"] and part[0][1:].isdigit()), default=0)
    if not side:
        raise source.error("missing b*.fromrgb.weight")
    source.pair(f"b{side}.fromrgb", "from_rgb")
    i = 0
    while side > 4:
        source.pair(f"b{side}.conv0", f"blocks.{i}.conv1")
        source.pair(f"b{side}.conv1", f"blocks.{i}.conv2")
        source.move(f"b{side}.skip.weight", f"blocks.{i}.skip.weight")
        side, i = side // 2, i + 1
    for name in ("conv", "fc", "out"):
        source.pair(f"b4.{name}", name)
    source.colour_input("from_rgb.weight")
    return source.finish()


def genforce_discriminator(tensors: Mapping[str, Tensor]) -> Renamed:
    """Rename a GenForce StyleGAN2 `discriminator`, which has no golden output. Raises StateDictError."""
    source = Source("GenForce StyleGAN2 discriminator", tensors)
    blocks = (source.count("layer{}.weight") - 3) // 2
    source.pair("input0", "from_rgb")
    for i in range(blocks):
        source.pair(f"layer{2 * i}", f"blocks.{i}.conv1")
        source.pair(f"layer{2 * i + 1}", f"blocks.{i}.conv2")
        source.move(f"skip_layer{i}.weight", f"blocks.{i}.skip.weight")
    for name, to in zip(range(2 * blocks, 2 * blocks + 3), ("conv", "fc", "out"), strict=True):
        source.pair(f"layer{name}", to)
    source.colour_input("from_rgb.weight")
    return source.finish()


def _unbatched(weight: Tensor) -> Tensor:
    """Drop the leading axis of a modulated weight (1, O, I, k, k)."""
    return weight.reshape(weight.shape[-4:])
