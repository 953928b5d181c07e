"""Official files from a local Hub: fetched, converted once, opened and assembled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import foreign
from helpers.checkpoints import in_process
from helpers.local_hub import Workplace, workplace
from helpers.official import expected, picture, same

from inversion.__main__ import main
from inversion.checkpoints import convert, fetch, hub, store, weights
from inversion.checkpoints.registry import BadCheckpoint, HubError, registry

__all__ = ["in_process", "workplace"]  # fixtures


def test_a_file_from_another_process_is_used_at_once(workplace: Workplace, in_process: list[str]) -> None:
    owner = workplace.add_official("rosinality")
    unknown = {"repo_id": None, "revision": None, "sha256": None, "bytes": None, "note": "sha256 is unknown"}
    entry = workplace.add(
        "by-hand", b"", kind="discriminator", architecture="stylegan2-discriminator", generator=owner, **unknown
    )
    assert hub.load(owner, "cpu").absent == {"by-hand": "not cached"}
    path = foreign.write("rosinality-discriminator", workplace.path.with_name("got.pt"))
    contents = convert.convert(path, store.converted(store.digests.of(path)))
    store.seal(store.converted(contents.sha256))
    store.learn(entry, contents.sha256, contents.bytes)
    model = hub.load(owner, "cpu")
    assert model.absent == {} and model.discriminator is not None


def test_a_downloaded_file_is_converted_only_once(workplace: Workplace) -> None:
    name = workplace.add_official("nvidia")
    model = hub.load(name, "cpu", "float32")
    same(picture(model), expected("nvidia", model))
    assert model.discriminator is not None
    entry = registry()[name]
    copy = store.converted(str(entry.sha256))
    assert model.sha256 == entry.sha256 and store.intact(copy) and fetch.verify(entry) == "ok"
    before = copy.stat().st_mtime_ns
    hub.models.clear()
    same(picture(hub.load(name, "cpu", "float32")), picture(model))
    assert copy.stat().st_mtime_ns == before


def test_a_damaged_converted_copy_is_replaced(workplace: Workplace, in_process: list[str]) -> None:
    name = workplace.add_official("rosinality")
    entry = registry()[name]
    good = picture(hub.load(name, "cpu", "float32"))
    copy = store.converted(str(entry.sha256))
    data = copy.read_bytes()
    copy.unlink()  # not in place, because the first model still reads it
    copy.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
    assert "converted copy" in fetch.verify(entry)
    hub.models.clear()
    same(picture(hub.load(name, "cpu", "float32")), good)
    assert in_process == ["weights.pt"] * 2 and fetch.verify(entry) == "ok"


def test_missing_files_are_listed_and_block_nothing(workplace: Workplace, in_process: list[str]) -> None:
    owner = workplace.add_official("psp")
    workplace.add_official("rosinality-discriminator")
    workplace.add_official("torchvision")
    entries = registry()
    workplace.add("stray", b"not an array" * 9, kind="directions", architecture="directions", generator=owner)
    fetch.fetch(registry()["stray"])
    model = hub.load(owner, "cpu")
    assert list(model.encoders) == [] and model.absent["psp"] == model.absent["torchvision"] == "not cached"
    assert "stray" in model.absent and "no array with rows of 128 numbers" in model.absent["stray"]
    assert "rosinality-discriminator" not in model.absent  # it belongs to another generator
    assert len(workplace.local.gets()) == 2
    fetch.fetch(entries["psp"])
    hub.models.clear()
    assert list(hub.load(owner, "cpu").encoders) == ["psp"]


def test_encoders_are_opened_at_first_use(
    workplace: Workplace, in_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = workplace.add_official("psp")
    fetch.fetch(registry()["psp"])
    opened: list[str] = []
    real = weights.networks_of
    monkeypatch.setattr(weights, "networks_of", lambda entry: opened.append(entry.name) or real(entry))
    model = hub.load(owner, "cpu")
    assert "psp" in model.encoders and "e4e" not in model.encoders and len(model.encoders) == 1
    assert opened == [owner]
    assert model.encoders["psp"] is model.encoders["psp"]
    assert opened == [owner, "psp"]
    with pytest.raises(KeyError):
        model.encoders["e4e"]


def test_a_bad_file_leaves_nothing_and_other_models_work(workplace: Workplace, in_process: list[str]) -> None:
    good = workplace.add_official("rosinality")
    workplace.add("broken", b"<html>quota</html>" * 100)
    workplace.add("alien", foreign.write("arcface", workplace.path.with_name("a")).read_bytes())
    workplace.add("small", workplace.local.files["somebody/rosinality", "weights.pt"], resolution=32)
    workplace.add("other", workplace.local.files["somebody/rosinality", "weights.pt"], architecture="pggan")
    for name, says in (
        ("broken", "broken: .*web page"),
        ("alien", "alien: weights.pt holds no generator"),
        ("small", "small: it makes 64 pixels, the registry says 32"),
        ("other", "other: its file does not hold the network pggan of the registry"),
    ):
        with pytest.raises(HubError, match=says) as caught:
            hub.load(name, "cpu")
        assert "\n" not in str(caught.value)
    assert len(hub.models) == 0 and workplace.leftovers() == []
    picture(hub.load(good, "cpu"))


def test_an_encoder_of_another_generator_is_refused(workplace: Workplace, in_process: list[str]) -> None:
    owner = workplace.add_official("rosinality")
    data = foreign.write("psp", workplace.path.with_name("psp")).read_bytes()
    entry = workplace.add("psp", data, kind="encoder", architecture="psp", role="psp", generator=owner)
    fetch.fetch(entry)
    model = hub.load(owner, "cpu")
    with pytest.raises(BadCheckpoint, match="psp: it makes 8 styles of 128 numbers, .* rosinality has 10 of 128"):
        model.encoders["psp"]
    picture(model)


def test_directions_come_as_plain_arrays(workplace: Workplace, in_process: list[str]) -> None:
    owner = workplace.add_official("rosinality")
    pose = np.arange(1280, dtype=np.float32).reshape(10, 128)  # a row for every style
    cases = {"smile": np.ones((1, 128)), "pose": pose, "wide": np.ones(64), "objects": np.array([{}], object)}
    for name, array in cases.items():
        path = workplace.path.with_name(f"{name}.npy")
        np.save(path, array)
        what = {"kind": "directions", "architecture": "directions", "format": "numpy", "generator": owner}
        fetch.fetch(workplace.add(name, path.read_bytes(), **what))
    model = hub.load(owner, "cpu")
    assert list(model.directions) == ["smile", "pose"]
    torch.testing.assert_close(model.directions["smile"].rows, torch.full((1, 128), 128**-0.5))
    torch.testing.assert_close(model.directions["pose"].rows, torch.from_numpy(pose / np.linalg.norm(pose)))
    assert set(model.absent) == {"wide", "objects"}


def test_a_manually_downloaded_direction_is_used_once_converted(workplace: Workplace, in_process: list[str]) -> None:
    owner = workplace.add_official("rosinality")
    what = {"kind": "directions", "architecture": "directions", "generator": owner, "note": "sha256 is unknown"}
    workplace.add("age", b"", **what, **dict.fromkeys(("repo_id", "revision", "sha256", "bytes")))
    assert hub.load(owner, "cpu").directions == {}
    torch.save(torch.ones(1, 128), path := workplace.path.with_name("age.pt"))
    assert main(["convert", str(path), "--as", "age"]) == 0
    model = hub.load(owner, "cpu")
    assert model.absent == {}
    torch.testing.assert_close(model.directions["age"].rows, torch.full((1, 128), 128**-0.5))


def test_the_first_available_of_several_is_used(workplace: Workplace, in_process: list[str]) -> None:
    owner = workplace.add_official("arcface")
    data = workplace.local.files["somebody/arcface", "weights.pt"]
    second = workplace.add("arcface-2", data, kind="identity", architecture="arcface")
    fetch.fetch(second)
    model = hub.load(owner, "cpu")
    assert model.identity is not None and model.absent == {"arcface": "not cached"}


def test_a_manual_download_works_after_its_conversion(workplace: Workplace, in_process: list[str]) -> None:
    path = foreign.write("genforce-pggan", workplace.path.with_name("got.pth"))
    unknown = {"repo_id": None, "revision": None, "sha256": None, "bytes": None, "note": "sha256 is unknown"}
    entry = workplace.add("tiny", b"", architecture="pggan", **unknown)
    with pytest.raises(HubError, match="convert weights.pt --as tiny"):
        hub.load("tiny", "cpu")
    contents = convert.convert(path, store.converted(store.digests.of(path)))
    store.seal(store.converted(contents.sha256))
    store.learn(entry, contents.sha256, contents.bytes)
    assert fetch.verify(entry) == "ok" and fetch.cached(entry) == store.converted(contents.sha256)
    model = hub.load("tiny", "cpu", "float32")
    same(picture(model), expected("genforce-pggan", model))
    assert model.sha256 == contents.sha256
    path.unlink()
    hub.models.clear()
    picture(hub.load("tiny", "cpu"))  # without the original file
