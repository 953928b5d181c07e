"""A tiny seeded prior and model, pictures, and the rules of repeatability for every test."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported: tiny networks are slower on more threads
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test needs the network

from collections.abc import Iterator  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from inversion.checkpoints.hub import Model  # noqa: E402
from inversion.encoders import E4E, PSP, Encoder, InDomain  # noqa: E402
from inversion.encoders.backbones import IRSE, stages  # noqa: E402
from inversion.generators import PGGAN, Discriminator, Prior, StyleGAN, StyleGAN2  # noqa: E402

TINY = 32  # pixels
CHANNELS = {4: 16, 8: 16, 16: 16, 32: 8}


@pytest.fixture(autouse=True)
def _repeatable() -> Iterator[None]:
    """Global seed and modes are the same at the start of every test, and no test may leave a mode behind."""
    torch.manual_seed(0)
    yield
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert not torch.is_autocast_enabled("cpu")


def build_prior(noise: bool = False) -> StyleGAN2:
    """A frozen StyleGAN2 of about 30 000 weights, the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        prior = StyleGAN2(TINY, z_dim=16, w_dim=32, channels=CHANNELS, mapping_layers=2, noise=noise)
        prior.w_avg.copy_(prior.measure_w_avg(256, torch.Generator().manual_seed(2)))
    return prior.freeze()


@pytest.fixture(scope="session")
def prior() -> StyleGAN2:
    """The tiny prior; frozen, so that all tests may share it."""
    return build_prior()


@pytest.fixture(scope="session")
def noisy_prior() -> StyleGAN2:
    """The same with noise inputs."""
    return build_prior(noise=True)


@pytest.fixture(scope="session")
def discriminator() -> Discriminator:
    """A tiny frozen discriminator."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Discriminator(TINY, CHANNELS).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def model(prior: StyleGAN2, discriminator: Discriminator) -> Model:
    """A model with the tiny networks."""
    return Model("tiny", prior, prior.resolution, discriminator=discriminator, sha256="0" * 64)


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
    """A model that lacks nothing a stage may need."""

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


@pytest.fixture(scope="session")
def full_model(prior: StyleGAN2, discriminator: Discriminator) -> Model:
    """A model with the tiny prior, discriminator, encoders and pictures."""
    return build_full(prior, discriminator)


@pytest.fixture(scope="session")
def pictures(prior: StyleGAN2) -> Tensor:
    """Four pictures (4, 3, 32, 32) in [-1, 1] that the prior can nearly make."""
    z = torch.randn(4, prior.z_dim, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        x = prior.synthesis(prior.mapping(z))
    rough = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    return (x / x.abs().amax() + 0.05 * rough).clamp(-1, 1)
