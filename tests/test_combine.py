"""The command `combine`: ends and sizes of its pictures, and codes in place of pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.editing import editable
from torch import Tensor

from inversion import images
from inversion.__main__ import main
from inversion.checkpoints import hub
from inversion.generators import StyleGAN2
from inversion.model import Model

FAST = ["--method", "wplus", "--set", "wplus.steps=2", "--align", "centre"]
Combine = Callable[..., "tuple[int, Any, str]"]


@pytest.fixture
def combine(
    full_model: Model,
    prior: StyleGAN2,
    pictures: Tensor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Combine:
    """The command beside two pictures and a mask: exit status, row and stderr."""
    monkeypatch.setattr(hub, "load", lambda *_, **__: editable(full_model, prior))
    monkeypatch.chdir(tmp_path)
    for name, picture in zip(("a.png", "b.png"), pictures, strict=False):
        images.write_png(Path(name), images.to_array(picture))
    mask = np.zeros((32, 32, 3), np.uint8)
    mask[8:24, 8:24] = 255
    images.write_png(Path("mask.png"), mask)

    def call(*arguments: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        status = main(["combine", *arguments, "--out", "made", "--json"])
        out, err = capsys.readouterr()
        return status, json.loads(out) if out else None, err

    return call


def test_an_interpolation_goes_from_one_result_to_the_other(combine: Combine) -> None:
    _, row, _ = combine("a.png", "b.png", "--pictures", "4", *FAST)
    strip = np.asarray(images.read(Path(row["image"])))
    assert strip.shape == (32, 4 * 32, 3)
    assert main(["invert", "a.png", "b.png", *FAST, "--out", "alone"]) == 0
    for name, end in (("a", strip[:, :32]), ("b", strip[:, -32:])):
        alone = np.asarray(images.read(Path("alone") / f"{name}_reconstruct_wplus.png"))
        assert np.abs(alone.astype(int) - end).max() <= 1
    codes = [str(Path("alone") / f"{name}_reconstruct_wplus.npz") for name in ("a", "b")]
    _, again, _ = combine(*codes, "--pictures", "4", *FAST)
    assert again["runs"] == {}
    assert np.abs(np.asarray(images.read(Path(again["image"]))).astype(int) - strip).max() <= 1


def test_a_mixture_and_a_blended_region_are_one_picture(combine: Combine) -> None:
    for kind in (["mix", "--layer", "2"], ["diffuse", "--mask", "mask.png"]):
        status, row, _ = combine("a.png", "b.png", "--kind", *kind, *FAST)
        assert status == 0
        assert images.read(Path(row["image"])).size == (32, 32)
        assert len(row["runs"]) == (2 if kind[0] == "mix" else 1)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["a.png", "none.png", *FAST], "no file none.png"),
        (["a.png", "b.png", "--pictures", "1", *FAST], "--pictures must be"),
        (["a.png", "b.png", "--kind", "mix", "--layer", "99", *FAST], "first layer to mix"),
        (["a.png", "b.png", "--kind", "diffuse", *FAST], "--mask FILE marks"),
        (["a.png", "b.png", "--mask", "mask.png", *FAST], "--mask FILE marks"),
        (["a.npz", "b.png", "--kind", "diffuse", "--mask", "mask.png", *FAST], "needs two pictures"),
        (["a.png", "b.png", "--method", "dip", "--set", "dip.steps=1", "--align", "centre"], "no code"),
    ],
)
def test_wrong_arguments_are_refused_in_words(combine: Combine, arguments: list[str], text: str) -> None:
    status, _, err = combine(*arguments)
    assert status == 2
    assert text in err.splitlines()[-1]
    assert not list(Path().glob("made/*.png"))
