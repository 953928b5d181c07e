"""Official files in the app and on the command line: downloaded, run, renewed if damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from helpers.checkpoints import in_process
from helpers.local_hub import OFFICIAL, Workplace, workplace
from helpers.official import expected, picture, same
from helpers.serving import free_port
from PIL import Image

from inversion.__main__ import main
from inversion.checkpoints import fetch, hub, store, weights
from inversion.checkpoints.registry import registry
from inversion.encoders import Encoder
from inversion.model import Model
from inversion.perception import LPIPS
from inversion.perception.networks import KerasVGG16
from inversion.serving.jobs import RunView
from inversion.serving.runs import Request
from inversion.serving.session import Session
from ui import build, launch_options
from ui.tabs.models import button, describe

__all__ = ["in_process", "workplace"]  # fixtures


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
    assert session.files.card(name).cached, session.files.card(name).download


def run_one(session: Session, model: str, method: str, **settings: float) -> RunView:
    """One method on the photo, to its end."""
    given = {f"{method}.{name}": value for name, value in settings.items()}
    *_, last = session.follow(session.submit([Request("reconstruct", method, PHOTO, model, given)]), every=0.01)
    return last.runs[0]


@pytest.mark.parametrize("layout", OFFICIAL)
def test_every_official_layout_makes_a_picture_in_the_app(
    workplace: Workplace, layout: str, in_process: list[str], session: Session
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
    """The network in the layout's file works, and the run's row shows it."""
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
            torch.testing.assert_close(model.perceptual(x, -x), LPIPS(network)(x, -x), rtol=1e-4, atol=1e-6)
        assert model.perceptual(x, x).item() == 0 and model.perceptual(x, -x).item() > 0
    else:
        (encoder,) = model.encoders.values()
        assert isinstance(encoder, Encoder) and encoder.num_ws == model.prior.num_ws  # type: ignore[union-attr]


def test_an_official_file_makes_a_picture_on_the_page(
    workplace: Workplace, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.add_official("nvidia")
    data = workplace.local.files["somebody/nvidia", "weights.pt"]
    workplace.add("synthetic-faces", data, format="nvidia-pickle")  # what the page offers first
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = build(session)
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


def test_a_download_for_an_open_model_is_used_at_once(
    workplace: Workplace, in_process: list[str], session: Session
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


def damage(workplace: Workplace, name: str) -> Callable[[], bool]:
    """Flip a bit of a cached file; returns whether the file is whole again."""
    path = fetch.cached(registry()[name])
    assert path is not None
    good = path.read_bytes()
    path.resolve().write_bytes(good[:-5] + bytes([good[-5] ^ 1]) + good[-4:])
    return lambda: path.read_bytes() == good


@pytest.mark.parametrize("name", ["psp", "psp-decoder"])
def test_a_damaged_file_is_named_and_can_be_renewed(
    workplace: Workplace, in_process: list[str], session: Session, name: str
) -> None:
    owner = workplace.add_official("psp")
    for each in (owner, "psp"):
        get(session, each)
    whole = damage(workplace, name)
    assert session.files.card(name).damage == ""  # not read yet
    run = run_one(session, owner, "psp")
    assert run.state == "failed" and name in run.message and "Models tab" in run.message
    assert "is not the registered file" in session.files.card(name).damage
    assert {card.entry.name for card in session.files.cards() if card.damage} == {name}
    card = session.files.card(name)
    assert "damaged: the file is not the registered file" in describe(card)
    assert button(card) == "Download again"
    get(session, name)
    assert "damaged" not in describe(session.files.card(name)) and not button(session.files.card(name))
    assert whole() and session.files.card(name).damage == "" and fetch.verify(registry()[name]) == "ok"
    run = run_one(session, owner, "psp")
    assert run.state == "done", run.message


# --- command line ---


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    try:
        status = main(list(argv))
    except SystemExit as end:
        status = int(end.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


def test_models_pulls_and_checks(
    workplace: Workplace, in_process: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_a_failed_pull_is_one_line(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    name = workplace.add_official("rosinality")
    workplace.local.mode = "gated"
    for argv, says in ((("--pull", "huge"), "unknown entry 'huge'"), (("--pull", name), "is gated")):
        status, out, err = run(capsys, "models", *argv)
        assert status == 2 and out == "" and says in err and err.count("\n") == 1
    assert run(capsys, "models", "--pull", name, "--check")[0] == 2
