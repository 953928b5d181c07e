"""There is one LPIPS, with the lpips package's numbers, for every file of a trunk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import lpips
import pytest
import torch
from helpers.foreign import small
from helpers.pictures import random_pictures
from torch import Tensor, nn

from inversion.checkpoints.layouts import network
from inversion.perception import LPIPS, LPIPSNetwork, cached_lpips, distance

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torchvision.*")
CPU = torch.device("cpu")


def package(net: str) -> nn.Module:
    """The lpips package's own module with a random trunk and its published heads."""
    return lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval().requires_grad_(False)


def read(module: nn.Module) -> LPIPSNetwork:
    """Our network with the weights of the package's module."""
    found = network(module.state_dict()).build()
    assert isinstance(found, LPIPSNetwork)
    return found


@pytest.mark.parametrize(("net", "name"), [("alex", "lpips"), ("vgg", "lpips_vgg")])
def test_lpips_computes_what_the_package_computes(net: str, name: str) -> None:
    module = package(net)
    measure = LPIPS(read(module))
    a, b = random_pictures(2, 3, 64, 64), random_pictures(2, 3, 64, 64, seed=1)
    assert measure.name == name
    torch.testing.assert_close(measure(a, b), module(a, b).flatten(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(measure(a, b), measure.distance(measure.features(a), measure.features(b)))
    assert measure.per_layer(measure.features(a), measure.features(b)).shape == (5, 2)


def test_the_gradient_is_finite_where_all_channels_are_0() -> None:
    module = package("alex")
    with torch.no_grad():
        for layer in module.net.modules():
            if isinstance(layer, nn.Conv2d):
                layer.bias.fill_(-1e3)
    dead, alive = LPIPS(read(module)), LPIPS(read(package("alex")))
    x, y = random_pictures(1, 3, 64, 64).requires_grad_(), random_pictures(1, 3, 64, 64, seed=1)
    assert all(not f.any() for f in dead.features(x))
    dead(x, y).sum().backward()
    assert x.grad is not None and not x.grad.any()
    off, on = dead.features(x), alive.features(y)
    dead.distance(off, on).sum().backward()
    assert bool(x.grad.isfinite().all())


class Passing(nn.Module):
    """A trunk without a ReLU, which would stop the gradient by itself."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x]


def test_the_gradient_is_finite_at_0_without_a_relu() -> None:
    bare = read(package("alex"))
    bare.trunk = Passing()  # type: ignore[assignment]
    x = bare.shift.expand(1, 3, 8, 8).clone().requires_grad_()
    (unit,) = bare.maps(x)
    assert not unit.any()
    (unit - 1).square().sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all())


def cache(folder: Path, monkeypatch: pytest.MonkeyPatch, tensors: dict[str, Tensor]) -> Path:
    """A torch.hub cache with a trunk in it, under a name that ends in its sha256."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    (folder / "checkpoints").mkdir()
    torch.save(tensors, folder / "trunk.pth")
    digits = hashlib.sha256((folder / "trunk.pth").read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(distance, "ALEXNET", f"alexnet-owt-{digits}.pth")
    return (folder / "trunk.pth").rename(folder / "checkpoints" / f"alexnet-owt-{digits}.pth")


def test_torchvisions_file_gives_the_same_distance_as_a_registered_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = small("lpips_alex_features", channels=False)
    cache(tmp_path, monkeypatch, {**tensors, "classifier.1.weight": torch.zeros(2, 2)})
    registered = network(tensors).build()
    assert isinstance(registered, LPIPSNetwork)
    found = cached_lpips(CPU)
    assert found is not None and found.name == "lpips"
    a, b = random_pictures(2, 3, 64, 64), random_pictures(2, 3, 64, 64, seed=1)
    assert torch.equal(found(a, b), LPIPS(registered)(a, b))


def test_a_missing_file_or_one_with_the_wrong_hash_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "none"))
    assert cached_lpips(CPU) is None
    path = cache(tmp_path, monkeypatch, {})
    path.write_bytes(b"not the weights")
    assert cached_lpips(CPU) is None
