"""Random codes of every kind, directions, and a model whose results can be edited."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers.networks import build_other, build_prior
from inversion.directions import AttributeMap, Bend, Direction
from inversion.generators import Prior
from inversion.methods import MultiCode, W, WPlus, Z
from inversion.methods.codes import Code
from inversion.model import Model
from inversion.perception.predictor import Predictor
from inversion.synthetic.faces import NAMES

PRIORS = ("stylegan2", "noisy", "stylegan", "in-domain", "pggan")
CODES = ("z", "w", "wplus", "noise", "multicode", "mixture")


def prior_named(name: str) -> Prior:
    """A tiny prior of an architecture; "noisy" is a stylegan2 with noise inputs."""
    if name in ("stylegan2", "noisy"):
        return build_prior(noise=name == "noisy")
    return build_other(name)


@pytest.fixture(scope="module", params=PRIORS)
def any_prior(request: pytest.FixtureRequest) -> Prior:
    """A tiny prior of each architecture."""
    return prior_named(request.param)


def code_on(prior: Prior, kind: str, seed: int = 0) -> Code:
    """One random code of a kind that the prior has."""
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(1, prior.z_dim, generator=rng)
    rows = prior.mapping(z) + 0.1 * torch.randn(1, prior.num_ws, prior.w_dim, generator=rng)
    if kind == "z":
        return Z(z)
    if kind == "w":
        return W(rows[:, 0])
    if kind == "noise":
        return WPlus(rows, tuple(torch.randn(1, 1, *shape, generator=rng) for shape in prior.noise_shapes))
    if kind == "wplus":
        return WPlus(rows)
    layer = 4
    alpha = torch.rand(1, 3, prior.channels(layer), generator=rng) / 3
    code = MultiCode(torch.randn(1, 3, prior.z_dim, generator=rng), alpha, rows, layer)
    return code if kind == "multicode" else code.mixture(prior)


def some_direction(prior: Prior, name: str = "smile", seed: int = 5) -> Direction:
    """A random direction whose reach no code leaves."""
    vector = torch.randn(1, prior.w_dim, generator=torch.Generator().manual_seed(seed))
    rows = vector / vector.norm()
    return Direction(name, name, "attributes", rows, 2.0, -1.5, 2.5, normal=rows, reach=(-100.0, 100.0))


def bent_direction(prior: Prior, name: str = "age", index: int = 0) -> Direction:
    """A direction whose steps depend on the code. Those of one prior share a map of three attributes."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        known = AttributeMap(prior.w_dim, 3).eval().requires_grad_(False)
    return replace(some_direction(prior, name, 7 + index), bend=Bend(known, index, 0.4))


def editable(model: Model, prior: Prior) -> Model:
    """The model with a direction and a predictor."""
    with torch.random.fork_rng():
        torch.manual_seed(8)
        predictor = Predictor(NAMES, (4, 4, 6, 6, 8)).eval().requires_grad_(False)
    return replace(model, directions={"smile": some_direction(prior)}, predictor=predictor)
