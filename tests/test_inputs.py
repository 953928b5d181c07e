"""Notes of a run about its files: remarks, the share of the hole, the factor of a small picture."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.photos import encoded, scene
from PIL import Image, ImageDraw

from inversion import images, metrics
from inversion.__main__ import main
from inversion.checkpoints import hub
from inversion.model import Model
from inversion.serving.measurement import measurement
from inversion.serving.runs import Request
from inversion.tasks import TASKS, Superres

FAST = ["--method", "w", "--set", "w.steps=2", "--json"]


@pytest.fixture(autouse=True)
def _tiny(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "load", lambda name, device="auto", dtype="auto": model)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[dict[str, Any], str]:
    status = main(["invert", *(str(one) for one in arguments), *FAST])
    out, err = capsys.readouterr()
    assert status == 0, err
    return json.loads(out), err


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "face.png"
    scene(32, 32).save(path)
    return path


def masks(folder: Path) -> dict[str, Path]:
    """A hole in the middle as a plain mask, a layer, an erased photo, and black on white."""
    hole = Image.new("L", (32, 32))
    ImageDraw.Draw(hole).rectangle((8, 8, 19, 23), fill=255)
    layer, erased = Image.new("RGBA", (32, 32)), scene(32, 32).convert("RGBA")
    layer.paste((200, 0, 0, 255), mask=hole)
    erased.putalpha(hole.point(lambda value: 255 - value))
    made = {"plain": hole, "layer": layer, "erased": erased, "inverted": hole.point(lambda value: 255 - value)}
    for name, mask in made.items():
        mask.save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in made}


def test_an_erased_picture_needs_no_mask(capsys: pytest.CaptureFixture[str], picture: Path, tmp_path: Path) -> None:
    files = masks(tmp_path)
    usual, _ = run(capsys, picture, "--task", "inpaint", "--mask", files["plain"])
    row, err = run(capsys, files["erased"], "--task", "inpaint")
    assert row["hole_share"] == usual["hole_share"] and images.ERASED in row["notes"] and images.ERASED in err
    assert usual["psnr"] is not None and row["psnr"] is None  # what was erased is not known
    for mask in ("erased", "plain"):  # a file that marks the same part
        row, _ = run(capsys, files["erased"], "--task", "inpaint", "--mask", files[mask])
        assert images.ERASED in row["notes"] and row["psnr"] is None
    other, _ = run(capsys, files["erased"], "--task", "inpaint", "--invert-mask")
    assert other["hole_share"] == pytest.approx(1 - usual["hole_share"])


def test_every_kind_of_mask_is_the_same_hole(capsys: pytest.CaptureFixture[str], picture: Path, tmp_path: Path) -> None:
    shares, said = set(), {}
    for name, path in masks(tmp_path).items():
        switch = ["--invert-mask"] if name == "inverted" else []
        row, err = run(capsys, picture, "--task", "inpaint", "--mask", path, *switch)
        shares.add(row["hole_share"])
        said[name] = row["notes"]
        assert all(note in err for note in row["notes"])
    assert shares == {0.1875} and said["plain"] == said["inverted"] == ["The hole covers 19 % of the picture."]
    assert "layer" in said["layer"][0] and "transparent" in said["erased"][0]


def test_a_hole_of_more_than_half_is_a_warning(
    capsys: pytest.CaptureFixture[str], picture: Path, tmp_path: Path
) -> None:
    row, err = run(capsys, picture, "--task", "inpaint", "--mask", masks(tmp_path)["inverted"])
    assert row["hole_share"] == 0.8125 and "more than half" in err and "invert the mask" in err


def test_only_a_task_with_a_hole_has_a_share(capsys: pytest.CaptureFixture[str], picture: Path) -> None:
    row, _ = run(capsys, picture)
    assert row["hole_share"] is None and row["notes"] == []


def test_how_a_photo_was_read_stands_in_the_row_and_is_said_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(encoded(scene(32, 32), "JPEG", quality=95)[:-2])
    row, err = run(capsys, path)
    assert len(row["notes"]) == 1 and err.count(row["notes"][0]) == 1


@pytest.mark.parametrize(
    ("size", "factor", "side", "says"),
    [
        ((8, 8), 4, 8, ()),
        ((16, 16), 2, 16, ("factor is 2 instead of 4",)),
        ((4, 4), 8, 4, ("factor is 8 instead of 4",)),
        ((25, 25), 2, 16, ("factor is 2 instead of 4", "scaled from 25x25 to 16x16")),
        ((6, 8), 4, 8, ("6x8 pixels; its central 6x6", "scaled from 6x6 to 8x8")),
        ((64, 64), 4, 8, ("scaled from 64x64 to 8x8",)),
    ],
)  # fmt: skip
def test_a_small_picture_is_never_resampled_in_silence(
    model: Model, size: tuple[int, int], factor: int, side: int, says: tuple[str, ...]
) -> None:
    picture = np.asarray(scene(*size).resize(size))
    made = measurement(Request("superres", "w", picture, inputs={"factor": 4}, measured=True), model)
    assert isinstance(made.task, Superres) and made.task.factor == factor and made.y.shape[-1] == side
    assert len(made.notes) == len(says) and all(text in note for text, note in zip(says, made.notes, strict=True))
    if size == (side, side):
        assert torch.equal(made.y, images.to_tensor(picture))


def test_other_measurements_of_another_size_say_so_too(model: Model) -> None:
    picture = np.asarray(scene(100, 100))
    made = measurement(Request("denoise", "w", picture, measured=True), model)
    assert made.notes == ("The input was scaled from 100x100 to 32x32 pixels.",)
    assert not any("scaled" in note for note in measurement(Request("denoise", "w", picture), model).notes)


@pytest.mark.parametrize("key", ["reconstruct", "colorize", "superres", "denoise"])
def test_a_restored_picture_is_compared_with_no_method_at_all(model: Model, key: str) -> None:
    made = measurement(Request(key, "w", np.asarray(scene(32, 32))), model)
    said = [note for note in made.notes if note.startswith("The input alone")]
    if key == "reconstruct":
        assert not said
    else:
        assert made.truth is not None
        [alone] = metrics.psnr(made.task.without_method(made.y), made.truth)
        assert len(said) == 1 and f" {alone:.1f} dB" in said[0] and 5 < alone < 60


@pytest.mark.parametrize("task", [name for name in TASKS if TASKS[name].has_truth and name != "superres"])
def test_a_few_pixels_are_not_enlarged_in_silence(model: Model, task: str) -> None:
    for size, says in (((400, 12), True), ((12, 14), True), ((20, 20), False)):
        picture = np.asarray(scene(*size).resize(size))
        hole = np.zeros(picture.shape[:2], np.uint8)
        hole[: size[1] // 2] = 255
        inputs = {"mask": hole} if task == "inpaint" else {}
        notes = " ".join(measurement(Request(task, "w", picture, inputs=inputs), model).notes)
        assert ("Only 12x12 pixels" in notes and "enlarged to 32x32" in notes) == says, notes


def test_a_photo_of_a_phone_gives_the_result_of_the_plain_picture(
    capsys: pytest.CaptureFixture[str], picture: Path, tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    scene(32, 32).save(buffer, "MPO", save_all=True, append_images=[scene(16, 16)], quality=98, subsampling=0)
    (tmp_path / "photo.jpg").write_bytes(buffer.getvalue())
    results = []
    for path in (picture, tmp_path / "photo.jpg"):
        row, _ = run(capsys, path, "--out", tmp_path / path.stem)
        results.append(np.asarray(images.read(row["image"]), float))
    assert np.abs(results[0] - results[1]).mean() <= 2


def test_a_picture_below_the_size_of_the_model_is_not_enlarged_in_silence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scene(24, 24).save(tmp_path / "small.png")
    row, _ = run(capsys, tmp_path / "small.png", "--task", "superres", "--factor", 4)
    assert "enlarged from 24 to 32" in row["notes"][0] and "--measured" in row["notes"][0]
    measured, _ = run(capsys, tmp_path / "small.png", "--task", "superres", "--factor", 4, "--measured")
    assert not any("enlarged" in note for note in measured["notes"])
