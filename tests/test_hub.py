"""Files are hashed before they are parsed, models stay in memory, and a failed load leaves no model."""

from __future__ import annotations

import gc
import hashlib
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml
from helpers.checkpoints import GOOD, clear_caches, use_registry
from helpers.headers import HOSTILE
from torch import Tensor

from inversion.checkpoints import fetch, hub, weights
from inversion.checkpoints.registry import BadCheckpoint, Entry, HubError, registry
from inversion.common.memory import settle
from inversion.generators import Discriminator, StyleGAN2


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty repository and empty caches."""
    (tmp_path / "weights").mkdir()
    monkeypatch.setattr(fetch, "ROOT", tmp_path)
    use_registry(monkeypatch, tmp_path / "checkpoints.yaml")
    clear_caches()
    yield tmp_path
    clear_caches()


def register(home: Path, data: bytes, name: str = "tiny", **changes: object) -> Entry:
    """Write a file and its entry, with the file's own hash and size."""
    entry = {
        **GOOD,
        "file": f"weights/{name}.safetensors",
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
    }
    entry.update(changes)
    (home / str(entry["file"])).write_bytes(data)
    path = home / "checkpoints.yaml"
    entries = yaml.safe_load(path.read_text()) if path.is_file() else {}
    path.write_text(yaml.safe_dump({**entries, name: entry}))
    return registry(path)[name]


def stored(module: torch.nn.Module, **changes: Tensor | None) -> bytes:
    tensors = {**module.state_dict(), **changes}
    return safetensors.torch.save({k: v.contiguous().half() for k, v in tensors.items() if v is not None})


# --- files ---


def change(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: change(data, len(data) - 5),
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"<html>quota exceeded</html>",
        lambda data: b"",
    ],
)
def test_a_damaged_file_is_refused_before_it_is_parsed(
    home: Path, prior: StyleGAN2, damage: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = stored(prior)
    entry = register(home, data)
    (home / "weights/tiny.safetensors").write_bytes(damage(data))

    def parse(data: bytes) -> dict[str, Tensor]:
        raise AssertionError("parsed")

    monkeypatch.setattr(weights, "parse_safetensors", parse)
    with pytest.raises(BadCheckpoint, match="tiny"):
        weights.tensors_of(entry)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers_are_refused_even_with_the_right_hash(home: Path, name: str) -> None:
    entry = register(home, HOSTILE[name])
    start = time.perf_counter()
    with pytest.raises(BadCheckpoint, match="tiny"):
        weights.tensors_of(entry)
    assert time.perf_counter() - start < 0.25


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"const": torch.full((16, 4, 4), float("nan"))}, "const"),
        ({"convs.3.bias": None}, "convs.3.bias"),
        ({"extra.weight": torch.zeros(1)}, "extra.weight"),
        ({"rgbs.2.weight": torch.zeros(3, 5, 1, 1)}, "rgbs.2.weight"),
        ({"w_avg": torch.zeros(3, 32)}, "w_avg"),
    ],
)
def test_right_hash_but_wrong_content_names_the_key(
    home: Path, prior: StyleGAN2, changes: dict[str, Tensor | None], says: str
) -> None:
    register(home, stored(prior, **changes))
    with pytest.raises(BadCheckpoint, match=says):
        hub.load("tiny", "cpu")
    assert len(hub.models) == 0


# --- models ---


def test_load_assembles_the_model_and_keeps_it(home: Path, prior: StyleGAN2, discriminator: Discriminator) -> None:
    entry = register(home, stored(prior))
    discriminator_entry = {"kind": "discriminator", "architecture": "stylegan2-discriminator", "generator": "tiny"}
    register(home, stored(discriminator), "tiny-d", **discriminator_entry)
    model = hub.load("tiny", "cpu", "float32")
    assert model.prior is not None and model.sha256 == entry.sha256 and model.resolution == 32
    assert model.discriminator is not None and model.predictor is None and model.identity is None
    z = torch.randn(2, prior.z_dim)
    assert (model.prior(z) - prior(z)).abs().max() < 0.02  # stored in half precision
    networks = (model.prior, model.discriminator)
    assert not any(p.requires_grad or p.dtype != torch.float32 for m in networks for p in m.parameters())
    assert hub.load("tiny", "cpu", "float32") is model
    assert hub.load("tiny", "cpu", "bfloat16").prior.compute_dtype == torch.bfloat16  # type: ignore[union-attr]


def test_many_threads_load_one_model(home: Path, prior: StyleGAN2) -> None:
    register(home, stored(prior))
    with ThreadPoolExecutor(8) as threads:
        models = list(threads.map(lambda _: hub.load("tiny", "cpu"), range(16)))
    assert all(model is models[0] for model in models)


def test_a_failed_load_is_one_line(home: Path, prior: StyleGAN2) -> None:
    register(home, stored(prior))
    for arguments, says in (
        (("huge", "cpu"), "Choose one of: tiny"),
        (("tiny", "tpu"), "Unknown device"),
        (("tiny", "cpu", "int8"), "Unknown dtype"),
    ):
        with pytest.raises(HubError, match=says):
            hub.load(*arguments)
    (home / "weights/tiny.safetensors").unlink()
    with pytest.raises(BadCheckpoint, match="missing"):
        hub.load("tiny", "cpu")
    register(home, stored(prior), resolution=64)
    with pytest.raises(BadCheckpoint, match="32 pixels"):
        hub.load("tiny", "cpu")


def test_a_failed_load_can_be_tried_again(home: Path, prior: StyleGAN2) -> None:
    data = stored(prior)
    register(home, data)
    (home / "weights/tiny.safetensors").write_bytes(b"half a file")
    with pytest.raises(BadCheckpoint):
        hub.load("tiny", "cpu")
    (home / "weights/tiny.safetensors").write_bytes(data)
    assert hub.load("tiny", "cpu").prior is not None


def test_the_least_recently_used_model_is_dropped(
    home: Path, prior: StyleGAN2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.models, "size", 2)
    for name in ("one", "two", "three"):
        register(home, stored(prior), name)
    one, two = hub.load("one", "cpu"), weakref.ref(hub.load("two", "cpu"))
    assert hub.load("one", "cpu") is one
    settle()
    hub.load("three", "cpu")
    try:
        assert hub.load("one", "cpu") is one
        assert two() is None
    finally:
        gc.unfreeze()


def test_models_are_dropped_until_a_gpu_has_room(home: Path, prior: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that has room for two models, of 10 bytes each."""
    monkeypatch.setattr(
        hub.devices, "is_short_of", lambda device, need: device.type == "cpu" and 10 * len(hub.models) + need > 20
    )
    monkeypatch.setattr(hub, "weight_bytes", {"one": 10, "two": 10, "three": 10, "huge": 1000}.__getitem__)
    for name in ("one", "two", "three", "huge"):
        register(home, stored(prior), name)
    one, two = hub.load("one", "cpu"), hub.load("two", "cpu")
    assert hub.load("one", "cpu") is one and hub.load("two", "cpu") is two
    three = hub.load("three", "cpu")
    assert len(hub.models) == 2 and hub.load("two", "cpu") is two and hub.load("three", "cpu") is three
    assert hub.load("one", "cpu") is not one
    hub.load("huge", "cpu")
    assert len(hub.models) == 1, "it is tried with all memory that there is"
