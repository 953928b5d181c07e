"""Files that users of the page add: only where the host allows it, with progress, cancel and clear refusals."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import ada
from helpers.checkpoints import in_process, own_folder
from helpers.foreign import small, write, write_nvidia

from inversion.checkpoints import convert, fetch, hub, own, store
from inversion.checkpoints.places import VARIABLE
from inversion.checkpoints.registry import HubError, Kind, registry
from inversion.common.errors import UserError
from inversion.serving import additions, catalogue, host
from inversion.serving.additions import Adding, Additions, Facts, Upload

__all__ = ["in_process", "own_folder"]  # fixtures
pytestmark = pytest.mark.usefixtures("own_folder")
VISITOR = "someone"


def snapshot(path: Path) -> Path:
    """A tiny generator of the user's."""
    return write_nvidia(path, {"G_ema": ada.weights()})


def last(views: Iterator[Adding]) -> Adding:
    """The view of an addition that is over."""
    *_, view = views
    return view


def test_a_file_is_added_listed_and_removed(tmp_path: Path, in_process: list[str]) -> None:
    adds, path = Additions(True), snapshot(tmp_path / "mine.pkl")
    view = last(adds.add(VISITOR, Upload(path, facts=Facts(domain="cats", licence="CC0")), every=0.01))
    assert view.over and view.name.startswith("mine-") and not path.exists()  # the upload is not kept
    card = catalogue.models()[view.name]
    assert (card.own, card.domain, card.licence) == (True, "cats", "CC0")
    assert adds.remove(view.name) == [view.name] and view.name not in registry()


@pytest.mark.weights
def test_what_does_not_fit_its_model_is_refused_at_once(tmp_path: Path, in_process: list[str]) -> None:
    encoder = {f"encoder.{key}": value for key, value in small("psp_encoder_n8").items()}
    torch.save({"state_dict": encoder}, tmp_path / "e.pt")
    np.save(tmp_path / "d.npy", np.ones((1, 77), np.float32))
    for path, kind in ((tmp_path / "e.pt", "encoder"), (tmp_path / "d.npy", "directions")):
        with pytest.raises(UserError, match=rf"{path.name} does not fit synthetic-faces: .*(styles|numbers)"):
            last(Additions(True).add(VISITOR, Upload(path, kind, "synthetic-faces")))  # type: ignore[arg-type]
    assert not own.own()
    np.save(tmp_path / "d.npy", np.ones((1, 256), np.float32))
    assert (
        last(Additions(True).add(VISITOR, Upload(tmp_path / "d.npy", "directions", "synthetic-faces"))).name
        in own.own()
    )


@pytest.mark.parametrize("kind", ["encoder", "directions"])
def test_what_is_added_before_its_model_is_checked_with_it(
    kind: Kind, tmp_path: Path, in_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = {f"encoder.{key}": value for key, value in small("psp_encoder_n8").items()}
    torch.save({"state_dict": encoder}, tmp_path / "e.pt")
    np.save(tmp_path / "d.npy", np.ones((1, 77), np.float32))
    path, owner = tmp_path / ("e.pt" if kind == "encoder" else "d.npy"), "synthetic-faces"
    with monkeypatch.context() as absent:
        absent.setattr(fetch, "cached", lambda entry: None)
        name = own.add_file(path, kind, owner)
        assert own.own()[name].note.endswith(own.UNCHECKED)
    model = hub.load(owner, "cpu")
    if kind == "encoder":
        with pytest.raises(HubError, match=f"^{name}: .* {owner} has 12 of 256: .* --remove {name}"):
            model.encoders["psp"]
    assert model.encoders["e4e"] and not any(one in model.directions for one in (name, path.stem))
    assert fetch.damage(registry()[name])  # the Models tab shows it
    with pytest.raises(HubError, match=f"{path.name} does not fit {owner}"):
        own.add_file(path, kind, owner)
    hub.models.clear()
    assert not own.own() and hub.load(owner, "cpu").encoders["psp"]


def test_a_page_that_others_open_takes_no_files(tmp_path: Path) -> None:
    adds, path = Additions(False), snapshot(tmp_path / "mine.pkl")
    for refused in (lambda: last(adds.add(VISITOR, Upload(path))), lambda: adds.remove("x")):
        with pytest.raises(UserError, match="switched off"):
            refused()
    assert path.exists() and not own.own()


@pytest.mark.parametrize(
    ("share", "variables", "local"),
    [
        (False, {}, True),
        (False, {"GRADIO_SERVER_NAME": "localhost"}, True),
        (True, {}, False),
        (False, {"GRADIO_SERVER_NAME": "0.0.0.0"}, False),  # noqa: S104 - not bound here
        (False, {"SPACE_ID": "someone/space"}, False),
        (False, {"SPACES_ZERO_GPU": "true"}, False),
    ],
)
def test_only_a_page_of_this_machine_is_local(
    share: bool, variables: dict[str, str], local: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GRADIO_SERVER_NAME", "SPACE_ID", "SPACES_ZERO_GPU"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert host.only_local(share) == local


def test_a_cancelled_conversion_ends_its_child_at_once(tmp_path: Path) -> None:
    adds, path = Additions(True), snapshot(tmp_path / "mine.pkl")
    began = time.monotonic()
    views = []
    for view in adds.add(VISITOR, Upload(path), every=0.05):
        views.append(view)
        assert view.over or adds.cancel(VISITOR)
    assert views[-1].over and not views[-1].name and time.monotonic() - began < 3
    assert not own.own() and not adds.cancel(VISITOR) and not list(store.folder().glob("*.safetensors"))


def test_any_error_of_a_watch_ends_the_child(tmp_path: Path) -> None:
    def watch() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert.inspect(write("rosinality", tmp_path / "g.pt"), limits=convert.Limits(watch=watch))


def test_wrong_uploads_are_refused_in_plain_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: list[str]
) -> None:
    adds = Additions(True)
    (tmp_path / "page.pkl").write_text("<html>")
    (tmp_path / "photo.png").write_bytes(b"x")
    for name, says in (("page.pkl", "web page"), ("photo.png", "no checkpoint"), ("gone.pt", "expired")):
        with pytest.raises(UserError, match=says):
            last(adds.add(VISITOR, Upload(tmp_path / name)))
    assert not (tmp_path / "page.pkl").exists() and (tmp_path / "photo.png").exists()
    path = snapshot(tmp_path / "large.pkl")
    monkeypatch.setattr(additions, "MAX_BYTES", 10)
    with pytest.raises(UserError, match="larger than"):
        last(adds.add(VISITOR, Upload(path)))
    monkeypatch.undo()
    os.environ[VARIABLE] = str(tmp_path / "derived")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=0))
    with pytest.raises(UserError, match="disk is too full"):
        last(adds.add(VISITOR, Upload(snapshot(tmp_path / "g.pkl"))))
