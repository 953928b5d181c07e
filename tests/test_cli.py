"""The command line: one engine, strict JSON on stdout, pictures that keep what was measured, one line per error."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.networks import build_other

from inversion import images
from inversion.__main__ import COMMANDS, main
from inversion.align import by_hand
from inversion.checkpoints import hub
from inversion.methods import BASIC, METHODS
from inversion.model import Model
from inversion.serving.lane import Lane
from inversion.serving.runs import Event, LaneError, Request
from inversion.tasks import TASKS, make_task

FAST = ["--set", "wplus.steps=3", "--set", "w.steps=3", "--set", "pti.steps=2"]
ONLY_Z = "synthetic-faces-pggan"
ROW = {
    "task", "method", "model", "seed", "psnr", "ssim", "lpips", "identity", "seconds", "steps", "picture", "image",
    "settings", "sha256", "versions", "perceptual_loss", "synthetic_identity", "synthetic_perceptual",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _tiny(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded models' names stand for tiny ones: with all styles, and with a z alone."""
    prior = build_other("pggan")
    models = {hub.DEFAULT: model, ONLY_Z: Model(ONLY_Z, prior, prior.resolution)}
    monkeypatch.setattr(hub, "load", lambda name, device="auto", dtype="auto": models[name])


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A photo-like picture, 48x32."""
    x = torch.rand(1, 3, 4, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    x = torch.nn.functional.interpolate(x, (32, 48), mode="bicubic")
    path = tmp_path / "photo.png"
    images.write_png(path, images.to_array(x))
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    array = np.zeros((32, 48, 3), np.uint8)
    array[8:20, 20:30] = 255
    images.write_png(tmp_path / "mask.png", array)
    return tmp_path / "mask.png"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    try:
        status = main([str(a) for a in arguments])
    except SystemExit as stop:
        status = int(stop.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


def test_invert_prints_one_json_object(capsys: pytest.CaptureFixture[str], picture: Path) -> None:
    status, out, err = run(capsys, "invert", picture, "--method", "wplus", *FAST[:2], "--seed", 5, "--json")
    row = json.loads(out, parse_constant=lambda name: pytest.fail(name))
    assert status == 0 and set(row) >= ROW
    assert row["task"] == "reconstruct" and row["method"] == "wplus" and row["seed"] == 5 and row["steps"] == 3
    assert row["settings"]["wplus.steps"] == 3 and row["image"] is None and row["picture"] == str(picture)
    assert row["psnr"] > 0 and row["lpips"] is None
    assert "wplus" in err and "3/3" in err  # the bar


def test_compare_prints_a_list_and_keeps_pictures(
    capsys: pytest.CaptureFixture[str], picture: Path, tmp_path: Path
) -> None:
    out_dir = tmp_path / "new" / "out"
    arguments = ["compare", picture, "--methods", "w,wplus,mean+wplus+pti", *FAST, "--out", out_dir, "--json"]
    status, out, _ = run(capsys, *arguments)
    rows = json.loads(out)
    assert status == 0 and [row["method"] for row in rows] == ["w", "wplus", "mean+wplus+pti"]
    truth = images.to_tensor(images.fit(images.read(picture), 32))
    for row in rows:
        kept = images.read(row["image"])
        assert kept.size == (32, 32)
        error = (images.to_tensor(kept) - truth).square().mean().item()
        assert row["psnr"] == pytest.approx(10 * np.log10(4 / error), abs=1e-3)  # the figures are of this very picture
    assert json.loads((out_dir / "photo_reconstruct.json").read_text()) == rows
    assert images.read(out_dir / "photo_reconstruct_sheet.png").size == (5 * 32, 32)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_the_model_cannot_run_is_refused_before_any_runs(
    capsys: pytest.CaptureFixture[str], picture: Path, method: str
) -> None:
    names = [name for key in ("z", method) for name in METHODS[key].settings() if name.endswith(".steps")]
    fast = [argument for name in names for argument in ("--set", f"{name}=2")]
    status, out, err = run(
        capsys, "compare", picture, "--model", ONLY_Z, "--methods", f"z,{method}", *fast, "--budget", 5, "--json"
    )
    reason = METHODS[method].unavailable(hub.load(ONLY_Z))
    if reason is None:
        assert status == 0 and [row["method"] for row in json.loads(out)] == list(dict.fromkeys(["z", method]))
    else:
        assert status == 2 and out == "" and err == f"python -m inversion compare: {method} cannot run: {reason}\n"


def test_methods_that_nobody_asked_for_are_left_out(capsys: pytest.CaptureFixture[str], picture: Path) -> None:
    lacking = [key for key in BASIC if METHODS[key].unavailable(hub.load(ONLY_Z)) is not None]
    status, out, err = run(capsys, "compare", picture, "--model", ONLY_Z, "--budget", 0.1, "--json")
    assert status == 0 and [row["method"] for row in json.loads(out)] == [key for key in BASIC if key not in lacking]
    assert lacking and all(f"{key} cannot run" in err for key in lacking)


def test_rows_before_a_failure_are_kept(
    capsys: pytest.CaptureFixture[str], picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Lane.__call__

    def failing(lane: Lane, request: Request) -> Iterator[Event]:
        if request.method == "wplus":
            raise LaneError("Not enough memory for this setting.")
        return real(lane, request)

    monkeypatch.setattr(Lane, "__call__", failing)
    arguments = ["compare", picture, "--methods", "w,wplus,z", *FAST[:4], "--out", tmp_path, "--json"]
    status, out, err = run(capsys, *arguments)
    rows = json.loads(out)
    assert status == 2 and [row["method"] for row in rows] == ["w"] and "Not enough memory" in err
    assert json.loads((tmp_path / "photo_reconstruct.json").read_text()) == rows
    assert images.read(tmp_path / "photo_reconstruct_sheet.png").size == (3 * 32, 32)


def test_a_person_gets_a_table(capsys: pytest.CaptureFixture[str], picture: Path) -> None:
    status, out, _ = run(capsys, "compare", picture, "--methods", "w,wplus", *FAST[:4])
    lines = out.splitlines()
    assert status == 0 and lines[0].split()[:3] == ["method", "psnr", "ssim"] and "lpips" not in lines[0]
    assert lines[1].startswith("w ") and lines[2].startswith("wplus ") and lines[1].endswith(" -")


@pytest.mark.parametrize("task", [name for name, task in TASKS.items() if task.merges])
def test_the_picture_on_disk_keeps_what_was_measured(
    capsys: pytest.CaptureFixture[str], picture: Path, mask: Path, tmp_path: Path, task: str
) -> None:
    extra = ["--mask", mask, "--factor", 8]
    arguments = ["invert", picture, "--task", task, *extra, *FAST[:2], "--out", tmp_path, "--json"]
    status, out, _ = run(capsys, *arguments)
    row: dict[str, Any] = json.loads(out)
    known = images.known_pixels(images.read_mask(mask), 32)
    operator = make_task(task, mask=known, factor=8)
    truth = images.to_tensor(images.fit(images.read(picture), 32))
    kept = images.to_tensor(images.read(row["image"]))
    assert status == 0 and (operator.A(kept) - operator.A(truth)).abs().max() <= 1 / 255


def test_a_mask_of_another_size_marks_the_same_hole(
    capsys: pytest.CaptureFixture[str], picture: Path, mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = by_hand((48, 32), 0.5, 0.5, 0.7, 20)
    monkeypatch.setattr("inversion.cli.common.crop", lambda *_: turned)
    double = tmp_path / "double.png"
    images.write_png(double, np.asarray(images.read(mask)).repeat(2, axis=0).repeat(2, axis=1))
    made = []
    for file in (mask, double):
        out = tmp_path / file.stem
        arguments = ["--task", "inpaint", "--mask", file, *FAST[:2], "--out", out]
        assert run(capsys, "invert", picture, *arguments)[0] == 0
        made.append(np.asarray(images.read(out / "photo_inpaint_sheet.png")))
    assert np.array_equal(*made)


def test_a_mask_of_other_proportions_is_refused(
    capsys: pytest.CaptureFixture[str], picture: Path, tmp_path: Path
) -> None:
    square = np.zeros((32, 32, 3), np.uint8)
    square[8:20, 8:20] = 255
    images.write_png(tmp_path / "square.png", square)
    status, out, err = run(capsys, "invert", picture, "--task", "inpaint", "--mask", tmp_path / "square.png", "--json")
    assert status == 2 and out == "" and "32x32 pixels and the picture 48x32" in err and len(err.splitlines()) == 1


def test_a_measured_picture_has_no_truth(capsys: pytest.CaptureFixture[str], picture: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    images.write_png(small, np.asarray(images.fit(images.read(picture), 8)))
    status, out, _ = run(capsys, "invert", small, "--task", "superres", "--measured", *FAST[:2], "--json")
    row = json.loads(out)
    assert status == 0 and row["psnr"] is None and row["ssim"] is None and row["measured"] is True


def test_models_lists_what_is_registered(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "models", "--json")
    rows = json.loads(out)
    assert status == 0 and rows[0]["name"] == hub.DEFAULT and rows[0]["from"] == "embedded"
    assert set(rows[0]) >= {"resolution", "licence", "sha256", "domain", "architecture"}
    status, out, _ = run(capsys, "models")
    assert status == 0 and hub.DEFAULT in out


def test_a_pulled_model_says_what_belongs_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    every = json.loads(run(capsys, "models", "--json")[1])
    status, out, _ = run(capsys, "models", "--pull", hub.DEFAULT, "--json")
    assert status == 0 and json.loads(out) == every[:1] and "discriminator" in every[0]["with"]


BAD = [
    ([], "no command"),
    (["fly"], "unknown command 'fly'"),
    (["invert"], "IMAGE"),
    (["invert", "absent.png"], "no file absent.png"),
    (["invert", __file__], "The file is a text"),
    (["invert", "PICTURE", "--task", "paint"], "paint"),
    (["invert", "PICTURE", "--method", "nope"], "nope"),
    (["invert", "PICTURE", "--method", "pti+w"], "at most one embed stage"),
    (["invert", "PICTURE", "--set", "wplus.steps"], "stage.field=VALUE"),
    (["invert", "PICTURE", "--set", "=3"], "stage.field=VALUE"),
    (["invert", "PICTURE", "--face", "0"], "no face 0"),
    (["invert", "PICTURE", "--set", "wplus.steps=ten"], "wplus.steps"),
    (["invert", "PICTURE", "--set", "wplus.steps=0"], "between 1 and"),
    (["invert", "PICTURE", "--set", "wplus.speed=1"], "wplus.speed"),
    (["invert", "PICTURE", "--set", "pti.steps=1"], "no chosen method has a stage 'pti'"),
    (["invert", "PICTURE", "--model", "huge"], "huge"),
    (["invert", "PICTURE", "--task", "inpaint"], "mask"),
    (["invert", "PICTURE", "--task", "superres", "--factor", "5"], "does not divide"),
    (
        ["invert", "PICTURE", "--task", "superres", "--factor", "x"],
        "argument --factor: the value must be a whole",
    ),
    (
        ["invert", "PICTURE", "--task", "denoise", "--sigma", "7"],
        "argument --sigma: the value must be between 0.0",
    ),
    (["invert", "PICTURE", "--seed", "-1"], "seed"),
    (["invert", "PICTURE", "--budget", "0"], "budget"),
    (["invert", "PICTURE", "--out", __file__], "(File exists). Choose another one."),
    (["compare", "PICTURE", "--methods", ","], "at least one method"),
    (["compare", "PICTURE", "--methods", "w,nope"], "nope"),
    (["invert", "PICTURE", "--speed", "9"], "--speed"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD)
def test_errors_are_one_clear_line(
    capsys: pytest.CaptureFixture[str], picture: Path, arguments: list[str], says: str
) -> None:
    status, out, err = run(
        capsys, *[picture if a == "PICTURE" else a for a in arguments], *["--json"][: len(arguments) > 1]
    )
    assert status == 2 and out == ""
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1 and says in lines[0], err


@pytest.mark.parametrize(
    ("task", "name"),
    [(task, spec.name) for task, kind in TASKS.items() for spec in fields(kind) if spec.default is MISSING],
)
def test_a_missing_input_is_named_with_its_flag(
    task: str, name: str, capsys: pytest.CaptureFixture[str], picture: Path
) -> None:
    assert main(["invert", str(picture), "--task", task, "--method", "w"]) == 2
    assert f"give it with --{name.replace('_', '-')} FILE" in capsys.readouterr().err


def test_an_empty_mask_is_refused(capsys: pytest.CaptureFixture[str], picture: Path, tmp_path: Path) -> None:
    images.write_png(tmp_path / "empty.png", np.zeros((32, 48, 3), np.uint8))
    status, _, err = run(capsys, "invert", picture, "--task", "inpaint", "--mask", tmp_path / "empty.png")
    assert status == 2 and "marks no hole" in err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--help")
    assert status == 0 and all(name in out for name in COMMANDS)


def test_it_starts_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "inversion", "models", "--json"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and json.loads(done.stdout)[0]["name"] == hub.DEFAULT
