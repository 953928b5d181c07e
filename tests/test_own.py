"""The user's own files: one line adds a model, an encoder or a direction; later snapshots are other models."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import ada
from helpers.checkpoints import in_process, own_folder
from helpers.foreign import small, write, write_nvidia
from helpers.networks import same_networks
from PIL import Image
from safetensors.torch import save_file

import app
import inversion
from inversion.__main__ import main
from inversion.checkpoints import fetch, hub, own, store
from inversion.checkpoints.registry import Entry, HubError, registry
from inversion.common.errors import UserError
from inversion.common.settings import SettingError
from inversion.directions import Direction, to_tensors
from inversion.encoders import E4E
from inversion.serving import catalogue
from inversion.serving.lane import Lane
from inversion.serving.runs import Request

__all__ = ["in_process", "own_folder"]  # fixtures
pytestmark = pytest.mark.usefixtures("in_process", "own_folder")
CaptureFixture = pytest.CaptureFixture[str]
CLASSES = 5
EMBEDDED = [entry for entry in registry().values() if entry.kind == "encoder" and entry.file is not None]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small picture."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def snapshot(path: Path, seed: int = 0, classes: int = 0) -> Path:
    """A tiny generator of the user's."""
    return write_nvidia(path, {"G_ema": ada.weights(classes=classes, seed=seed)}, conv_clamp=256)  # NVIDIA's train.py


def invert(photo: Path, *arguments: object) -> int:
    """Run a method on the picture, in one line."""
    words = [*map(str, arguments), "--method", "w", "--set", "w.steps=2", "--device", "cpu", "--json"]
    return main(["invert", str(photo), *words])


def test_a_file_is_a_model_in_one_line(
    photo: Path, tmp_path: Path, capsys: CaptureFixture, in_process: list[str]
) -> None:
    path = snapshot(tmp_path / "my model.pkl")
    facts = ("--domain", "cats", "--licence", "CC0", "--crop", "none")
    assert invert(photo, "--model", path, *facts) == 0
    printed = capsys.readouterr()
    row = json.loads(printed.out)
    assert row["model"].startswith("my-model-") and row["model"] in printed.err
    assert (row["domain"], row["licence"], row["sha256"]) == ("cats", "CC0", store.digests.of(path))
    converted = len(in_process)
    assert invert(photo, "--model", path) == 0  # found again by its hash, with its facts
    again = json.loads(capsys.readouterr().out)
    assert (again["model"], again["domain"]) == (row["model"], "cats") and len(in_process) == converted
    path.unlink()  # the original is not needed any more
    hub.models.clear()
    assert invert(photo, "--model", row["model"]) == 0
    capsys.readouterr()


def test_a_later_snapshot_of_the_same_name_is_another_model(tmp_path: Path) -> None:
    first = own.add_file(snapshot(tmp_path / "g.pkl", seed=0))
    second = own.add_file(snapshot(tmp_path / "g.pkl", seed=1))
    assert first != second and list(own.own()) == [second, first]
    a, b = hub.load(first, "cpu").prior, hub.load(second, "cpu").prior
    assert a is not None and b is not None and not torch.equal(a.get_parameter("const"), b.get_parameter("const"))


def test_files_are_listed_and_removed(tmp_path: Path, capsys: CaptureFixture) -> None:
    name = own.add_file(snapshot(tmp_path / "g.pkl"))
    np.save(tmp_path / "age.npy", np.ones((1, ada.W * 4), np.float32)[:, : ada.W])
    own.add_file(tmp_path / "age.npy", "directions", name)
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows[name]["from"] == "yours" and rows[name]["cached"] and name in catalogue.models()
    assert fetch.verify(registry()[name]) == "ok"
    assert main(["models", "--remove", name]) == 0
    assert capsys.readouterr().out.count("removed: ") == 2
    assert name not in registry() and not list(store.folder().glob("*.safetensors"))
    assert main(["models", "--remove", name]) == 2
    assert "is not a file that you have added" in capsys.readouterr().err


