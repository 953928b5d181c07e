"""Training examples of the encoders: the input and the target of every translation and one-pass task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from inversion.encoders import Encoder
from inversion.synthetic import Domain
from inversion.tasks import Colorize, Superres
from inversion.training.options import TrainingError
from inversion.training.pairs import Pairs
from inversion.translations.drawings import DrawingError, lines

FACTORS = (1, 2, 4, 8, 16)  # of super-resolution; 1 changes nothing
WOBBLE = 1.2  # error of hand-drawn lines, in pixels of a picture of 128
PENS = (1, 1, 1, 3)  # widths in pixels of a line, or of the brush that rounds a map
NEAT_SHARE = 1 / 3  # fraction of the drawings that stay as rendered


@dataclass(frozen=True)
class Example:
    """Target pictures (B, 3, R, R) in [-1, 1] and the encoder's input for them (B, inputs, size, size).

    `z` (B, z_dim) are the targets' codes; only renders, which the embedded generators are distilled from, have them.
    """

    target: Tensor
    input: Tensor
    z: Tensor | None = None

    def to(self, device: torch.device) -> Example:
        """A copy on a device."""
        return Example(self.target.to(device), self.input.to(device), None if self.z is None else self.z.to(device))


def with_low_resolution(x: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures x (B, 3, R, R) in blocks of a random size: an encoder's input in super-resolution."""
    chosen = torch.randint(0, len(FACTORS), (len(x),), generator=rng).tolist()
    made = []
    for picture, factor in zip(x.split(1), [FACTORS[i] for i in chosen], strict=True):
        task = Superres(factor) if factor > 1 else None
        made.append(picture if task is None else task.pinv(task.A(picture)))
    return torch.cat(made)


