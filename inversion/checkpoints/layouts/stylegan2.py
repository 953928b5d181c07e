"""Renames the tensors of public StyleGAN2 checkpoints to this package's names.

A layout reads a flat state dict {key: tensor} and takes every key, or raises a StateDictError that names the key.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from inversion.checkpoints.layouts.source import Renamed, Source


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
    for i in range(source.count("mapping.fc{}.weight")):
        source.pair(f"mapping.fc{i}", f"dense.{i}")
    block = 0
    while f"synthesis.b{4 << block}.torgb.weight" in source.left:
        side = 4 << block
        parts = {f"b{side}.conv1": 2 * block} | ({f"b{side}.conv0": 2 * block - 1} if block else {})
        for name, k in parts.items():
            source.pair(f"synthesis.{name}", f"convs.{k}")
            if noise:
                source.move(f"synthesis.{name}.noise_strength", f"convs.{k}.noise_strength", ())
                source.move(f"synthesis.{name}.noise_const", f"noise_{k}", (1, 1, side, side))
            source.pair(f"synthesis.{name}.affine", f"convs.{k}.affine")
        source.pair(f"synthesis.b{side}.torgb", f"rgbs.{block}")
        source.pair(f"synthesis.b{side}.torgb.affine", f"rgbs.{block}.affine")
        block += 1
    source.require(f"synthesis.b{4 << block}.torgb.weight", f"synthesis.b{4 << block}.")
    source.average(source.optional("mapping.w_avg"), "mapping.w_avg", 2 * block, w_dim)
    source.colour("rgbs.{}")
    return source.finish()


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
