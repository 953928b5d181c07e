"""Drawings, label maps and faces to upload, and tiny encoders that read them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from helpers.networks import build_prior
from inversion.encoders import Encoder, Narrow
from inversion.generators import StyleGAN2
from inversion.model import Model
from inversion.synthetic import HELD_OUT
from inversion.synthetic.faces import CLASSES, draw_faces
from inversion.translations import INPUTS, TRANSLATIONS, input_of
from inversion.translations.drawings import PALETTE

SIDE = 64  # of the drawings
COLOURS = np.asarray(PALETTE, np.uint8)
Array = NDArray[np.uint8]


def narrow(inputs: int, prior: StyleGAN2) -> Encoder:
    """A tiny encoder whose random codes lie around the prior's mean."""
    with torch.random.fork_rng():
        torch.manual_seed(inputs)
        encoder = Narrow(inputs, prior.num_ws, prior.w_dim, (2, 3, prior.num_ws - 5), (8, 8, 8), 8, 2)
    encoder.latent_avg.copy_(prior.w_avg)
    return encoder.eval().requires_grad_(False)


def reading_encoders(prior: StyleGAN2) -> dict[str, Encoder]:
    """A tiny encoder for every translation, by its name."""
    return {name: narrow(input_of(name).channels(len(CLASSES)), prior) for name in TRANSLATIONS}


def translating_model() -> Model:
    """A tiny model with an encoder for every translation."""
    prior = build_prior()
    encoders = reading_encoders(prior)
    return Model("synthetic-faces", prior, prior.resolution, encoders=encoders, domain="synthetic-faces")


def some_uploads() -> dict[str, list[Array]]:
    """Four uploads of each kind of input, uint8 (SIDE, SIDE, 3)."""
    drawn = draw_faces(range(HELD_OUT, HELD_OUT + 4), SIDE)
    return {name: kind.rendered(drawn) for name, kind in INPUTS.items()}


@pytest.fixture(scope="module")
def uploads() -> dict[str, list[Array]]:
    """`some_uploads`, drawn once a module."""
    return some_uploads()


def blank(value: int = 255) -> Array:
    """An empty canvas, uint8 (SIDE, SIDE, 3)."""
    return np.full((SIDE, SIDE, 3), value, np.uint8)
