"""Official files, from a Hub on this machine to a picture: fetched, converted once, opened, put together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import foreign
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from local_hub import OFFICIAL, Workplace, workplace
from PIL import Image
from serving import free_port
from torch import Tensor

from inversion.__main__ import main
from inversion.checkpoints import convert, fetch, hub, layouts, store, weights
from inversion.checkpoints.registry import BadCheckpoint, HubError, registry
from inversion.checkpoints.unpickle import Refused
from inversion.encoders import Encoder
from inversion.generators import StateDictError
from inversion.model import Model
from inversion.perception.networks import KerasVGG16
from inversion.serving.jobs import RunView
from inversion.serving.lane import Request
from inversion.serving.session import Session
from ui import TABS, build, launch_options
from ui.tabs.models import button, describe

__all__ = ["workplace"]  # a fixture


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Convert in this process, which the child's own tests make unnecessary to wait for; lists what was converted."""
    converted: list[str] = []

    def work(path: Path, out: Path | None, encoder: str | None, limits: object) -> convert.Contents:
        converted.append(path.name)
        try:
            return convert.transcribe(str(path), None if out is None else str(out), encoder)
        except (Refused, StateDictError) as error:
            raise BadCheckpoint(f"{path.name}: {error}") from None

    monkeypatch.setattr(convert, "_in_child", work)
    yield converted


