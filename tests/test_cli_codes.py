"""Codes on the command line: written beside pictures, begun from, edited, and told from directions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.checkpoints import clear_caches, in_process
from helpers.networks import build_prior

from inversion import images
from inversion.__main__ import main
from inversion.checkpoints import hub
from inversion.checkpoints.own import add_file
from inversion.checkpoints.places import VARIABLE
from inversion.methods import METHODS, tuned
from inversion.methods.starts import load_code
from inversion.model import Model, prior_of

__all__ = ["in_process"]  # a fixture
Command = Callable[..., tuple[int, str, str]]
STEPS = [word for key in ("wplus", "w", "pti", "multicode") for word in ("--set", f"{key}.steps=2")]


@pytest.fixture(autouse=True)
def _models(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: list[str]) -> Iterator[None]:
    """The default model's name stands for a tiny one, "other" for another one; files of the user's are loaded."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "derived"))
    clear_caches()
    load, prior = hub.load, build_prior(noise=True)
    named = replace(model, name=hub.DEFAULT)
    other = replace(model, name="synthetic-houses", prior=prior, sha256="1" * 64)
    models = {hub.DEFAULT: named, other.name: other}

    def patched(name: str, device: str = "auto", dtype: str = "auto") -> Model:
        return models[name] if name in models else load(name, "cpu", "float32")

    monkeypatch.setattr(hub, "load", patched)
    yield
    clear_caches()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A photo-like picture."""
    x = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images.write_png(tmp_path / "photo.png", images.to_array(torch.nn.functional.interpolate(x, (32, 32))))
    return tmp_path / "photo.png"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command: status, stdout, stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        status = main([str(word) for word in arguments])
        return status, *capsys.readouterr()

    return command


def inverted(run: Command, picture: Path, out: Path, *more: object) -> dict[str, str]:
    """The row of an inversion with its files in `out`."""
    fits = [word for word in more if isinstance(word, str) and word in METHODS]
    steps = ["--set", "wplus.steps=2"] if not fits else steps_of(fits[0])
    status, text, err = run("invert", picture, *more, *steps, "--out", out, "--json")
    assert status == 0, err
    return json.loads(text)


def steps_of(method: str) -> list[str]:
    """Few steps for every stage of a method."""
    names = [name for name in METHODS[method].settings() if name.endswith(".steps")]
    return [word for name in names for word in ("--set", f"{name}=2")]


def test_the_code_lies_beside_the_picture(run: Command, picture: Path, tmp_path: Path) -> None:
    for method in ("z", "w", "wplus", "mganprior", "pti"):
        row = inverted(run, picture, tmp_path / method, "--method", method, "--nvidia")
        model = hub.load(hub.DEFAULT)
        assert np.load(row["styles"]).shape == load_code(Path(row["code"]), model).ws(prior_of(model)).shape
        assert (row["nvidia"] is not None) == (method == "pti")
        assert Path(row["code"]) == Path(row["image"]).with_suffix(".npz")
        code, prior = load_code(Path(row["code"]), model), model.prior
        assert prior is not None and (row["weights"] is not None) == (method == "pti")
        if row["weights"] is not None:
            prior = hub.load(add_file(Path(row["weights"]))).prior
        assert prior is not None
        shown = np.asarray(images.read(row["image"]))
        assert np.array_equal(images.to_array(code.render(prior)), shown)


def test_a_method_without_a_code_writes_none(run: Command, picture: Path, tmp_path: Path) -> None:
    row = inverted(run, picture, tmp_path / "out", "--method", "dip")
    assert row["code"] is None and row["weights"] is None and not list((tmp_path / "out").glob("*.npz"))


def test_a_run_begins_at_a_code(run: Command, picture: Path, tmp_path: Path) -> None:
    first = inverted(run, picture, tmp_path / "a")
    again = inverted(run, picture, tmp_path / "b", "--start", first["code"])
    assert again["start"] and first["start"] is None and again["psnr"] > first["psnr"]
    status, _, err = run("compare", picture, "--methods", "w,wplus", "--start", first["code"], *STEPS[:4])
    assert status == 2 and "W cannot start from a code in W+. Choose one of: wplus," in err
    status, text, err = run(
        "compare", picture, "--start", first["code"], "--set", "wplus.steps=2", "--budget", 5, "--json"
    )
    assert status == 0 and [row["method"] for row in json.loads(text)] == [
        "wplus",
        "pti",
    ]  # the default methods that can
    assert "z cannot run: Z cannot start from a code in W+" in err
    status, _, err = run("invert", picture, "--method", "dip", "--start", first["code"])
    assert status == 2 and "has no code, so it cannot start from one" in err


def test_a_code_of_another_model_is_refused_with_both_names(run: Command, picture: Path, tmp_path: Path) -> None:
    first = inverted(run, picture, tmp_path / "a")
    status, _, err = run("invert", picture, "--model", "synthetic-houses", "--start", first["code"])
    assert status == 2 and hub.DEFAULT in err and "synthetic-houses" in err and err.count("\n") == 1
    for name, says in (("none.npz", "cannot read it"), ("photo.png", "a picture, not a checkpoint")):
        status, _, err = run("invert", picture, "--start", tmp_path / name)
        assert status == 2 and says in err and err.count("\n") == 1


def test_a_code_and_a_tuned_generator_are_edited_as_the_result_was(run: Command, picture: Path, tmp_path: Path) -> None:
    """Download, restart, upload, edit: the pictures are equal within 1/255."""
    move = ("--ganspace", "1=0.5", "--json")
    status, text, err = run("edit", picture, "--method", "pti", *steps_of("pti"), *move, "--out", tmp_path / "a")
    assert status == 0, err
    row = json.loads(text)
    before = np.asarray(images.read(row["edit"]["image"]), int)
    clear_caches()
    files = ("--model", row["weights"], "--out", tmp_path / "b")
    status, text, err = run("edit", row["code"], *files, *move)
    assert status == 0 and "tuned generator" not in err, err
    after = np.asarray(images.read(json.loads(text)["edit"]["image"]), int)
    assert np.abs(before - after).max() <= 1 and before.std() > 0
    status, text, err = run("edit", picture, "--start", row["code"], "--method", "wplus", *STEPS[:2], *files, *move)
    assert status == 0 and "tuned generator" not in err, err
    for without in (("edit", row["code"], *move), ("invert", picture, "--start", row["code"], *STEPS[:2])):
        status, text, err = run(*without)
        assert status == 0 and "the code of a tuned generator" in err, err


def test_a_tuned_generator_keeps_the_tuned_tensors(run: Command, picture: Path, tmp_path: Path) -> None:
    row = inverted(run, picture, tmp_path / "a", "--method", "pti")
    model = hub.load(hub.DEFAULT)
    loaded = hub.load(add_file(Path(row["weights"])))
    assert model.prior is not None and loaded.prior is not None
    changed = dict(loaded.prior.tunable())
    assert any(not torch.equal(value, changed[name]) for name, value in model.prior.tunable())
    rebuilt = tuned(model.prior, {name: value.detach() for name, value in changed.items()})
    z = torch.randn(1, model.prior.z_dim)
    assert float((rebuilt(z) - loaded.prior(z)).abs().max()) < 1e-4


def test_convert_says_which_files_are_codes(run: Command, picture: Path, tmp_path: Path) -> None:
    code = inverted(run, picture, tmp_path / "a")["code"]
    np.savez(tmp_path / "projected_w.npz", w=np.random.default_rng(0).normal(size=(1, 18, 512)).astype(np.float32))
    np.save(tmp_path / "boundary.npy", np.ones((1, 512), np.float32) / 512**0.5)
    for path, says in (
        (code, f"It is a code in W+, 8 styles of 32 numbers, of the model {hub.DEFAULT}. Use it with `--start`."),
        (tmp_path / "projected_w.npz", "It is a code in W+, 18 styles of 512 numbers, of an unnamed model."),
        (tmp_path / "boundary.npy", "It is taken as a direction."),
    ):
        status, text, _ = run("convert", path, "--dry-run")
        assert status == 0 and says in text
    status, _, err = run("invert", picture, "--model", tmp_path / "projected_w.npz")
    assert status == 2 and "it holds no generator, only code: give it as a code (--start" in err


def test_an_array_is_a_direction_if_it_is_given_as_one(run: Command, picture: Path, tmp_path: Path) -> None:
    """(num_ws, w_dim) is the shape of a code, and of a direction with a part for each layer."""
    row = inverted(run, picture, tmp_path / "a", "--method", "pti")
    np.save(tmp_path / "age.npy", np.random.default_rng(0).normal(size=(8, 32)).astype(np.float32))
    files = ("--model", row["weights"], "--direction", tmp_path / "age.npy")
    status, text, err = run("edit", row["code"], *files, "--edit", "age=1", "--json")
    assert status == 0, err
    assert json.loads(text)["edit"]["moves"] == {"age": 1.0}
    np.save(tmp_path / "wide.npy", np.ones((1, 64), np.float32))
    files = ("--model", row["weights"], "--direction", tmp_path / "wide.npy")
    status, _, err = run("edit", row["code"], *files, "--edit", "wide=1")
    assert status == 2 and "wide.npy does not fit" in err and "not of 32, as this model needs" in err
