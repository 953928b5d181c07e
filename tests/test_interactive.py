"""`compare` from Python: the results of the command line, as a list that shows itself; and the example notebook."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Generator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.lanes import signalled
from PIL import Image
from torch import Tensor

import inversion
from inversion import Comparison, UserError, compare, images
from inversion.__main__ import main
from inversion.checkpoints import hub
from inversion.methods import BASIC
from inversion.model import Model
from inversion.serving.lane import Lane
from inversion.serving.runs import Event, LaneError, Request

FAST: dict[str, Any] = {"align": "centre", "progress": False, "settings": {"w.steps": 2}}
BOTH: dict[str, Any] = {**FAST, "methods": ["w", "psp"]}


@pytest.fixture(autouse=True)
def tiny(full_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded model stands for a tiny one."""
    monkeypatch.setattr(hub, "load", lambda name, **_: full_model)


@pytest.fixture
def picture(pictures: Tensor, tmp_path: Path) -> Path:
    path = tmp_path / "face <1>.png"
    images.write_png(path, images.to_array(pictures[0]))
    return path


@pytest.fixture
def comparison(picture: Path) -> Comparison:
    return compare(picture, **BOTH)


def test_the_results_are_those_of_the_command_line(
    comparison: Comparison, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--methods", "w,psp", "--set", "w.steps=2", "--align", "centre", "--json"]
    assert main(["compare", str(picture), *words]) == 0
    rows = json.loads(capsys.readouterr().out)
    varying = ("seconds", "spent", "image")
    mine = [{key: value for key, value in row.items() if key not in varying} for row in comparison.rows]
    assert mine == [{key: value for key, value in row.items() if key not in varying} for row in rows]


def test_a_comparison_is_a_list_of_results(comparison: Comparison) -> None:
    first, second = comparison
    assert len(comparison) == 2 and comparison[0] is first is comparison["w"] and comparison[-1] is second
    assert comparison[:1] == (first,) and second in comparison and list(reversed(comparison)) == [second, first]
    with pytest.raises(KeyError, match="choose one of w, psp"):
        comparison["pti"]
    assert (first.method, first.label, second.label) == ("w", "W", "pSp") and first.seconds > 0
    assert first.array.shape == (32, 32, 3) and np.array_equal(np.asarray(first.picture), first.array)
    assert first.code is not None and first.code.space == "w" and first.weights is None
    assert comparison.original is not None and comparison.original.size == comparison.input.size == (32, 32)


@pytest.mark.parametrize("kind", ["text", "bytes", "PIL", "array"])
def test_a_picture_may_be_anything_that_holds_one(kind: str, picture: Path, comparison: Comparison) -> None:
    image = Image.open(picture)
    given = {"text": str(picture), "bytes": picture.read_bytes(), "PIL": image, "array": np.asarray(image)}[kind]
    again = compare(given, "w", **FAST)
    assert np.array_equal(again[0].array, comparison[0].array)
    with pytest.raises(images.BadImage, match="uint8"):
        compare(np.zeros((8, 8, 3)), "w", **FAST)


def test_fields_of_the_task_are_options(picture: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[8:16, 8:16] = 255
    shares = []
    for given in (mask, Image.fromarray(mask)):
        shares += [compare(picture, "w", "inpaint", mask=given, invert_mask=turned, **FAST) for turned in (False, True)]
    assert [one.rows[0]["hole_share"] for one in shares] == [1 / 16, 15 / 16] * 2
    small = compare(picture, "w", "superres", factor=8, **FAST)
    assert small.rows[0]["parameters"]["factor"] == 8
    assert "Input to the methods" in small._repr_html_() and "Input to the methods" not in shares[0].results


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"methods": ["magic"]}, "magic"),
        ({"colour": 1}, "no option 'colour'. Choose one of: seed"),
        ({"settings": {"pti.steps": 1}}, "pti"),
        ({"settings": {"w.steps": -1}}, "w.steps must be"),
        ({"seed": -1}, "seed must be"),
        ({"align": "left"}, "align must be one of"),
        ({"task": "superres", "factor": 0}, "factor must be"),
        ({"model": "nobody"}, "nobody"),
    ],
)
def test_wrong_arguments_are_explained(changes: dict[str, Any], says: str, picture: Path) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        compare(picture, **{**FAST, "methods": ["w"], **changes})


