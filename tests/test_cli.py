"""The command line: one engine, strict JSON on stdout, pictures that keep what was measured, one line per error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inversion import hub, images
from inversion.__main__ import COMMANDS, main
from inversion.hub import Model
from inversion.tasks import make_task

FAST = ["--set", "wplus.steps=3", "--set", "w.steps=3", "--set", "pti.steps=2"]
ROW = {
    "task", "method", "model", "seed", "psnr", "ssim", "lpips", "identity", "seconds", "steps", "picture", "image",
    "settings", "sha256", "versions", "perceptual_loss", "synthetic_identity", "synthetic_perceptual",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _tiny(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded model's name stands for the tiny one."""
    monkeypatch.setattr(hub, "load", lambda name, device="auto", dtype="auto": model)


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


def test_a_person_gets_a_table(capsys: pytest.CaptureFixture[str], picture: Path) -> None:
    status, out, _ = run(capsys, "compare", picture, "--methods", "w,wplus", *FAST[:4])
    lines = out.splitlines()
    assert status == 0 and lines[0].split()[:2] == ["method", "psnr"]
    assert lines[1].startswith("w ") and lines[2].startswith("wplus ") and " - " in lines[1]


@pytest.mark.parametrize("task", ["colorize", "superres", "inpaint"])
def test_the_picture_on_disk_keeps_what_was_measured(
    capsys: pytest.CaptureFixture[str], picture: Path, mask: Path, tmp_path: Path, task: str
) -> None:
    extra = ["--mask", mask] if task == "inpaint" else ["--factor", 8]
    arguments = ["invert", picture, "--task", task, *extra, *FAST[:2], "--out", tmp_path, "--json"]
    status, out, _ = run(capsys, *arguments)
    row: dict[str, Any] = json.loads(out)
    known = images.known_pixels(images.read_mask(mask), 32)
    operator = make_task(task, mask=known, factor=8)
    truth = images.to_tensor(images.fit(images.read(picture), 32))
    kept = images.to_tensor(images.read(row["image"]))
    assert status == 0 and (operator.A(kept) - operator.A(truth)).abs().max() <= 1 / 255


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


BAD = [
    ([], "no command"),
    (["fly"], "unknown command 'fly'"),
    (["invert"], "IMAGE"),
    (["invert", "absent.png"], "no picture at absent.png"),
    (["invert", __file__], "not a PNG, JPEG or WebP"),
    (["invert", "PICTURE", "--task", "paint"], "paint"),
    (["invert", "PICTURE", "--method", "nope"], "nope"),
    (["invert", "PICTURE", "--method", "pti+w"], "at most one embed stage"),
    (["invert", "PICTURE", "--set", "wplus.steps"], "stage.field=VALUE"),
    (["invert", "PICTURE", "--set", "wplus.steps=ten"], "wplus.steps"),
    (["invert", "PICTURE", "--set", "wplus.steps=0"], "between 1 and"),
    (["invert", "PICTURE", "--set", "wplus.speed=1"], "wplus.speed"),
    (["invert", "PICTURE", "--set", "pti.steps=1"], "no chosen method has a stage 'pti'"),
    (["invert", "PICTURE", "--model", "huge"], "huge"),
    (["invert", "PICTURE", "--task", "inpaint"], "mask"),
    (["invert", "PICTURE", "--task", "superres", "--factor", "5"], "does not divide"),
    (["invert", "PICTURE", "--task", "superres", "--factor", "x"], "factor"),
    (["invert", "PICTURE", "--task", "denoise", "--sigma", "7"], "sigma"),
    (["invert", "PICTURE", "--seed", "-1"], "seed"),
    (["invert", "PICTURE", "--budget", "0"], "budget"),
    (["invert", "PICTURE", "--out", __file__], "File exists"),
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