def with_holes(x: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures x (B, 3, R, R) with one to three holes, boxes and ellipses, filled with 0 as in inpainting."""
    B, R = len(x), x.shape[-1]
    line = torch.linspace(-1, 1, R)
    known = torch.ones(B, 1, R, R)
    for index in range(3):
        cx, cy, rx, ry, kind = torch.rand(5, B, 1, 1, generator=rng)
        px = (line.view(1, 1, R) - (1.6 * cx - 0.8)).abs() / (0.12 + 0.45 * rx)
        py = (line.view(1, R, 1) - (1.6 * cy - 0.8)).abs() / (0.12 + 0.45 * ry)
        inside = torch.where(kind < 0.5, torch.maximum(px, py), (px.square() + py.square()).sqrt()) < 1
        taken = torch.rand(B, 1, 1, generator=rng) < 0.5 if index else torch.ones(B, 1, 1, dtype=torch.bool)
        known[(inside & taken)[:, None]] = 0
    return x * known.to(x)


def with_any_degradation(x: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures x (B, 3, R, R), half of them unchanged, the others small, with holes or grey: inputs of all tasks."""
    kinds = torch.randint(0, 6, (len(x),), generator=rng)
    made = x.clone()
    for kind, degrade in enumerate((with_low_resolution, with_holes, without_colours)):
        chosen = kinds == kind
        if chosen.any():
            made[chosen] = degrade(x[chosen], rng)
    return made


def without_colours(x: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures x (B, 3, R, R) without colours: an encoder's input in colourisation."""
    task = Colorize()
    return task.pinv(task.A(x))


def sketches(pairs: Pairs, size: int, rng: torch.Generator | None) -> Tensor:
    """Sketches (B, 1, size, size) in [0, 1], cleaned by `lines`; with rng, in random styles of drawing."""
    ink = 1 - pairs.sketch[:, None].float() / 255  # (B, 1, R, R)
    if rng is not None:
        ink = _by_hand(ink, pairs.classes, rng)
    grey = ((1 - ink[:, 0]) * 255).round().byte().numpy()
    return torch.stack([_clean(picture, size) for picture in grey])[:, None]


def label_maps(pairs: Pairs, domain: Domain, size: int, rng: torch.Generator | None) -> Tensor:
    """Label maps, one-hot (B, len(classes), size, size); with rng, wobbly, rounded, or without small classes."""
    classes, count = domain.classes, len(domain.classes)
    hot = F.one_hot(pairs.classes.long(), count).permute(0, 3, 1, 2).float()
    if rng is not None:
        hot = F.grid_sample(hot, _wobbly(len(hot), hot.shape[-1], rng), padding_mode="border", align_corners=False)
        hot = torch.cat([_rounded(one, k) for one, k in zip(hot.split(1), _pens(len(hot), rng), strict=True)])
        lost = torch.rand(len(hot), generator=rng) < 0.15
        for part, whole in domain.often_omitted.items():
            hot[lost, classes.index(whole)] += hot[lost, classes.index(part)]
            hot[lost, classes.index(part)] = 0
    cover = F.adaptive_avg_pool2d(hot, (size, size))
    return F.one_hot(cover.argmax(dim=1), count).permute(0, 3, 1, 2).float()


def _scaled(pixels: Tensor) -> Tensor:
    """Pictures in [-1, 1] of uint8 (B, C, R, R)."""
    return pixels.float() / 127.5 - 1


def _of_sketch(pairs: Pairs, domain: Domain, net: Encoder, z: Tensor | None, rng: torch.Generator | None) -> Example:
    return Example(_scaled(pairs.picture), sketches(pairs, net.size, rng), z)


def _of_map(pairs: Pairs, domain: Domain, net: Encoder, z: Tensor | None, rng: torch.Generator | None) -> Example:
    return Example(_scaled(pairs.picture), label_maps(pairs, domain, net.size, rng), z)


def _of_turned(pairs: Pairs, domain: Domain, net: Encoder, z: Tensor | None, rng: torch.Generator | None) -> Example:
    if not pairs.front.shape[1]:
        raise TrainingError("The model's domain has no frontal view. Choose another recipe or model.")
    codes = None if z is None else domain.frontal_codes(z)
    return Example(_scaled(pairs.front), net.fit(_scaled(pairs.picture)), codes)


# Translation -> its examples, made of pairs. The target is the picture; that of "frontalize" is its frontal view.
PAIRED: dict[str, Callable[[Pairs, Domain, Encoder, Tensor | None, torch.Generator | None], Example]] = {
    "sketch": _of_sketch,
    "map": _of_map,
    "frontalize": _of_turned,
}


def translation_example(
    name: str,
    pairs: Pairs,
    domain: Domain,
    encoder: Encoder,
    z: Tensor | None = None,
    rng: torch.Generator | None = None,
) -> Example:
    """Examples of a translation, a key of PAIRED. Raises TrainingError for any other, and if the domain has no target.

    z (B, z_dim): the codes of the pairs. rng augments the inputs.
    """
    if name not in PAIRED:
        raise TrainingError(f"The translation {name!r} has no training examples. Choose from: {', '.join(PAIRED)}.")
    return PAIRED[name](pairs, domain, encoder, z, rng)


# Degradations (pictures (B, 3, R, R), rng) -> input; the target is the whole picture.
DEGRADED: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "shrunk": with_low_resolution,
    "holed": with_holes,
    "damaged": with_any_degradation,
}


def _clean(grey: NDArray[np.uint8], size: int) -> Tensor:
    """Lines (size, size) of a drawing (S, S); empty paper if no line is left."""
    try:
        return torch.from_numpy(lines(grey, size))
    except DrawingError:
        return torch.ones(size, size)


def _by_hand(ink: Tensor, classes: Tensor, rng: torch.Generator) -> Tensor:
    """Ink (B, 1, R, R) in [0, 1] as drawn by hand: outlines with or without shades, wobbly, of any width, with gaps.

    A share NEAT_SHARE is not changed: an eye has eight pixels, and only neat lines show its gaze.
    """
    B, R = len(ink), ink.shape[-1]
    neat, given = torch.rand(B, 1, 1, 1, generator=rng) < NEAT_SHARE, ink
    outlines = torch.zeros_like(ink)
    outlines[:, 0, :, 1:] = (classes[:, :, 1:] != classes[:, :, :-1]).float()
    outlines[:, 0, 1:] = torch.maximum(outlines[:, 0, 1:], (classes[:, 1:] != classes[:, :-1]).float())
    bare, least = torch.rand(2, B, 1, 1, 1, generator=rng)
    ink = torch.where(bare < 0.3, outlines, ink * (ink > 0.5 * least))
    ink = F.grid_sample(ink, _wobbly(B, R, rng), align_corners=False)
    wide = [F.max_pool2d(one, k, stride=1, padding=k // 2) for one, k in zip(ink.split(1), _pens(B, rng), strict=True)]
    gaps = F.interpolate(torch.rand(B, 1, R // 8, R // 8, generator=rng), size=(R, R), mode="bilinear")
    share = 0.12 * torch.rand(B, 1, 1, 1, generator=rng)  # few values of the smooth noise lie below this
    return torch.where(neat, given, torch.cat(wide) * (gaps > share))


def _wobbly(B: int, R: int, rng: torch.Generator) -> Tensor:
    """Sampling grids (B, R, R, 2) with small and smooth shifts; half of the grids have none."""
    shift = (
        torch.randn(B, 2, max(2, R // 16), max(2, R // 16), generator=rng)
        * (torch.rand(B, generator=rng) < 0.5)[:, None, None, None]
    )
    shift = F.interpolate(shift, size=(R, R), mode="bicubic") * (WOBBLE * 2 / 128)
    line = (torch.arange(R) + 0.5) * (2 / R) - 1
    identity = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)  # (R, R, 2), x first
    return identity + shift.permute(0, 2, 3, 1)


def _pens(B: int, rng: torch.Generator) -> list[int]:
    """An odd width in pixels for each of B drawings."""
    return [PENS[i] for i in torch.randint(0, len(PENS), (B,), generator=rng).tolist()]


def _rounded(hot: Tensor, k: int) -> Tensor:
    """A label map (1, K, R, R) with borders rounded by a brush of k pixels."""
    return F.avg_pool2d(hot, k, stride=1, padding=k // 2, count_include_pad=False)
