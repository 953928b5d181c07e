"""Fixtures of all tests: a tiny seeded prior and model, pictures, and the same global state at every start."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections import Counter

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported: tiny networks are slower on more threads
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test needs the network
os.environ["INVERSION_CACHE"] = tempfile.mkdtemp(prefix="inversion-tests-")  # without the user's own models
atexit.register(shutil.rmtree, os.environ["INVERSION_CACHE"], ignore_errors=True)

from collections.abc import Callable, Iterator  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402
from helpers.checkpoints import GOOD, use_entries  # noqa: E402
from helpers.networks import CHANNELS, TINY, build_full, build_other, build_prior  # noqa: E402
from torch import Tensor  # noqa: E402

from inversion.checkpoints import hub  # noqa: E402
from inversion.checkpoints.registry import Entry, HubError  # noqa: E402
from inversion.generators import Discriminator, StyleGAN2  # noqa: E402
from inversion.images import to_array  # noqa: E402
from inversion.methods import METHODS  # noqa: E402
from inversion.model import Model  # noqa: E402
from inversion.serving.lane import Lane  # noqa: E402
from inversion.serving.runs import Request  # noqa: E402
from inversion.serving.session import Session  # noqa: E402

FIRST = ("test_weights.py", "browser", "page", "reliability")  # the slowest files and folders


def pytest_configure(config: pytest.Config) -> None:
    """xdist keeps the order of the tests. By itself, it would begin with the files of most tests."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files come first, so that no process ends long after the others; a folder's files share its page."""
    tests = Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[int, str, int, str]:
        folder = item.path.parent.name
        rank = next((rank for rank, name in enumerate(FIRST) if name in (item.path.name, folder)), len(FIRST))
        return rank, folder if rank < len(FIRST) else "", -tests[item.path], str(item.path)

    items.sort(key=place)


@pytest.fixture(autouse=True)
def _repeatable() -> Iterator[None]:
    """Global seed and modes are the same at the start of every test, and no test may leave a mode behind."""
    torch.manual_seed(0)
    before, folder = dict(os.environ), tempfile.tempdir  # `app.main` puts all temporary files into a folder of its own
    yield
    os.environ |= before
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    tempfile.tempdir = folder
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert not torch.is_autocast_enabled("cpu")


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


@pytest.fixture(scope="session")
def full_model(prior: StyleGAN2, discriminator: Discriminator) -> Model:
    """A model with the tiny prior, discriminator, encoders and pictures."""
    return build_full(prior, discriminator)


@pytest.fixture(scope="session")
def other_models(discriminator: Discriminator) -> dict[str, Model]:
    """Full models whose generators have other architectures."""
    return {name: build_full(build_other(name), discriminator) for name in ("pggan", "stylegan", "in-domain")}


@pytest.fixture(scope="session")
def pictures(prior: StyleGAN2) -> Tensor:
    """Four pictures (4, 3, 32, 32) in [-1, 1], close to pictures of the prior."""
    z = torch.randn(4, prior.z_dim, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        x = prior.synthesis(prior.mapping(z))
    rough = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    return (x / x.abs().amax() + 0.05 * rough).clamp(-1, 1)


@pytest.fixture
def opened() -> Iterator[Callable[..., Session]]:
    """Makes sessions and closes them after the test."""
    sessions: list[Session] = []

    def make(*lanes: object, **options: object) -> Session:
        sessions.append(Session(lanes=lanes, **options))  # type: ignore[arg-type]
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


@pytest.fixture
def lane(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lane:
    """The real lane on the tiny model."""
    use_entries(monkeypatch, tmp_path, Entry("tiny", **GOOD))  # type: ignore[arg-type]

    def load(name: str, device: str = "auto", dtype: str = "auto") -> Model:
        if name != "tiny":
            raise HubError(f"There is no model {name!r}.")
        return model

    monkeypatch.setattr(hub, "load", load)
    return Lane("cpu")


@pytest.fixture
def request_of(pictures: Tensor) -> Callable[..., Request]:
    """Requests on the tiny model, a few steps long."""

    def make(index: int, method: str = "w", **changes: object) -> Request:
        stages = [stage.key for stage in METHODS[method].stages if hasattr(stage, "steps")]
        settings = {f"{key}.steps": 4 for key in stages}
        base = Request("reconstruct", method, to_array(pictures[index]), "tiny", settings, seed=index)
        return replace(base, **changes)  # type: ignore[arg-type]

    return make