def test_a_direction_and_an_encoder_join_a_model(photo: Path, tmp_path: Path, capsys: CaptureFixture) -> None:
    torch.save({"g_ema": small("psp_full_32_decoder"), "latent_avg": torch.ones(128)}, tmp_path / "g.pt")
    prefixed = {f"encoder.{key}": value for key, value in small("psp_encoder_n8").items()}
    torch.save({"state_dict": prefixed}, tmp_path / "e.pt")
    np.save(tmp_path / "age.npy", np.ones((1, 128), np.float32))
    name = own.add_file(tmp_path / "g.pt")
    before = hub.load(name, "cpu")
    assert "psp" not in before.encoders
    own.add_file(tmp_path / "e.pt", "encoder", name)
    own.add_file(tmp_path / "age.npy", "directions", name)
    model = hub.load(name, "cpu")
    assert list(model.directions) == ["age"] and model.prior is before.prior
    (tmp_path / "years.npy").write_bytes((tmp_path / "age.npy").read_bytes())
    assert own.add_file(tmp_path / "years.npy", "directions", name) in registry()
    assert {*hub.load(name, "cpu").directions} == {"age", "years"}  # named after its file
    assert model.prior is not None and torch.equal(model.encoders["psp"].latent_avg, model.prior.w_avg)
    flags = ("--encoder", tmp_path / "e.pt", "--direction", tmp_path / "age.npy")
    assert (
        main(
            [
                "edit",
                str(photo),
                "--model",
                str(tmp_path / "g.pt"),
                *map(str, flags),
                "--method",
                "psp",
                "--edit",
                "age=1.0",
                "--device",
                "cpu",
                "--json",
            ]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["edit"]["moves"] == {"age": 1.0}


def test_a_file_from_train_directions_joins_a_model(tmp_path: Path) -> None:
    torch.save({"g_ema": small("psp_full_32_decoder"), "latent_avg": torch.ones(128)}, tmp_path / "g.pt")
    name = own.add_file(tmp_path / "g.pt")
    row = torch.nn.functional.normalize(torch.ones(1, 128))
    fitted = [Direction(key, key, "attributes", row, 2.0, -3.0, 1.5, row, (-4.0, 4.0)) for key in ("age", "smile")]
    save_file(to_tensors(fitted), str(tmp_path / "fitted.safetensors"))
    own.add_file(tmp_path / "fitted.safetensors", "directions", name)
    found = hub.load(name, "cpu").directions
    assert len(found) == 2 and all((found[d.name].low, found[d.name].reach) == (d.low, d.reach) for d in fitted)


def test_a_role_tells_what_an_encoder_is_for(photo: Path, tmp_path: Path, capsys: CaptureFixture) -> None:
    torch.save({"g_ema": small("psp_full_32_decoder"), "latent_avg": torch.ones(128)}, tmp_path / "g.pt")
    torch.save({"state_dict": {f"encoder.{k}": v for k, v in small("psp_encoder_n8").items()}}, tmp_path / "e.pt")
    model = own.add_file(tmp_path / "g.pt")
    flags = ["--model", model, "--encoder", str(tmp_path / "e.pt"), "--device", "cpu", "--json"]
    assert main(["translate", str(photo), "--to", "toonify", *flags]) == 2
    assert "no encoder" in capsys.readouterr().err
    assert main(["translate", str(photo), "--to", "toonify", *flags, "--role", "toonify"]) == 0
    assert list(hub.load(model, "cpu").encoders) == ["toonify"]
    assert main(["translate", str(photo), "--to", "toonify", *flags]) == 0  # the role is remembered
    capsys.readouterr()
    assert invert(photo, "--role", "toonify") == 2
    assert "give it with --encoder FILE" in capsys.readouterr().err


def test_a_file_with_an_encoder_gives_both(tmp_path: Path) -> None:
    name = own.add_file(write("psp", tmp_path / "both.pt"))
    assert [entry.kind for entry in own.own().values()] == ["generator", "encoder"]
    assert "psp" in hub.load(name, "cpu").encoders


def test_wrong_files_say_what_they_are(photo: Path, tmp_path: Path, capsys: CaptureFixture) -> None:
    np.save(tmp_path / "age.npy", np.ones((1, 128), np.float32))
    (tmp_path / "page.pkl").write_text("<html>")
    os.mkfifo(tmp_path / "pipe.pt")
    for file, says in (
        ("age.npy", "it holds no generator, only directions: give it as a direction (--direction"),
        ("page.pkl", "a web page"),
        ("none.pt", "cannot read it (No such file"),
        ("pipe.pt", "not a plain file"),
        (".", "it is a folder"),
    ):
        assert invert(photo, "--model", tmp_path / file) == 2
        assert says in capsys.readouterr().err
    assert invert(photo, "--licence", "MIT") == 2
    assert "only for a file of yours" in capsys.readouterr().err
    with pytest.raises(HubError, match="unknown crop"):
        own.add_file(snapshot(tmp_path / "g.pkl"), facts=own.Facts(crop="round"))
    assert own.own() == {}


def test_the_page_opens_with_a_file_as_commands_do(tmp_path: Path, capsys: CaptureFixture) -> None:
    parser = argparse.ArgumentParser()
    app.add_options(parser)
    args = parser.parse_args(["--model", str(snapshot(tmp_path / "mine.pkl"))])
    app.check(args)
    assert [args.model] == list(own.own()) and args.model.startswith("mine-")
    assert app.main(["--model", str(tmp_path / "none.pkl")]) == 2
    assert "none.pkl: cannot read it" in capsys.readouterr().err


def test_an_encoder_that_does_not_fit_leaves_the_model_as_it_was(
    photo: Path, tmp_path: Path, capsys: CaptureFixture
) -> None:
    model = own.add_file(write("psp", tmp_path / "both.pt"))
    fewer = {f"encoder.{key}": value for key, value in small("psp_encoder_n8").items() if "styles.7." not in key}
    torch.save({"state_dict": fewer, "latent_avg": torch.ones(7, 128)}, tmp_path / "e.pt")
    words = ["invert", str(photo), "--model", model, "--method", "psp", "--device", "cpu", "--json"]
    assert main([*words, "--encoder", str(tmp_path / "e.pt")]) == 2
    assert f"e.pt does not fit {model}: " in capsys.readouterr().err
    assert main(words) == 0


def test_files_of_this_package_are_models_too(tmp_path: Path) -> None:
    snapshot(tmp_path / "g.pkl", classes=CLASSES)
    assert main(["convert", str(tmp_path / "g.pkl")]) == 0
    both = own.add_file(write("psp", tmp_path / "both.pt"))
    assert main(["convert", str(tmp_path / "both.pt"), "--encoder", "e4e"]) == 0
    again = hub.load(own.add_file(tmp_path / "both.safetensors"), "cpu")
    assert again.prior is not None and again.prior.num_ws == registry()[both].resolution.bit_length() * 2 - 4
    assert list(again.encoders) == ["e4e"]
    one, other = (hub.load(own.add_file(tmp_path / name), "cpu").prior for name in ("g.pkl", "g.safetensors"))
    assert one is not None and other is not None and same_networks(one, other) and other.classes == CLASSES
    trained = Path(inversion.__file__).parent / "weights" / "synthetic_faces_generator.safetensors"
    prior = hub.load(own.add_file(trained), "cpu").prior
    embedded = hub.load("synthetic-faces", "cpu").prior
    assert prior is not None and embedded is not None and same_networks(prior, embedded)


@pytest.mark.weights
@pytest.mark.parametrize("entry", EMBEDDED, ids=lambda entry: entry.name)
def test_every_embedded_encoder_can_be_given_as_a_file(entry: Entry) -> None:
    owner, role = str(entry.generator), str(entry.role)
    wanted = hub.load(owner, "cpu").encoders[role]
    own.add_file(fetch.fetch(entry), "encoder", owner, own.Facts(role=role))
    hub.models.clear()
    found = hub.load(owner, "cpu").encoders[role]
    assert type(found) is type(wanted) and found is not wanted and same_networks(found, wanted)


@pytest.mark.parametrize("first", [None, "psp"], ids=["new file", "known file"])
def test_the_role_decides_between_architectures_of_the_same_tensors(first: str | None, tmp_path: Path) -> None:
    torch.save({"g_ema": small("psp_full_32_decoder"), "latent_avg": torch.ones(128)}, tmp_path / "g.pt")
    torch.save({"state_dict": {f"encoder.{k}": v for k, v in small("e4e_encoder_n8").items()}}, tmp_path / "e.pt")
    model = own.add_file(tmp_path / "g.pt")
    for role in filter(None, [first, "e4e"]):
        own.add_file(tmp_path / "e.pt", "encoder", model, own.Facts(role=role))
    assert type(hub.load(model, "cpu").encoders["e4e"]) is E4E


# --- labels of conditional generators ---


def test_a_label_chooses_a_class(photo: Path, tmp_path: Path, capsys: CaptureFixture) -> None:
    name = own.add_file(snapshot(tmp_path / "g.pkl", classes=CLASSES))
    assert registry()[name].classes == CLASSES
    (card,) = catalogue.model_fields(name)  # what the page makes its menu of
    assert (card.name, card.low, card.high) == ("label", -1, CLASSES - 1) and not catalogue.model_fields(
        "synthetic-faces"
    )
    assert invert(photo, "--model", name, "--label", 3) == 0
    assert json.loads(capsys.readouterr().out)["model_options"] == {"label": 3}
    assert invert(photo, "--model", name) == 0
    assert json.loads(capsys.readouterr().out)["model_options"] == {"label": -1}
    for model, label, says in ((name, CLASSES, "classes 0 to 4"), ("synthetic-faces", 0, "has no classes")):
        assert invert(photo, "--model", model, "--label", label) == 2
        assert says in capsys.readouterr().err


def test_every_class_has_the_mapping_of_the_formulas(tmp_path: Path) -> None:
    tensors = ada.weights(classes=CLASSES)
    model = hub.load(own.add_file(snapshot(tmp_path / "g.pkl", classes=CLASSES)), "cpu", "float32")
    z = torch.randn(3, ada.Z)
    for label in range(CLASSES):
        prior = model.configured({"label": label}).prior
        assert prior is not None and model.prior is not None
        one_hot = torch.eye(CLASSES)[[label] * 3]
        w = ada.mapped(tensors, z, one_hot)
        with torch.no_grad():
            assert float((prior.mapping(z) - w[:, None]).abs().max()) <= 1e-4
            assert float((prior(z) - ada.pictures(tensors, w)).abs().max()) <= 1e-4
            middle = ada.mapped(tensors, torch.randn(20_000, ada.Z), one_hot[:1].expand(20_000, -1)).mean(dim=0)
        assert float((prior.w_avg[0] - middle).abs().max()) < 0.1
        assert prior.get_parameter("const") is model.prior.get_parameter("const")  # weights are shared
    assert model.configured({}) is model and model.configured({"label": -1}) is model


def test_options_are_checked_before_the_run(tmp_path: Path) -> None:
    name = own.add_file(snapshot(tmp_path / "g.pkl", classes=CLASSES))
    picture = np.zeros((16, 16, 3), np.uint8)
    for options, says in (({"label": 9}, "0 to 4"), ({"label": "x"}, "whole number"), ({"colour": 1}, "no option")):
        with pytest.raises(UserError, match=says):
            Lane("cpu").check(Request("reconstruct", "w", picture, name, options=options))  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="no classes"):
        hub.load("synthetic-faces", "cpu").configured({"label": 1})