def picture(model: Model) -> Tensor:
    """A picture of the model, checked for what every picture is."""
    assert model.prior is not None
    z = torch.randn(1, model.prior.z_dim, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        x = model.prior.synthesis(model.prior.mapping(z))
    assert x.shape == (1, 3, model.resolution, model.resolution) and bool(x.isfinite().all()) and float(x.std()) > 0
    return x


def expected(layout: str, like: Model) -> Tensor:
    """The same picture of the generator as the layout's own reader makes it."""
    (prior,) = (found.build() for found in layouts.networks(foreign.checkpoint(layout)) if found.kind == "generator")
    return picture(Model("direct", prior.freeze(torch.float32), like.resolution))  # type: ignore[operator]


def same(a: Tensor, b: Tensor) -> None:
    """Equal but for what the place of a tensor in memory does to its rounding."""
    torch.testing.assert_close(a, b, rtol=0, atol=1e-4 * float(b.abs().max()))


# --- in the app ---

PHOTO = np.random.default_rng(8).integers(0, 256, (48, 40, 3), np.uint8)


@pytest.fixture
def session() -> Iterator[Session]:
    """The app's own, on this registry and Hub."""
    running = Session("cpu", "float32", budget=120.0)
    yield running
    running.close()


def get(session: Session, name: str) -> None:
    """Press the entry's button in the Models tab and wait."""
    session.files.download(name, "visitor")
    for _ in session.files.follow(name, "visitor", every=0.01):
        pass
    assert session.files.card(name)["cached"], session.files.card(name)["download"]


def run_one(session: Session, model: str, method: str, **settings: float) -> RunView:
    """One method on the photo, to its end."""
    given = {f"{method}.{name}": value for name, value in settings.items()}
    *_, last = session.follow(session.submit([Request("reconstruct", method, PHOTO, model, given)]), every=0.01)
    return last.runs[0]


@pytest.mark.parametrize("layout", OFFICIAL)
def test_every_official_layout_ends_as_a_picture_in_the_app(
    workplace: Workplace, layout: str, at_once: list[str], session: Session
) -> None:
    owner = workplace.add_official(layout)
    entries = registry()
    kind, side = entries[layout].kind, entries[owner].resolution
    if layout != owner:
        get(session, layout)
    method, settings = "w" if entries[owner].architecture == "stylegan2" else "z", {"steps": 1.0}
    if kind == "encoder":
        method, settings = entries[layout].role or "", settings if layout == "idinvert-encoder" else {}
    run = run_one(session, owner, method, **settings)
    assert run.state == "done", run.message
    assert run.image is not None and run.image.shape == (side, side, 3) and run.image.std() > 0
    row = run.row or {}
    assert row["model"] == owner and row["sha256"] == entries[owner].sha256 and row["psnr"] > 0
    model = hub.load(owner, "cpu", "float32")
    assert model.resolution == side and model.absent == {} and workplace.leftovers() == []
    assert not any(p.requires_grad for p in model.prior.parameters())  # type: ignore[union-attr]
    with torch.no_grad():
        check_attached(layout, model, row)


def check_attached(layout: str, model: Model, row: Mapping[str, Any]) -> None:
    """What the layout's file holds works, and the run's row tells of it."""
    x, kind = picture(model), registry()[layout].kind
    if kind == "generator":
        same(x, expected(layout, model))
    elif kind == "discriminator":
        assert model.discriminator is not None and model.discriminator(x).shape == (1,)
        assert row["perceptual_loss"] == "discriminator"
    elif kind == "identity":
        assert model.identity is not None and row["identity"] is not None
        assert model.identity(x).norm(dim=1).item() == pytest.approx(1.0, abs=1e-4)
    elif layout == "idinvert-vgg16":
        network = weights.networks_of(registry()[layout])["perceptual"]
        assert isinstance(network, KerasVGG16) and network(x).shape[2] == model.resolution // 8
        assert model.perceptual is None and model.features is not None and model.features.name == "keras-vgg16"
        error = (network(x) - network(-x)).square().mean()
        assert 0.1 * model.features(x, -x).item() == pytest.approx(5e-5 * error.item(), rel=1e-4)
    elif kind == "perceptual":
        assert model.perceptual is not None and model.perceptual.name == row["perceptual_loss"] == "lpips"
        network = weights.networks_of(registry()[layout])["perceptual"]
        if layout == "torchvision":  # with the published heads; those of the small file may be negative
            torch.testing.assert_close(model.perceptual(x, -x), network(x, -x), rtol=1e-4, atol=1e-6)
        assert model.perceptual(x, x).item() == 0 and model.perceptual(x, -x).item() > 0
    else:
        (encoder,) = model.encoders.values()
        assert isinstance(encoder, Encoder) and encoder.num_ws == model.prior.num_ws  # type: ignore[union-attr]


def test_an_official_file_ends_as_a_picture_on_the_page(
    workplace: Workplace, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.add_official("nvidia")
    data = workplace.local.files["somebody/nvidia", "weights.pt"]
    workplace.add("synthetic-faces", data, format="nvidia-pickle")  # what the page offers first
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = build(session, TABS)
    port = free_port()
    _, url, _ = page.launch(
        prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", server_port=port, **launch_options()
    )
    try:
        client = Client(url, verbose=False, download_files=str(tmp_path / "got"))
        rows, pictures, _ = client.predict(
            picture=handle_file(tmp_path / "photo.png"),
            methods=["w"],
            model="nvidia",
            settings={"w.steps": 1},
            api_name="/reconstruct",
        )
    finally:
        page.close()
    assert rows[0]["state"] == "done" and rows[0]["model"] == "nvidia", rows
    with Image.open(pictures[0]["image"]) as picture_:
        assert picture_.size == (64, 64) and np.asarray(picture_).std() > 0


def test_what_is_downloaded_for_an_open_model_counts_at_once(
    workplace: Workplace, at_once: list[str], session: Session
) -> None:
    owner = workplace.add_official("psp")
    workplace.add_official("arcface")
    workplace.add("again", workplace.local.files["somebody/psp", "weights.pt"], resolution=32, crop="ffhq")
    assert run_one(session, owner, "w", steps=1).state == "done" and "psp" in session.unavailable(owner).methods
    before = hub.load(owner, "cpu", "float32")
    failed = run_one(session, owner, "psp")
    assert failed.state == "failed" and "psp" in failed.message
    get(session, "psp")
    assert "psp" not in session.unavailable(owner).methods
    run = run_one(session, owner, "psp")
    assert run.state == "done", run.message
    after = hub.load(owner, "cpu", "float32")
    assert after.prior is before.prior  # the generator is not opened again
    assert "psp" not in before.encoders and after is hub.load(owner, "cpu", "float32")
    assert run_one(session, "again", "w", steps=1).row["identity"] is None  # type: ignore[index]
    get(session, "arcface")  # serves every model of aligned faces
    assert run_one(session, "again", "w", steps=1).row["identity"] is not None  # type: ignore[index]


def test_what_another_process_brings_counts_at_once(workplace: Workplace, at_once: list[str]) -> None:
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


def damage(workplace: Workplace, name: str) -> Callable[[], bool]:
    """Flip a bit of a cached file; returns whether the file is whole again."""
    path = fetch.cached(registry()[name])
    assert path is not None
    good = path.read_bytes()
    path.resolve().write_bytes(good[:-5] + bytes([good[-5] ^ 1]) + good[-4:])
    return lambda: path.read_bytes() == good


@pytest.mark.parametrize("name", ["psp", "psp-decoder"])
def test_a_damaged_file_is_named_and_can_be_renewed(
    workplace: Workplace, at_once: list[str], session: Session, name: str
) -> None:
    owner = workplace.add_official("psp")
    for each in (owner, "psp"):
        get(session, each)
    whole = damage(workplace, name)
    assert session.files.card(name)["damage"] == ""  # nobody has read it yet
    run = run_one(session, owner, "psp")
    assert run.state == "failed" and name in run.message and "Models tab" in run.message
    assert "is not the registered file" in session.files.card(name)["damage"]
    assert {card["name"] for card in session.files.cards() if card["damage"]} == {name}
    card = session.files.card(name)
    assert "damaged: it is not the registered file" in describe(card)
    assert button(card) == "Download again"
    get(session, name)
    assert "damaged" not in describe(session.files.card(name)) and not button(session.files.card(name))
    assert whole() and session.files.card(name)["damage"] == "" and fetch.verify(registry()[name]) == "ok"
    run = run_one(session, owner, "psp")
    assert run.state == "done", run.message


def test_the_child_converts_once(workplace: Workplace) -> None:
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


def test_a_damaged_converted_copy_is_found_and_made_again(workplace: Workplace, at_once: list[str]) -> None:
    name = workplace.add_official("rosinality")
    entry = registry()[name]
    good = picture(hub.load(name, "cpu", "float32"))
    copy = store.converted(str(entry.sha256))
    data = copy.read_bytes()
    copy.unlink()  # not in place: the first model still reads it
    copy.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
    assert "converted copy" in fetch.verify(entry)
    hub.models.clear()
    same(picture(hub.load(name, "cpu", "float32")), good)
    assert at_once == ["weights.pt"] * 2 and fetch.verify(entry) == "ok"


def test_what_is_not_at_hand_is_listed_and_blocks_nothing(workplace: Workplace, at_once: list[str]) -> None:
    owner = workplace.add_official("psp")
    workplace.add_official("rosinality-discriminator")
    workplace.add_official("torchvision")
    entries = registry()
    workplace.add("stray", b"not an array" * 9, kind="directions", architecture="directions", generator=owner)
    fetch.fetch(registry()["stray"])
    model = hub.load(owner, "cpu")
    assert list(model.encoders) == [] and model.absent["psp"] == model.absent["torchvision"] == "not cached"
    assert "stray" in model.absent and "not a plain array" in model.absent["stray"]
    assert "rosinality-discriminator" not in model.absent  # it belongs to another generator
    assert len(workplace.local.gets()) == 2
    fetch.fetch(entries["psp"])
    hub.models.clear()
    assert list(hub.load(owner, "cpu").encoders) == ["psp"]


def test_encoders_are_opened_when_asked_for(
    workplace: Workplace, at_once: list[str], monkeypatch: pytest.MonkeyPatch
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


def test_a_bad_file_leaves_nothing_and_the_others_working(workplace: Workplace, at_once: list[str]) -> None:
    good = workplace.add_official("rosinality")
    workplace.add("broken", b"<html>quota</html>" * 100)
    workplace.add("alien", foreign.write("arcface", workplace.path.with_name("a")).read_bytes())
    workplace.add("small", workplace.local.files["somebody/rosinality", "weights.pt"], resolution=32)
    workplace.add("other", workplace.local.files["somebody/rosinality", "weights.pt"], architecture="pggan")
    for name, says in (
        ("broken", "broken: .*web page"),
        ("alien", "alien: weights.pt holds no generator"),
        ("small", "small: it makes 64 pixels, the registry says 32"),
        ("other", "other: it is a StyleGAN2, the registry says pggan"),
    ):
        with pytest.raises(HubError, match=says) as caught:
            hub.load(name, "cpu")
        assert "\n" not in str(caught.value)
    assert len(hub.models) == 0 and workplace.leftovers() == []
    picture(hub.load(good, "cpu"))


def test_an_encoder_of_another_generator_is_refused(workplace: Workplace, at_once: list[str]) -> None:
    owner = workplace.add_official("rosinality")
    data = foreign.write("psp", workplace.path.with_name("psp")).read_bytes()
    entry = workplace.add("psp", data, kind="encoder", architecture="psp", role="psp", generator=owner)
    fetch.fetch(entry)
    model = hub.load(owner, "cpu")
    with pytest.raises(BadCheckpoint, match="psp: its 8 styles do not fit the generator rosinality"):
        model.encoders["psp"]
    picture(model)


def test_directions_come_as_plain_arrays(workplace: Workplace, at_once: list[str]) -> None:
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


def test_a_direction_got_by_hand_counts_once_it_is_converted(workplace: Workplace, at_once: list[str]) -> None:
    owner = workplace.add_official("rosinality")
    what = {"kind": "directions", "architecture": "directions", "generator": owner, "note": "sha256 is unknown"}
    workplace.add("age", b"", **what, **dict.fromkeys(("repo_id", "revision", "sha256", "bytes")))
    assert hub.load(owner, "cpu").directions == {}
    torch.save(torch.ones(1, 128), path := workplace.path.with_name("age.pt"))
    assert main(["convert", str(path), "--as", "age"]) == 0
    model = hub.load(owner, "cpu")
    assert model.absent == {}
    torch.testing.assert_close(model.directions["age"].rows, torch.full((1, 128), 128**-0.5))


def test_the_first_of_several_that_is_at_hand_counts(workplace: Workplace, at_once: list[str]) -> None:
    owner = workplace.add_official("arcface")
    data = workplace.local.files["somebody/arcface", "weights.pt"]
    second = workplace.add("arcface-2", data, kind="identity", architecture="arcface")
    fetch.fetch(second)
    model = hub.load(owner, "cpu")
    assert model.identity is not None and model.absent == {"arcface": "not cached"}


def test_a_file_got_by_hand(workplace: Workplace, at_once: list[str]) -> None:
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
    picture(hub.load("tiny", "cpu"))  # the file itself is needed no more


# --- command line ---


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    try:
        status = main(list(argv))
    except SystemExit as end:
        status = int(end.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


def test_models_pulls_and_checks(workplace: Workplace, at_once: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    name = workplace.add_official("rosinality")
    size = len(workplace.local.files["somebody/rosinality", "weights.pt"])
    assert run(capsys, "models", "--check")[:2] == (0, "name  size  state\n")
    status, out, err = run(capsys, "models", "--pull", name)
    path = Path(out.strip())
    assert status == 0 and path.stat().st_size == size and "100%" in err
    (row,) = json.loads(run(capsys, "models", "--json")[1])
    assert row["cached"] is True and row["bytes"] == size and row["path"] == str(path) and row["grade"] == "A"
    assert "yes" in run(capsys, "models")[1]
    hub.load(name, "cpu")
    assert run(capsys, "models", "--check")[0] == 0
    copy = store.converted(store.digests.of(path))
    shutil.copy(copy, kept := copy.with_suffix(".kept"))
    copy.unlink()
    copy.write_bytes(b"x")
    status, out, _ = run(capsys, "models", "--check")
    assert status == 1 and "its converted copy" in out
    kept.replace(copy)
    path.resolve().write_bytes(b"x" * size)
    status, out, _ = run(capsys, "models", "--check", "--json")
    assert status == 1 and "is not the registered file" in json.loads(out)[0]["state"]
    assert run(capsys, "models", "--pull", name)[0] == 0
    assert run(capsys, "models", "--check")[0] == 0


def test_models_says_in_one_line_what_it_cannot_pull(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    name = workplace.add_official("rosinality")
    workplace.local.mode = "gated"
    for argv, says in ((("--pull", "huge"), "unknown entry 'huge'"), (("--pull", name), "is gated")):
        status, out, err = run(capsys, "models", *argv)
        assert status == 2 and out == "" and says in err and err.count("\n") == 1
    assert run(capsys, "models", "--pull", name, "--check")[0] == 2
