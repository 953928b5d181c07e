"""`batch`: every row once, also after kills; a report that needs no other file; a broken picture is a row."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import re
import signal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from inversion import images
from inversion.__main__ import main
from inversion.checkpoints import hub
from inversion.cli import batch_command, report
from inversion.cli.report import Entry
from inversion.common.plot import Series, scatter
from inversion.model import Model
from inversion.serving import engines
from inversion.serving.lane import Lane

VARYING = ("seconds", "spent", "message")  # a stage may be taken from an earlier run of the same process


@pytest.fixture
def loads(full_model: Model, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The embedded model stands for a tiny one. The names of the models that were loaded."""
    names: list[str] = []
    monkeypatch.setattr(hub, "load", lambda name, **_: names.append(name) or full_model)
    return names


@pytest.fixture
def folder(pictures: Tensor, tmp_path: Path) -> Path:
    """Three pictures."""
    place = tmp_path / "in"
    place.mkdir()
    for i in range(3):
        images.write_png(place / f"face-{i}.png", images.to_array(pictures[i]))
    return place


def batch(folder: Path, out: Path, *more: str, methods: str = "w,wplus") -> int:
    """The exit status of a batch."""
    steps = [word for method in methods.split(",") if method for word in ("--set", f"{method}.steps=3")]
    fixed = ["batch", "--images", str(folder), "--methods", methods, "--out", str(out), "--align", "centre"]
    return main([*fixed, *steps, *more])


def rows(out: Path) -> list[dict[str, Any]]:
    """The rows of a batch without what differs between two runs."""
    found = json.loads((out / "rows.json").read_text("utf-8"))
    return [{key: value for key, value in row.items() if key not in VARYING} for row in found]


def killed(folder: Path, out: Path, patch: pytest.MonkeyPatch, at: tuple[object, str], call: int) -> None:
    """Run a batch in another process, which is killed when the attribute `at` is called for this time."""
    real, calls = getattr(*at), []

    def counted(*values: Any, **options: Any) -> Any:  # noqa: ANN401 - as the function that it replaces
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*values, **options)

    with patch.context() as inner:
        inner.setattr(*at, counted)
        process = multiprocessing.get_context("fork").Process(target=batch, args=(folder, out))
        process.start()
        process.join(60)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.usefixtures("loads")
def test_a_batch_that_was_killed_twice_has_every_row_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert batch(folder, whole) == 0
    killed(folder, broken, monkeypatch, (Lane, "__call__"), 2)  # before a run
    killed(folder, broken, monkeypatch, (batch_command, "write_files"), 3)  # between a picture and its row
    saved = {path.name: path.stat().st_mtime_ns for path in (broken / "rows").iterdir()}
    assert len(saved) == 3
    assert batch(folder, broken) == 0
    assert rows(broken) == rows(whole) and len(rows(whole)) == 6
    names = [sorted(path.name for path in (out / "pictures").iterdir()) for out in (whole, broken)]
    assert names[0] == names[1] and len(names[0]) == 12, "a picture and a code for each row"
    assert all((broken / "rows" / name).stat().st_mtime_ns == time for name, time in saved.items())
    table = list(csv.DictReader((broken / "rows.csv").open(encoding="utf-8")))
    assert [row["image"] for row in table] == [row["image"] for row in rows(whole)]


