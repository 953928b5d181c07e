"""Outputs of the command line: no command replaces a file, rows are added, and several pictures are one command."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.drawings import reading_encoders, some_uploads
from helpers.editing import editable

from inversion import images
from inversion.__main__ import COMMANDS as REGISTRY
from inversion.__main__ import main
from inversion.checkpoints import hub
from inversion.checkpoints.tuned import write_tuned
from inversion.cli import records
from inversion.cli.records import add_rows
from inversion.common.names import FIELDS, companion
from inversion.generators import StyleGAN2
from inversion.methods.codes import W
from inversion.methods.starts import save_code
from inversion.model import Model
from inversion.serving.jobs import JobView, RunView
from inversion.serving.lane import Lane
from ui.parts.export import result_names

FAST = ["--set", "wplus.steps=2"]
COMMANDS: Mapping[str, list[str]] = {
    "invert": FAST,
    "compare": ["--methods", "wplus,psp", *FAST],
    "edit": ["--edit", "smile=1", "--strip", "2", *FAST],
    "translate": ["--to", "sketch", "--variations", "2"],
}
PAIRS = {"combine": ["drawing.png", "--kind", "mix", *FAST]}  # of two files, so not of folders
Run = Callable[..., "tuple[int, str, str]"]


@pytest.fixture(autouse=True)
def loads(full_model: Model, prior: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The embedded model stands for a tiny one with every part. The names of the models that were loaded."""
    encoders = {**full_model.encoders, **reading_encoders(prior)}
    model = replace(editable(full_model, prior), encoders=encoders)
    names: list[str] = []
    monkeypatch.setattr(hub, "load", lambda name, **_: names.append(name) or model)
    return names


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command in the folder of the test: its exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            status = main([str(one) for one in arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return call


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A drawing, which is also a picture."""
    path = tmp_path / "drawing.png"
    images.write_png(path, some_uploads()["lines"][0])
    return path


@pytest.fixture
def folder(tmp_path: Path, picture: Path) -> Path:
    """A folder with two pictures, a broken one between them, and other files."""
    path = tmp_path / "pictures"
    (path / "inner").mkdir(parents=True)
    for name in ("a.png", "写真.PNG", "inner/d.png"):
        (path / name).write_bytes(picture.read_bytes())
    (path / "b.jpg").write_bytes(b"\xff\xd8\xffbroken")
    (path / "notes.txt").write_text("no picture")
    (path / "._a.png").write_bytes(b"of macOS")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """The files below a folder by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kept(before: Mapping[str, bytes], folder: Path) -> bool:
    """Whether all files are as before, except that lists of rows may be longer."""
    after = contents(folder)
    rows = {name for name in before if name.endswith(".json")}
    longer = all(json.loads(after[name])[: len(json.loads(before[name]))] == json.loads(before[name]) for name in rows)
    return longer and all(after[name] == before[name] for name in before.keys() - rows)


def test_every_command_with_pictures_is_tested_here(run: Run) -> None:
    assert {name for name in REGISTRY if "--out DIR|FILE.png|PATTERN" in run(name, "--help")[1]} == {*COMMANDS, *PAIRS}


@pytest.mark.parametrize("command", [*COMMANDS, *PAIRS])
@pytest.mark.parametrize("out", ["out", "out/{picture}_{method}.png", "out/{n}"])
def test_no_command_replaces_a_file(run: Run, picture: Path, tmp_path: Path, command: str, out: str) -> None:
    arguments = [command, picture, *{**COMMANDS, **PAIRS}[command], "--out", out]
    assert run(*arguments)[0] == 0
    before = contents(tmp_path)
    assert run(*arguments)[0] == 0
    assert kept(before, tmp_path)
    new = [name for name in contents(tmp_path).keys() - before.keys() if name.endswith(".png")]
    assert len(new) == sum(name.endswith(".png") for name in before) - 1
    assert not [name for name in contents(tmp_path) if name.endswith((".part", ".lock"))]


def test_names_in_a_folder_tell_runs_apart(run: Run, picture: Path) -> None:
    first, other, again = (
        json.loads(run("invert", picture, *FAST, "--seed", seed, "--out", "out", "--json")[1])["image"]
        for seed in (0, 5, 5)
    )
    assert Path(first) == Path("out/drawing_reconstruct_wplus.png")
    assert Path(other).name.startswith("drawing_reconstruct_wplus_synthetic-faces_") and other.endswith("_s5.png")
    assert Path(again) == companion(Path(other), "-2.png")
    setting = json.loads(run("invert", picture, "--set", "wplus.steps=3", "--seed", 5, "--out", "out", "--json")[1])
    assert setting["image"].endswith("_s5.png") and setting["image"] != other


def test_a_file_that_exists_is_kept_unless_it_is_to_be_replaced(run: Run, picture: Path) -> None:
    out = Path("result.png")
    out.write_text("kept")
    status, _, err = run("invert", picture, *FAST, "--out", out)
    assert status == 0 and out.read_text() == "kept" and images.read("result-2.png").size == (32, 32)
    assert "result.png exists (--overwrite replaces it). The new picture is result-2.png." in err
    status, _, err = run("invert", picture, *FAST, "--out", out, "--overwrite")
    assert status == 0 and images.read(out).size == (32, 32) and "exists" not in err
    before = picture.read_bytes()
    assert run("invert", picture, *FAST, "--out", "drawing.png", "--overwrite")[0] == 0
    assert picture.read_bytes() == before and Path("drawing-2.png").exists()


def test_a_replaced_picture_leaves_no_file_of_the_old_one(run: Run, picture: Path) -> None:
    old = [Path(f"out{ending}") for ending in (".npz", ".safetensors", "_edited.png", "-nvidia.pt")]
    for path in (Path("out.png"), *old):
        path.write_text("old")
    assert run("invert", picture, "--method", "dip", "--set", "dip.steps=2", "--out", "out.png", "--overwrite")[0] == 0
    assert images.read("out.png").size == (32, 32) and not any(path.exists() for path in old)
    assert run("invert", picture, *FAST, "--out", "code.png")[0] == 0
    before = Path("code.npz").read_bytes()  # an input, which is kept, and its picture with it
    assert run("invert", picture, *FAST, "--start", "code.npz", "--out", "code.png", "--overwrite")[0] == 0
    assert Path("code.npz").read_bytes() == before and Path("code-2.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--out", "{name}"], [f"{{{field}}}" for field in FIELDS]),
        (["--out", "a.jpg"], ["PNG"]),
        (["--out", "a.png", "a.png", "b.png"], ["one file for several results"]),
        (["--csv", "a.txt"], [".csv"]),
        (["empty"], ["The folder empty has no pictures. Choose another one."]),
        (["deep"], ["Add --recursive"]),
        (["deep/inner", "--out", "deep/inner"], ["among the pictures"]),
        (["deep", "--recursive", "--out", "deep/{task}/{n}.png"], ["among the pictures"]),
    ],
)
def test_wrong_outputs_are_refused_in_one_line(run: Run, picture: Path, arguments: list[str], says: list[str]) -> None:
    Path("empty").mkdir()
    Path("deep/inner").mkdir(parents=True)
    Path("deep/inner/a.png").write_bytes(picture.read_bytes())
    given = [] if any(name in ("empty", "deep", "deep/inner") for name in arguments) else [picture]
    status, out, err = run("invert", *given, *arguments, *FAST)
    assert status == 2 and out == "" and err.count("\n") == 1 and all(text in err for text in says), err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_broken_picture_is_a_row_and_the_others_go_on(run: Run, folder: Path, loads: list[str], command: str) -> None:
    arguments = [command, folder, *COMMANDS[command], "--out", "out"]
    status, out, err = run(*arguments, "--json", "--csv", "rows.csv")
    rows = json.loads(out)
    assert status == 1 and "1 of 3 pictures failed: " in err and "Picture 3 of 3: " in err
    assert [Path(name).name for name in dict.fromkeys(row["picture"] for row in rows)] == ["a.png", "b.jpg", "写真.PNG"]
    failed = [row for row in rows if row["error"]]
    assert [Path(row["picture"]).name for row in failed] == ["b.jpg"] and "cut off" in failed[0]["error"]
    with Path("rows.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["picture"] for row in table] == [row["picture"] for row in rows]
    assert [row["error"] for row in table] == [row["error"] for row in rows]
    status, out, _ = run(*arguments)
    assert status == 1 and failed[0]["error"] in out


def test_files_folders_and_wildcards_are_taken_in_order(
    run: Run, folder: Path, picture: Path, loads: list[str]
) -> None:
    arguments = ["invert", picture, folder, "pictures/a*.png", *FAST, "--recursive", "--json"]
    rows = json.loads(run(*arguments)[1])
    assert [Path(row["picture"]).name for row in rows] == ["drawing.png", "a.png", "b.jpg", "d.png", "写真.PNG"]
    status, out, _ = run("invert", "--json", picture, folder / "a.png", *FAST)
    assert status == 0 and len(json.loads(out)) == 2


def test_a_folder_of_masks_has_one_for_each_picture(run: Run, folder: Path, picture: Path) -> None:
    side = images.read(picture).size[0]
    for name, at in (("a.png", 8), ("写真.png", 40)):
        mask = np.zeros((side, side, 3), np.uint8)
        mask[at : at + 16, 8:24] = 255
        Path("masks").mkdir(exist_ok=True)
        images.write_png(Path("masks") / name, mask)
    (folder / "b.jpg").unlink()
    (folder / "c.png").write_bytes(picture.read_bytes())
    status, out, _ = run("invert", folder, "--task", "inpaint", "--mask", "masks", *FAST, "--json")
    rows = json.loads(out)
    assert status == 1 and [bool(row["error"]) for row in rows] == [False, True, False]
    assert "no picture with the name of c.png" in rows[1]["error"]


def test_a_wrong_setting_is_refused_once(run: Run, folder: Path) -> None:
    status, out, err = run("invert", folder, "--set", "wplus.steps=0", "--json")
    assert status == 2 and out == "" and err.count("\n") == 1 and "wplus.steps" in err


def test_a_second_run_adds_rows(run: Run, picture: Path) -> None:
    for seed in (1, 2):
        arguments = ["compare", picture, *COMMANDS["compare"], "--seed", seed]
        status, out, _ = run(*arguments, "--json", "rows.json", "--csv", "rows.csv")
        assert status == 0 and out.startswith("method")
    rows = json.loads(Path("rows.json").read_text())
    assert [(row["method"], row["seed"]) for row in rows] == [("wplus", 1), ("psp", 1), ("wplus", 2), ("psp", 2)]
    with Path("rows.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [(row["method"], int(row["seed"])) for row in table] == [(row["method"], row["seed"]) for row in rows]
    assert json.loads(table[0]["settings"]) == rows[0]["settings"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.json", b"{broken"),
        ("rows.json", b"[1, 2]"),
        ("rows.json", b'[{"psnr": NaN}]'),
        ("rows.json", b"[" * 100_000),
        ("rows.json", b"\xff\xfe"),
        ("rows.csv", b"a,b\n1,2,3\n"),
        ("rows.csv", b"a,a\n1,2\n"),
        ("rows.csv", b"name,age\nx,2\n"),
        ("rows.csv", b"picture,\xff\n"),
        ("rows.csv", b'picture\n"' + b"x" * 200_000 + b'"\n'),
    ],
)
def test_a_file_without_rows_is_kept_and_said(run: Run, picture: Path, name: str, text: bytes) -> None:
    path = Path(name)
    path.write_bytes(text)
    for _ in range(2):
        status, _, err = run("invert", picture, *FAST, f"--{path.suffix[1:]}", path)
        assert (
            status == 0 and f"{path} holds no rows, or another program uses it. It is kept, and the rows are in" in err
        )
    assert path.read_bytes() == text
    found = companion(path, f"-2{path.suffix}").read_text()
    assert found.count(str(picture)) == 2 and not companion(path, f"-3{path.suffix}").exists()


@pytest.mark.parametrize("text", ["", " \n", "[]", '{"picture": "old"}', '\ufeff[{"picture": "old"}]'])
def test_an_empty_file_and_a_single_row_are_added_to(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text, encoding="utf-8")
    assert add_rows(path, [{"picture": "new"}]) == path
    assert [row["picture"] for row in json.loads(path.read_text())] == ["old"] * ("old" in text) + ["new"]


def test_a_table_keeps_its_columns_and_its_separator(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes('\ufeffpicture;mine\r\nold;"a;b"\r\n'.encode())
    add_rows(path, [{"picture": "n;w", "psnr": 1.5, "crop": {"how": "centre"}, "identity": None, "done": True}])
    assert path.read_bytes().decode() == (
        '\ufeffpicture;mine;psnr;crop;identity;done\r\nold;"a;b";;;;\r\n"n;w";;1.5;"{""how"": ""centre""}";;true\r\n'
    )


def test_rows_that_could_not_be_written_are_refused_before_a_run(
    run: Run, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def refuse(path: Path) -> Iterator[None]:
        raise PermissionError(errno.EACCES, "Permission denied", f"{path}.lock")
        yield

    monkeypatch.setattr(records, "locked", refuse)
    status, out, err = run("invert", picture, *FAST, "--csv", "rows.csv")
    assert status == 2 and out == "" and err.endswith("Permission denied: rows.csv\n") and err.count("\n") == 1


def test_a_failed_write_keeps_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.json"
    add_rows(path, [{"picture": "old"}])
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        add_rows(path, [{"picture": "new"}])
    assert contents(tmp_path) == {"rows.json": before}


def test_a_picture_that_cannot_be_saved_is_a_row(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = images.write_png

    def write(path: Path, array: Any, recipe: Any = None) -> None:  # noqa: ANN401
        if path.name.startswith("a_"):
            raise OSError(28, "No space left on device")
        real(path, array, recipe)

    monkeypatch.setattr(images, "write_png", write)
    status, out, _ = run("invert", folder, *FAST, "--out", "out", "--json")
    assert status == 1 and [row["error"] for row in json.loads(out)][::2] == ["No space left on device", ""]
    assert not list(Path("out").glob("a_*wplus*.png"))


def test_a_console_with_few_characters_is_enough(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    (folder / "x\x1b[31m\ny.png").write_bytes(b"")
    out = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["invert", str(folder), *FAST]) == 1
    out.flush()
    text = out.buffer.getvalue().decode("cp1252")  # type: ignore[attr-defined]
    assert "\\u5199\\u771f.PNG" in text and "\x1b" not in text and "x?[31m y.png" in text


def test_the_model_is_loaded_by_one_lane(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Lane] = []
    real = Lane.__init__
    monkeypatch.setattr(Lane, "__init__", lambda self, *a: made.append(self) or real(self, *a))  # type: ignore[func-returns-value]
    run("invert", folder, *FAST)
    assert len(made) == 1


def test_the_downloads_of_the_page_have_names_of_their_own() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    row = {"seed": 3, "settings": {"w.steps": 2}}
    methods = ["psp+w", "psp/w", "con", "写真"]
    runs = [RunView(method, method, "done", image=pixels, row=row) for method in [*methods, "psp+w"]]
    runs.append(RunView("w", "w", "failed"))
    names = result_names(JobView("key", "reconstruct", tuple(runs), 0, 0, model="m"))
    assert len(set(names.values())) == len(names) == 5
    assert all(name.startswith("reconstruct-") and name.endswith(".png") for name in names.values())
    assert re.fullmatch(r"reconstruct-psp\+w-m-[0-9a-f]{6}-s3\.png", names[0]) and "写真" in names[3]
    assert names[4] == names[0].replace(".png", "-2.png")


def test_helpers_of_python_keep_files(model: Model, tmp_path: Path) -> None:
    assert model.prior is not None
    pixels, code = np.zeros((8, 8, 3), np.uint8), W(model.prior.w_avg[:1])
    for ending, save in (
        (".png", lambda path: images.save_png(path, pixels)),
        (".npz", lambda path: save_code(path, code, model)),
        (".safetensors", lambda path: write_tuned(path, model, {})),
    ):
        path = tmp_path / "new" / f"face{ending}"
        assert save(path) == path
        before = path.read_bytes()
        assert save(path) == path.with_stem("face-2") and path.read_bytes() == before


def test_a_table_that_a_spreadsheet_has_open_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses to replace such a file."""
    path, real = tmp_path / "rows.csv", Path.replace
    path.write_text("picture\nold\n")

    def replace_free(part: Path, target: Path) -> Path:
        if target.name == "rows.csv":
            raise PermissionError(13, "Permission denied", str(target))
        return real(part, target)

    monkeypatch.setattr(Path, "replace", replace_free)
    assert [add_rows(path, [{"picture": "new"}]) for _ in range(2)] == [tmp_path / "rows-2.csv"] * 2
    assert contents(tmp_path) == {"rows.csv": b"picture\nold\n", "rows-2.csv": b"picture\nnew\nnew\n"}


def test_rows_of_runs_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.with_name("rows.json.lock").write_bytes(b"")
    os.utime(path.with_name("rows.json.lock"), (0, 0))  # of a process that was killed
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: add_rows(path, [{"picture": i}]), range(20)))
    assert sorted(row["picture"] for row in json.loads(path.read_text())) == list(range(20))
