"""StyleGAN2-ADA's generator, written from its published formulas: small, slow, and independent of the package."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

SIDES = (4, 8, 16)
Z, W, WIDTH = 12, 10, 6


def weights(colours: int = 3, classes: int = 0, noise: bool = True, seed: int = 0) -> dict[str, Tensor]:
    """Random tensors under NVIDIA's names, of a generator of 16 pixels whose every part is felt."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=rng)

    made = {"synthesis.b4.const": draw(WIDTH, 4, 4), "mapping.w_avg": draw(W) * 0.1}
    inputs = Z + (W if classes else 0)
    for i in range(2):
        made |= {f"mapping.fc{i}.weight": draw(W, inputs if i == 0 else W) * 100, f"mapping.fc{i}.bias": draw(W) * 10}
    if classes:
        made |= {"mapping.embed.weight": draw(W, classes), "mapping.embed.bias": draw(W)}
    for side in SIDES:
        block = f"synthesis.b{side}"
        for conv in ("conv0", "conv1") if side > 4 else ("conv1",):
            name = f"{block}.{conv}"
            made |= {f"{name}.weight": draw(WIDTH, WIDTH, 3, 3), f"{name}.bias": draw(WIDTH)}
            made |= {f"{name}.affine.weight": draw(WIDTH, W), f"{name}.affine.bias": draw(WIDTH) + 1}
            if noise:
                made |= {f"{name}.noise_strength": draw() * 0.5, f"{name}.noise_const": draw(side, side)}
        made |= {f"{block}.torgb.weight": draw(colours, WIDTH, 1, 1), f"{block}.torgb.bias": draw(colours)}
        made |= {f"{block}.torgb.affine.weight": draw(WIDTH, W), f"{block}.torgb.affine.bias": draw(WIDTH) + 1}
    return made


def mapped(t: Mapping[str, Tensor], z: Tensor, label: Tensor | None = None) -> Tensor:
    """The mapping network: z (B, Z) and a label (B, classes) to w (B, W)."""
    x = _normal(z)
    if label is not None:
        embedded = label @ (t["mapping.embed.weight"] / math.sqrt(label.shape[1])).t() + t["mapping.embed.bias"]
        x = torch.cat([x, _normal(embedded)], dim=1)
    for i in range(2):
        weight = t[f"mapping.fc{i}.weight"] * 0.01 / math.sqrt(x.shape[1])
        x = F.leaky_relu(x @ weight.t() + t[f"mapping.fc{i}.bias"] * 0.01, 0.2) * math.sqrt(2)
    return x


def pictures(t: Mapping[str, Tensor], w: Tensor, clamp: float | None = None) -> Tensor:
    """The synthesis network with skip connections: w (B, W) to pictures (B, colours, 16, 16)."""
    limit = math.inf if clamp is None else clamp
    x = t["synthesis.b4.const"].expand(len(w), -1, -1, -1)
    picture: Tensor | None = None
    for side in SIDES:
        block = f"synthesis.b{side}"
        for conv in ("conv0", "conv1") if side > 4 else ("conv1",):
            name = f"{block}.{conv}"
            x = _modulated(t, name, x, w, demodulate=True)
            if f"{name}.noise_strength" in t:
                x = x + t[f"{name}.noise_const"] * t[f"{name}.noise_strength"]
            x = F.leaky_relu(x + t[f"{name}.bias"].view(-1, 1, 1), 0.2) * math.sqrt(2)
            x = x.clamp(-limit, limit)
        added = _modulated(t, f"{block}.torgb", x, w, demodulate=False) + t[f"{block}.torgb.bias"].view(-1, 1, 1)
        added = added.clamp(-limit, limit)
        picture = added if picture is None else _filtered(_spread(picture), (2, 1)) + added
    assert picture is not None
    return picture


