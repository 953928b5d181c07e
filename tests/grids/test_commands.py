"""Grids on the command line and from Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

import inversion
from inversion import UserError, grid, images
from inversion.__main__ import main
from inversion.checkpoints import hub
from inversion.model import Model

COMMON = ["--set", "align=centre", "--set", "w.steps=2"]


@pytest.fixture(autouse=True)
def tiny(full_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded model stands for a tiny one."""
    monkeypatch.setattr(hub, "load", lambda name, **_: full_model)


@pytest.fixture
def faces(pictures: Tensor, tmp_path: Path) -> list[Path]:
    """Two pictures."""
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    for path, one in zip(paths, pictures, strict=False):
        images.write_png(path, images.to_array(one))
    return paths


def test_the_command_and_the_function_make_the_same_grid(
    faces: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["grid", *map(str, faces), "--x", "method=w,psp", "--y", "picture=", *COMMON, "--out", str(out), "--json"]
    assert main(words) == 0 and main(words) == 0
    rows = json.loads(capsys.readouterr().out.partition("]\n")[0] + "]")
    assert [(row["Method"], row["Picture"]) for row in rows] == [
        *(("W", "one"), ("pSp", "one")),
        *(("W", "two"), ("pSp", "two")),
    ]
    assert (out / "grid.png").exists() and (tmp_path / "out-2" / "grid.csv").exists(), "no grid is replaced"
    result = grid(
        {path.stem: path for path in faces},
        "method=w,psp",
        "picture=",
        settings={"w.steps": 2},
        align="centre",
        progress=False,
    )
    assert [row["psnr"] for row in result.rows] == [row["psnr"] for row in rows]
    picture = result.picture(0, 1)
    assert picture is not None and np.array_equal(picture, np.asarray(Image.open(next(out.glob("03_*.png")))))
    assert "psnr" in repr(result) and "<img" in result._repr_html_() and result.summary
    assert result.save(tmp_path / "saved").name == "grid.png"


def test_a_run_that_fails_is_a_cell_without_a_picture(faces: list[Path]) -> None:
    result = grid(faces[0], "w.steps=1-2", "factor=4,5", task="superres", align="centre", progress=False)
    assert [run.state for run in result.runs].count("failed") == 2 and result.picture(0, 0) is not None
    assert result.picture(0, 1) is None and any("does not divide" in run.message for run in result.runs)
    with pytest.raises(UserError, match="does not divide"):
        grid(faces[0], "factor=5", task="superres", align="centre", progress=False, **{"w.steps": 1})


def test_the_command_says_what_is_wrong(faces: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    one = str(faces[0])
    for words, wrong in (
        ([one, "--x", "w.steps=0"], "X axis: W: steps must be between 1 and 10000, not '0'."),
        ([one, "--x", "steps"], "An axis needs NAME=LIST, as in method=w,psp, not 'steps'."),
        ([*map(str, faces), "--x", "seed=1"], "Several pictures need an axis: add --z picture="),
        ([one, "--x", "seed=1", "--set", "factor=4"], "No task of this grid has Factor (factor)."),
    ):
        assert main(["grid", *words]) == 2
        assert wrong in capsys.readouterr().err
    assert main(["grid", one, "--x", "w.steps=1,2", "--set", "align=centre"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("W: steps") and "Best PSNR" in out
    assert inversion.GridResult is type(grid(faces[0], "w.steps=1", align="centre", progress=False))
