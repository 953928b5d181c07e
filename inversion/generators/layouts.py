"""Renames the tensors of public StyleGAN2 checkpoints to this package's names.

A layout reads a flat state dict {key: tensor} and consumes every key, or raises StateDictError naming the key. Constant
filters (`*.kernel`, `*.resample_filter`) are rebuilt here and may be missing from a file.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from inversion.generators.base import StateDictError

CONSTANTS = (".kernel", ".resample_filter")


class _Source:
    """A state dict that is read once: `take` removes a key, `finish` complains about what is left."""

    def __init__(self, layout: str, tensors: Mapping[str, Tensor]) -> None:
        self.layout = layout
        self.left = {key: value for key, value in tensors.items() if not key.endswith(CONSTANTS)}

    def take(self, key: str, shape: tuple[int, ...] | None = None) -> Tensor:
        if key not in self.left:
            raise StateDictError(f"{self.layout}: missing {key}")
        value = self.left.pop(key).float()
        if shape is None:
            return value
        try:
            return value.reshape(shape)
        except RuntimeError as error:
            raise StateDictError(f"{self.layout}: {key} is {tuple(value.shape)}, expected {shape}") from error

    def count(self, pattern: str, start: int = 0) -> int:
        """How many keys pattern.format(start), pattern.format(start + 1), ... follow each other."""
        number = 0
        while pattern.format(start + number) in self.left:
            number += 1
        return number

    def finish(self) -> None:
        if self.left:
            raise StateDictError(f"{self.layout}: unknown {', '.join(sorted(self.left)[:5])}")


def rosinality_generator(tensors: Mapping[str, Tensor], latent_avg: Tensor | None = None) -> dict[str, Tensor]:
    """Rename a `g_ema` state dict, which also is the decoder of pSp, e4e and ReStyle.

    `latent_avg` is (w_dim,) or (num_ws, w_dim); without it w_avg is zero, and the caller measures it. Stored noise
    that a file lacks is drawn from a fixed seed.
    """
    source = _Source("rosinality generator", tensors)
    layers = 1 + source.count("convs.{}.conv.weight")
    out = {"const": source.take("input.input")[0]}
    for i in range(source.count("style.{}.weight", start=1)):
        _dense(source, f"style.{i + 1}", f"dense.{i}", out)
    rng = torch.Generator().manual_seed(0)
    for k in range(layers):
        name, to = ("conv1" if k == 0 else f"convs.{k - 1}"), f"convs.{k}"
        weight = source.take(f"{name}.conv.weight")
        out[f"{to}.weight"] = weight.reshape(weight.shape[-4:])
        out[f"{to}.bias"] = source.take(f"{name}.activate.bias")
        out[f"{to}.noise_strength"] = source.take(f"{name}.noise.weight", ())
        _dense(source, f"{name}.conv.modulation", f"{to}.affine", out)
        side = 4 << ((k + 1) // 2)
        drawn = torch.randn(1, 1, side, side, generator=rng)
        stored = f"noises.noise_{k}"
        out[f"noise_{k}"] = source.take(stored, (1, 1, side, side)) if stored in source.left else drawn
    for j in range(layers // 2 + 1):
        name, to = ("to_rgb1" if j == 0 else f"to_rgbs.{j - 1}"), f"rgbs.{j}"
        weight = source.take(f"{name}.conv.weight")
        out[f"{to}.weight"] = weight.reshape(weight.shape[-4:])
        out[f"{to}.bias"] = source.take(f"{name}.bias", (3,))
        _dense(source, f"{name}.conv.modulation", f"{to}.affine", out)
    source.finish()
    return _with_average(out, latent_avg, layers + 1)


def nvidia_generator(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the `G_ema` of a StyleGAN2-ADA pickle (unconditional)."""
    source = _Source("StyleGAN2-ADA generator", tensors)
    out = {"const": source.take("synthesis.b4.const")}
    for i in range(source.count("mapping.fc{}.weight")):
        _dense(source, f"mapping.fc{i}", f"dense.{i}", out)
    block = 0
    while f"synthesis.b{4 << block}.torgb.weight" in source.left:
        side = 4 << block
        parts = {f"b{side}.conv1": 2 * block} | ({f"b{side}.conv0": 2 * block - 1} if block else {})
        for name, k in parts.items():
            out[f"convs.{k}.weight"] = source.take(f"synthesis.{name}.weight")
            out[f"convs.{k}.bias"] = source.take(f"synthesis.{name}.bias")
            out[f"convs.{k}.noise_strength"] = source.take(f"synthesis.{name}.noise_strength", ())
            out[f"noise_{k}"] = source.take(f"synthesis.{name}.noise_const", (1, 1, side, side))
            _dense(source, f"synthesis.{name}.affine", f"convs.{k}.affine", out)
        _dense(source, f"synthesis.b{side}.torgb", f"rgbs.{block}", out)
        _dense(source, f"synthesis.b{side}.torgb.affine", f"rgbs.{block}.affine", out)
        block += 1
    average = source.take("mapping.w_avg")
    source.finish()
    return _with_average(out, average, 2 * block)