def critic(seed: int = 0) -> dict[str, Tensor]:
    """Random tensors under NVIDIA's names, of a discriminator of 16 pixels."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=rng)

    made = {"b16.fromrgb.weight": draw(WIDTH, 3, 1, 1), "b16.fromrgb.bias": draw(WIDTH)}
    for side in (16, 8):
        for conv in ("conv0", "conv1"):
            made |= {f"b{side}.{conv}.weight": draw(WIDTH, WIDTH, 3, 3), f"b{side}.{conv}.bias": draw(WIDTH)}
        made[f"b{side}.skip.weight"] = draw(WIDTH, WIDTH, 1, 1)
    made |= {"b4.conv.weight": draw(WIDTH, WIDTH + 1, 3, 3), "b4.conv.bias": draw(WIDTH)}
    made |= {"b4.fc.weight": draw(WIDTH, WIDTH * 16), "b4.fc.bias": draw(WIDTH)}
    return made | {"b4.out.weight": draw(1, WIDTH), "b4.out.bias": draw(1)}


def logits(t: Mapping[str, Tensor], x: Tensor, clamp: float | None = None) -> Tensor:
    """The residual discriminator: pictures (B, 3, 16, 16), at most 4, to (B,)."""
    limit = math.inf if clamp is None else clamp

    def layer(name: str, x: Tensor, gain: float = 1.0) -> Tensor:
        kernel = t[f"{name}.weight"] / math.sqrt(t[f"{name}.weight"][0].numel())
        if gain != 1:  # halves the side
            x = F.conv2d(_low(x, (kernel.shape[-1] + 1) // 2), kernel, stride=2)
        else:
            x = F.conv2d(x, kernel, padding=kernel.shape[-1] // 2)
        if f"{name}.bias" not in t:
            return x * gain
        x = F.leaky_relu(x + t[f"{name}.bias"].view(-1, 1, 1), 0.2) * math.sqrt(2) * gain
        return x.clamp(-limit * gain, limit * gain)

    half = math.sqrt(0.5)
    x = layer("b16.fromrgb", x)
    for side in (16, 8):
        x = layer(f"b{side}.skip", x, half) + layer(f"b{side}.conv1", layer(f"b{side}.conv0", x), half)
    spread = ((x - x.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt().mean()
    x = layer("b4.conv", torch.cat([x, spread.expand(len(x), 1, 4, 4)], dim=1)).flatten(1)
    x = x @ t["b4.fc.weight"].t() / math.sqrt(x.shape[1]) + t["b4.fc.bias"]
    x = F.leaky_relu(x, 0.2) * math.sqrt(2)
    return (x @ t["b4.out.weight"].t() / math.sqrt(WIDTH) + t["b4.out.bias"])[:, 0]


def _low(x: Tensor, padding: int) -> Tensor:
    """The binomial filter, with `padding` zeros on every side."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = torch.outer(row, row).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(F.pad(x, [padding] * 4), kernel, groups=x.shape[1])


def _normal(x: Tensor) -> Tensor:
    return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


def _modulated(t: Mapping[str, Tensor], name: str, x: Tensor, w: Tensor, demodulate: bool) -> Tensor:
    """Modulated convolution, one picture after the other; `conv0` doubles the side."""
    styles = w @ (t[f"{name}.affine.weight"] / math.sqrt(w.shape[1])).t() + t[f"{name}.affine.bias"]
    kernel = t[f"{name}.weight"]
    if not demodulate:
        styles = styles / math.sqrt(kernel[0].numel())
    made = []
    for one, style in zip(x, styles, strict=True):
        weight = kernel * style.view(1, -1, 1, 1)
        if demodulate:
            weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if name.endswith("conv0"):  # a transposed convolution: zeros between pixels, then the mirrored kernel
            wide = F.conv2d(F.pad(_spread(one[None])[:, :, :-1, :-1], (2, 2, 2, 2)), weight.flip(2, 3))
            made.append(_filtered(wide, (1, 1)))
        else:
            made.append(F.conv2d(one[None], weight, padding=kernel.shape[-1] // 2))
    return torch.cat(made)


def _spread(x: Tensor) -> Tensor:
    """Zeros after every pixel, in both directions."""
    wide = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    wide[:, :, ::2, ::2] = x
    return wide


def _filtered(x: Tensor, padding: tuple[int, int]) -> Tensor:
    """The binomial filter with the gain of doubling."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = (torch.outer(row, row) * 4).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(F.pad(x, (*padding, *padding)), kernel, groups=x.shape[1])
