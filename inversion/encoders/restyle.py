"""ReStyle (Alaluf et al. 2021): the encoder reads a picture and its reconstruction, and corrects the code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.encoders.base import Encoder
    from inversion.generators.base import Prior

STEPS = 5


def average_image(encoder: Encoder, prior: Prior) -> Tensor:
    """The picture (1, 3, size, size) of the mean style, where every inversion starts. It may be computed once."""
    return encoder.fit(prior.synthesis(encoder.latent_avg[None]))


def corrections(
    encoder: Encoder, prior: Prior, x: Tensor, steps: int = STEPS, start: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield styles (B, num_ws, w_dim) and their picture (B, 3, R, R) after every step.

    `encoder` reads pairs; x (B, 3, S, S) in [-1, 1] is resized to its side; `start` is `average_image`, computed if it
    is None.
    """
    x = encoder.fit(x)
    ws = encoder.latent_avg.expand(len(x), -1, -1)
    shown = (average_image(encoder, prior) if start is None else start).expand(len(x), -1, -1, -1)
    for _ in range(steps):
        ws = ws + encoder.offsets(torch.cat([x, shown], dim=1))
        image = prior.synthesis(ws)
        yield ws, image
        shown = encoder.fit(image)