def test_methods_that_the_model_lacks(picture: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "load", lambda name, **_: model)  # without encoders
    with pytest.raises(LaneError, match="psp cannot run: "):
        compare(picture, ["w", "psp"], **FAST)
    steps = {f"{stage}.steps": 1 for stage in ("z", "w", "wplus", "multicode", "pti")}
    found = compare(picture, align="centre", progress=False, settings={**steps, "multicode.codes": 2})
    assert [result.method for result in found] == list(BASIC)


def test_a_method_that_fails_leaves_the_others(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Lane.__call__

    def failing(lane: Lane, request: Request) -> Generator[Event, bool | None, None]:
        if request.method == "w":
            raise LaneError("Not <enough> memory.")
        yield from real(lane, request)

    monkeypatch.setattr(Lane, "__call__", failing)
    found = compare(picture, **BOTH)
    assert [result.method for result in found] == ["psp"] and found.failed == {"w": "Not <enough> memory."}
    assert "w: Not <enough> memory." in repr(found) and "W: Not &lt;enough&gt; memory." in found._repr_html_()
    with pytest.raises(LaneError, match="Not <enough>"):
        compare(picture, "w", **FAST)


def test_ctrl_c_keeps_the_best_so_far(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lane, "__call__", signalled(signal.SIGINT))
    found = compare(picture, ["w", "psp"], align="centre", progress=False, settings={"w.steps": 50})
    assert [row["interrupted"] for row in found.rows] == [True] and found.rows[0]["steps"] == 4


def test_a_terminal_shows_a_table(comparison: Comparison) -> None:
    title, head, *lines = repr(comparison).splitlines()
    assert title.startswith("Reconstruction: ") and head.split()[:3] == ["method", "psnr", "ssim"]
    assert [line.split()[0] for line in lines] == ["w", "psp"]
    assert re.fullmatch(r"<W: Time [\d.]+ s, PSNR [\d.]+ dB, SSIM [\d.]+>", repr(comparison[0]))


class Page(HTMLParser):
    """The pictures and the elements of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.pictures += [dict(attrs)["src"] or ""] if tag == "img" else []


def test_a_notebook_shows_pictures_with_figures(comparison: Comparison) -> None:
    text = comparison._repr_html_()
    page = Page(text)
    assert len(page.pictures) == 3 and all(one.startswith("data:image/webp;base64,") for one in page.pictures)
    assert page.tags == {"p", "div", "figure", "img", "figcaption", "b", "span"}
    assert "face &lt;1&gt;.png" in text and "<b>pSp</b>" in text and text.count(" dB<") == 2
    assert len(text) < 20_000 and Page(comparison[0]._repr_html_()).pictures == page.pictures[1:2]


@pytest.mark.parametrize("shown", [True, False])
def test_progress_bars_are_optional(shown: bool, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(picture, "w", **{**FAST, "progress": shown})
    assert ("w: W" in capsys.readouterr().err) == shown


def test_files_are_written_beside_each_other_and_never_replaced(comparison: Comparison, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, second = comparison.save(out), comparison.save(out)
    assert [path.name for path in first] == ["face -1-_reconstruct_w.png", "face -1-_reconstruct_psp.png"]
    assert len({*first, *second}) == 4 and all(path.with_suffix(".npz").is_file() for path in [*first, *second])
    rows = json.loads((out / "face -1-_reconstruct.json").read_text())
    assert [Path(row["image"]).name for row in rows] == [path.name for path in [*first, *second]]
    assert np.array_equal(np.asarray(images.read(first[0])), comparison[0].array)
    path = comparison[0].save(out / "mine.png")
    start = {"start": path.with_suffix(".npz"), "settings": {"wplus.steps": 1}}
    again = compare(images.read(path), "wplus", align="centre", progress=False, **start)
    assert again.rows[0]["start"] is not None
    with pytest.raises(UserError, match="end in .png"):
        comparison[0].save(out / "mine.jpg")


def test_the_names_are_public() -> None:
    assert {"compare", "Comparison", "ComparedResult"} <= set(inversion.__all__)