def genforce_generator(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a GenForce `generator_smooth`; its styles add 1 to the stored bias, its up convolutions are flipped."""
    source = _Source("GenForce generator", tensors)
    layers = source.count("synthesis.layer{}.weight")
    out = {"const": source.take("synthesis.early_layer.const")[0]}
    for i in range(source.count("mapping.dense{}.weight")):
        _dense(source, f"mapping.dense{i}", f"dense.{i}", out)
    for k in range(layers):
        name, side = f"synthesis.layer{k}", 4 << ((k + 1) // 2)
        out[f"convs.{k}.noise_strength"] = source.take(f"{name}.noise_strength", ())
        out[f"noise_{k}"] = source.take(f"{name}.noise", (1, 1, side, side))
        _dense(source, name, f"convs.{k}", out)
        if k % 2 == 1:
            out[f"convs.{k}.weight"] = out[f"convs.{k}.weight"].flip(2, 3)
        _dense(source, f"{name}.style", f"convs.{k}.affine", out, shift=1.0)
    for j in range(layers // 2 + 1):
        _dense(source, f"synthesis.output{j}", f"rgbs.{j}", out)
        _dense(source, f"synthesis.output{j}.style", f"rgbs.{j}.affine", out, shift=1.0)
    average = source.take("truncation.w_avg")
    source.finish()
    return _with_average(out, average, layers + 1)


def rosinality_discriminator(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a `d` state dict of a training checkpoint."""
    source = _Source("rosinality discriminator", tensors)
    out = {"from_rgb.weight": source.take("convs.0.0.weight"), "from_rgb.bias": source.take("convs.0.1.bias")}
    for i in range(source.count("convs.{}.skip.1.weight", start=1)):
        name, to = f"convs.{i + 1}", f"blocks.{i}"
        out[f"{to}.conv1.weight"] = source.take(f"{name}.conv1.0.weight")
        out[f"{to}.conv1.bias"] = source.take(f"{name}.conv1.1.bias")
        out[f"{to}.conv2.weight"] = source.take(f"{name}.conv2.1.weight")
        out[f"{to}.conv2.bias"] = source.take(f"{name}.conv2.2.bias")
        out[f"{to}.skip.weight"] = source.take(f"{name}.skip.1.weight")
    out["conv.weight"] = source.take("final_conv.0.weight")
    out["conv.bias"] = source.take("final_conv.1.bias")
    _dense(source, "final_linear.0", "fc", out)
    _dense(source, "final_linear.1", "out", out)
    source.finish()
    return out


def nvidia_discriminator(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the `D` of a StyleGAN2-ADA pickle (unconditional)."""
    source = _Source("StyleGAN2-ADA discriminator", tensors)
    resolution = next((4 << i for i in range(1, 12) if f"b{4 << i}.fromrgb.weight" in source.left), 0)
    if not resolution:
        raise StateDictError("StyleGAN2-ADA discriminator: missing b*.fromrgb.weight")
    out: dict[str, Tensor] = {}
    _dense(source, f"b{resolution}.fromrgb", "from_rgb", out)
    side, i = resolution, 0
    while side > 4:
        _dense(source, f"b{side}.conv0", f"blocks.{i}.conv1", out)
        _dense(source, f"b{side}.conv1", f"blocks.{i}.conv2", out)
        out[f"blocks.{i}.skip.weight"] = source.take(f"b{side}.skip.weight")
        side, i = side // 2, i + 1
    for name in ("conv", "fc", "out"):
        _dense(source, f"b4.{name}", name, out)
    source.finish()
    return out


def _dense(source: _Source, name: str, to: str, out: dict[str, Tensor], shift: float = 0.0) -> None:
    """Move a weight and its bias; `shift` is added to the bias."""
    out[f"{to}.weight"] = source.take(f"{name}.weight")
    out[f"{to}.bias"] = source.take(f"{name}.bias") + shift


def _with_average(out: dict[str, Tensor], average: Tensor | None, num_ws: int) -> dict[str, Tensor]:
    """Add w_avg (num_ws, w_dim), repeating a single row."""
    w_dim = out["convs.0.affine.weight"].shape[1]
    average = torch.zeros(w_dim) if average is None else average.float()
    out["w_avg"] = average.reshape(-1, w_dim).expand(num_ws, -1).clone()
    return out