def test_nothing_is_done_twice_and_a_changed_setting_is_another_row(
    folder: Path, tmp_path: Path, loads: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = tmp_path / "out", folder / "face-0.png"
    assert batch(folder, out, methods="w") == 0
    loads.clear()
    assert batch(folder, out, methods="w") == 0 and not loads, "all rows exist, so no model is needed"
    assert "Rows of earlier commands: 1." in capsys.readouterr().out
    before = rows(out)
    for more in (["--set", "w.steps=2"], ["--seed", "1"], ["--task", "superres", "--factor", "4"]):
        assert batch(folder, out, *more, methods="w") == 0
        assert not {row["key"] for row in rows(out)} & {row["key"] for row in before}
    (out / before[0]["image"]).unlink()
    assert batch(folder, out, methods="w") == 0 and rows(out) == before
    assert (out / before[0]["image"]).is_file()


@pytest.mark.usefixtures("loads")
def test_a_broken_picture_is_a_row_with_its_reason(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken<b>.png").write_bytes(b"no picture")
    (tmp_path / "list.txt").write_text("# two pictures\nin/broken<b>.png\n\nin/face-1.png\n")
    assert batch(tmp_path / "list.txt", tmp_path / "out") == 1
    assert "broken<b>.png: The file is a text" in capsys.readouterr().err
    first, *others = rows(tmp_path / "out")
    assert first["picture"].endswith("broken<b>.png") and "is a text" in first["error"] and first["image"] is None
    assert [row["method"] for row in others] == ["w", "wplus"] and not any(row["error"] for row in others)
    text = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "is a text" in text and "broken&lt;b&gt;.png" in text and "<b>.png" not in text


@pytest.mark.usefixtures("loads")
@pytest.mark.parametrize(
    ("more", "says"),
    [(["--methods", "magic"], "magic"), (["--methods", ","], "at least one"), (["--set", "pti.steps=1"], "pti")],
)
def test_a_wrong_batch_is_refused_before_it_begins(
    more: list[str], says: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status: object = batch(folder, tmp_path / "out", *more)
    except SystemExit as stop:
        status = stop.code
    err = capsys.readouterr().err
    assert status == 2 and says in err and not (tmp_path / "out" / "rows.json").exists()
    with pytest.raises(SystemExit):
        main(["batch", "--images", str(folder)])


class Balanced(HTMLParser):
    """Collects the addresses of a page, and checks that its elements are closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.usefixtures("loads")
def test_the_report_needs_no_other_file(folder: Path, tmp_path: Path) -> None:
    assert batch(folder, tmp_path / "out", "--task", "superres", "--factor", "4") == 0
    text = (tmp_path / "out" / "report.html").read_text("utf-8")
    addresses = Balanced(text).addresses
    pictures = [one for one in addresses if one.startswith("data:image/webp;base64,")]
    links = [one for one in addresses if not one.startswith("data:")]
    assert len(pictures) == 3 * (1 + 1 + 2), "the original, the input and two results of each picture"
    assert all((tmp_path / "out" / link).is_file() for link in links) and len(links) == 2 + 6
    assert not re.search(r"https?://|url\(|<script|@import", text)
    assert text.count("<circle") == 6 + 2 and "prefers-color-scheme: dark" in text and "@media print" in text


def row_of(picture: str, method: str, **changes: object) -> dict[str, Any]:
    """A row with figures."""
    row = {"picture": picture, "method": method, "psnr": 20.0, "seconds": 1.0, "error": "", "message": "", "image": ""}
    return {**row, **changes}


def test_means_are_over_the_pictures_that_all_methods_have() -> None:
    labels = {"w": "W", "wplus": "W+"}
    found = [row_of("a", "w", psnr=20.0), row_of("a", "wplus", psnr=22.0), row_of("b", "w", psnr=90.0)]
    entries = [Entry(row, {"result": "data:,"}) for row in found]
    entries.append(Entry(row_of("b", "wplus", error="It failed & ended.")))
    text = report.page("T", [], entries, labels)
    assert "Means over the 1 picture that" in text and "<b>22.00</b>" in text
    assert "55.00" not in text and "It failed &amp; ended." in text and "1 failure<" in text
    none = report.page("T", [], [Entry(row_of("b", "wplus", error="No."))], labels)
    assert "No picture has a result." in none and "<figure>" not in none


@pytest.mark.parametrize("values", [[20.0], [20.0, 20.0], [0.0], [-1.0, 1e-6], [0.1, 1e5]])
def test_a_plot_stays_within_its_frame(values: list[float]) -> None:
    series = [Series(f"<{i}>", [(10.0**i, value) for value in values]) for i in range(-3, 12)]
    text = scatter(series, "PSNR")
    heights = [float(y) for y in re.findall(r' c?y="([\d.-]+)"', text)]
    assert heights and min(heights) >= 0 and max(heights) <= 340 and "&lt;1&gt;" in text and "nan" not in text


def test_several_lanes_give_the_rows_of_one(
    folder: Path, tmp_path: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "broken.png").write_bytes(b"no picture")
    opened: list[Lane] = []

    def lanes(engine: str, device: str, dtype: str, count: int) -> list[Lane]:
        opened.extend(Lane(device, dtype) for _ in range(count))
        return opened

    monkeypatch.setattr(engines, "lanes", lanes)
    assert batch(folder, tmp_path / "one") == 1
    assert batch(folder, tmp_path / "two", "--lanes", "2") == 1 and len(opened) == 2
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    assert batch(folder, tmp_path / "two", "--lanes", "2") == 1, "the broken picture is tried again"
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
