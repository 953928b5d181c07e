"""Tiny seeded networks: a prior of each architecture, encoders, a discriminator, and models made of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inversion.encoders import E4E, PSP, Encoder, InDomain
from inversion.encoders.backbones import IRSE, stages
from inversion.generators import PGGAN, Discriminator, Prior, StyleGAN, StyleGAN2
from inversion.model import Model

TINY = 32  # pixels
CHANNELS = {4: 16, 8: 16, 16: 16, 32: 8}


def build_prior(noise: bool = False) -> StyleGAN2:
    """A frozen StyleGAN2 of about 30,000 weights, the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        prior = StyleGAN2(TINY, z_dim=16, w_dim=32, channels=CHANNELS, mapping_layers=2, noise=noise)
        prior.w_avg.copy_(prior.measure_w_avg(256, torch.Generator().manual_seed(2)))
    return prior.freeze()


def build_other(name: str) -> Prior:
    """A frozen prior of another architecture, as small: pggan, stylegan, or its in-domain variant."""
    with torch.random.fork_rng():
        torch.manual_seed(6)
        if name == "pggan":
            return PGGAN(TINY, z_dim=16, channels=CHANNELS).freeze()
        prior = StyleGAN(TINY, 16, 32, CHANNELS, mapping_layers=2, in_domain=name == "in-domain")
        prior.w_avg.copy_(prior.measure_w_avg(256, torch.Generator().manual_seed(2)))
    return prior.freeze()


def build_encoders(prior: Prior) -> dict[str, Encoder]:
    """One tiny encoder of each kind, whose random codes lie around the prior's mean."""
    units = stages((16, 1), (20, 1), (24, 1), (32, 1))  # the last map is 2 pixels wide
    rows, width = prior.num_ws, prior.w_dim
    pyramid = [min(3, 1 + i // 3) for i in range(rows)]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        encoders: dict[str, Encoder] = {
            "encoder": InDomain((6, 8, 8, 10), rows, width),
            "indomain": InDomain((6, 8, 8, 10), rows, width),
            "psp": PSP(IRSE(3, units), pyramid, width),
            "e4e": E4E(IRSE(3, units), pyramid, width),
            "restyle": PSP(IRSE(6, units), [1] * rows, width),
        }
    for encoder in encoders.values():
        with torch.no_grad():
            if isinstance(encoder, InDomain):  # it has no mean to add
                encoder.bn.bias.copy_(prior.w_avg.flatten())
            else:
                encoder.latent_avg.copy_(prior.w_avg)
        encoder.eval().requires_grad_(False)
    return encoders


def build_full(prior: Prior, discriminator: Discriminator) -> Model:
    """A model with every part that a stage may need."""

    def domain(n: int, rng: torch.Generator) -> Tensor:
        with torch.no_grad():
            return prior(torch.randn(n, prior.z_dim, generator=rng))

    encoders = dict(build_encoders(prior))
    return Model(
        "tiny",
        prior,
        prior.resolution,
        discriminator=discriminator,
        encoders=encoders,
        pictures=domain,
        sha256="0" * 64,
    )


def same_networks(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks are of one class and hold the same numbers."""
    a, b = one.state_dict(), other.state_dict()
    return type(one) is type(other) and a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
