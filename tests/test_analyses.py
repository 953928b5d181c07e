"""Laws of the registry of analyses: sentences, reports on tiny networks, cancelling, limits, files."""

from __future__ import annotations

import csv
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from helpers.editing import editable
from helpers.translation import english_left
from torch import Tensor

from inversion import analyse
from inversion.__main__ import main
from inversion.analysis import ANALYSES, Analysis, Case, Report, analysis_of
from inversion.analysis.export import write
from inversion.checkpoints import hub
from inversion.common.plot import draw
from inversion.common.settings import SettingError
from inversion.generators import StyleGAN2
from inversion.images import to_array, write_png
from inversion.methods import METHODS, Step
from inversion.model import Model
from inversion.serving.archive.reports import read_report, report_parts, report_record
from inversion.serving.lane import Lane
from inversion.serving.plans import plan_of
from inversion.serving.runs import Finished, Progress, Ready, Request
from inversion.synthetic import DOMAINS
from inversion.synthetic.faces import FACES
from ui.languages import LANGUAGES

SENTENCES = ("claim", "look", "where")


def smallest(key: str) -> Analysis:
    """An analysis with as little work as its fields allow."""
    analysis = analysis_of(key)
    low = {spec.name: spec.metadata.get("min") for spec in fields(analysis) if "min" in spec.metadata}
    return analysis.configured({name: value for name, value in low.items() if name != "threshold"})


@pytest.fixture(scope="module")
def complete(full_model: Model, prior: StyleGAN2) -> Model:
    """The tiny model with everything that an analysis may need."""
    return editable(full_model, prior)


@pytest.fixture(scope="module")
def reports(complete: Model, pictures: Tensor) -> dict[str, list[Report]]:
    """All reports of every analysis."""
    case = Case(replace(complete, domain=next(iter(DOMAINS))), pictures[:1])
    return {key: [event for event in smallest(key)(case) if isinstance(event, Report)] for key in ANALYSES}


@pytest.mark.parametrize("key", ANALYSES)
def test_it_opens_with_three_sentences_and_shows_the_picture_at_once(
    key: str, reports: dict[str, list[Report]]
) -> None:
    kind = ANALYSES[key]
    assert kind.key == key and all(getattr(kind, name).endswith(".") for name in SENTENCES)
    assert all(". " not in getattr(kind, name) for name in ("claim", "look")), "one sentence each"
    first, *_, last = reports[key]
    assert first.pictures and not first.finding
    assert last.finding.endswith(".") and last.pictures and last.table.rows
    assert all(len(row) == len(last.table.columns) for row in last.table.rows)
    assert all(picture.pixels.dtype == np.uint8 and picture.pixels.ndim == 3 for picture in last.pictures)


def texts_of(report: Report) -> list[str]:
    """All that a reader of a report sees."""
    pictures = [text for one in report.pictures for text in (one.title, one.figures)]
    plots = [text for one in report.plots for text in (one.title, one.x, one.y, *(line.label for line in one.series))]
    cells = [cell for row in report.table.rows for cell in row if isinstance(cell, str)]
    return [report.finding, *pictures, *plots, *(column.label for column in report.table.columns), *cells]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", ANALYSES)
def test_its_report_is_in_the_language_of_the_page(key: str, language: str, reports: dict[str, list[Report]]) -> None:
    assert not english_left((text for report in reports[key] for text in texts_of(report)), language)


@pytest.mark.parametrize("key", ANALYSES)
def test_its_report_can_be_written_and_read(key: str, reports: dict[str, list[Report]], tmp_path: Path) -> None:
    report = reports[key][-1]
    files = write(report, report.row(), tmp_path, key)
    assert files.sheet is not None and files.sheet.stat().st_size > 1000
    with files.table.open(encoding="utf-8") as file:
        assert len(list(csv.reader(file))) == len(report.table.rows) + 1
    row = json.loads(files.figures.read_text(encoding="utf-8"))
    assert row["finding"] == report.finding and len(row["pictures"]) == len(report.pictures)
    assert len(files.plots) == len([plot for plot in report.plots if not plot.empty])
    assert all(path.read_text(encoding="utf-8").startswith("<svg") for path in files.plots)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    write(report, report.row(), tmp_path, key)
    kept = {path: path.read_bytes() for path in before}
    assert kept == before and len(list(tmp_path.iterdir())) == 2 * len(before)


@pytest.mark.parametrize("key", ANALYSES)
def test_its_report_survives_the_archive(key: str, reports: dict[str, list[Report]]) -> None:
    report = reports[key][-1]
    stored = {name: pack() for name, pack in report_parts(report, 0).items()}
    record = json.loads(json.dumps(report_record(report), allow_nan=False))
    again = read_report(record, 0, stored.__getitem__, {name: len(data) for name, data in stored.items()})
    assert json.dumps(again.row()) == json.dumps(report.row()) and again.across == report.across
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(again.pictures, report.pictures, strict=True))
    assert [draw(plot) for plot in again.plots] == [draw(plot) for plot in report.plots]


@pytest.mark.parametrize("key", ANALYSES)
def test_its_plan_is_known_and_it_can_be_cancelled(key: str, complete: Model, pictures: Tensor) -> None:
    analysis = smallest(key)
    events = analysis(Case(complete, pictures[:1]))
    assert isinstance(next(events), Report)
    step = next(event for event in events if isinstance(event, Step))
    assert step.total >= step.index
    events.close()
    assert 0 < analysis.steps <= analysis_of(key).steps and analysis.cost > 0
    assert plan_of(request(key)).stages == ((ANALYSES[key].label, analysis_of(key).steps),)


def test_wrong_settings_and_models_without_a_part_are_refused(model: Model) -> None:
    with pytest.raises(SettingError, match="has no setting 'x'"):
        analysis_of("codes").configured({"x": 1})
    with pytest.raises(SettingError, match="between"):
        analysis_of("codes").configured({"most": 99})
    with pytest.raises(SettingError, match="Unknown analysis 'x'"):
        analysis_of("x")
    assert not ANALYSES.keys() & METHODS.keys(), "a page tells an analysis from a method by its key"
    lacking = {key for key in ANALYSES if analysis_of(key).unavailable(Model("empty"))}
    assert lacking == set(ANALYSES)


def request(key: str, picture: np.ndarray | None = None, **settings: object) -> Request:
    """An analysis on the tiny model."""
    pixels = np.zeros((8, 8, 3), np.uint8) if picture is None else picture
    return Request("reconstruct", key, pixels, "tiny", settings, analysis=key)


def test_a_lane_runs_it_stops_on_request_and_keeps_the_report(lane: Lane, pictures: Tensor) -> None:
    asked = request("codes", to_array(pictures[0]), effort=0.02)
    assert lane.check(asked) == "Number of codes"
    events = list(lane(asked))
    assert isinstance(events[0], Ready) and isinstance(events[-1], Finished)
    assert events[-1].report is not None and events[-1].row["finding"] and not events[-1].message
    steps = [event for event in events if isinstance(event, Progress)]
    assert [event.step for event in steps] == sorted(event.step for event in steps)
    stopped = lane(asked)
    next(stopped)
    next(stopped)
    last = stopped.send(True)
    assert isinstance(last, Finished) and "Stopped" in last.message and last.report is not None


def test_a_plot_is_readable_without_the_page() -> None:
    from inversion.common.plot import Plot, Series

    plot = Plot("<Title>", "x", "y", (Series("<a>", [(1.0, 2.0), (4.0, 3.0)]),), logarithmic=True, ticks=(1, 4))
    text = draw(plot, alone=True)
    assert "&lt;a&gt;" in text and "xmlns" in text and "<polyline" in text and "--c: #0f8a6d" in text
    assert draw(Plot("empty", "x", "y", (Series("a", ()),))) == ""


def test_an_example_has_its_exact_parts_and_another_picture_estimated_ones(complete: Model) -> None:
    from dataclasses import replace

    from inversion.analysis.segments import ESTIMATED, EXACT, segments_of

    faces = replace(complete, domain="synthetic-faces")
    example = Case(faces, FACES.draw(FACES.examples[:1], 64).picture)
    other = Case(faces, FACES.draw([1_000_500], 64).picture)
    found, guessed = segments_of(example), segments_of(other)
    assert found is not None and found.source == EXACT and guessed is not None and guessed.source == ESTIMATED
    background = found.overlaps(found.mask("background"))
    assert background["background"] == 1 and max(background, key=background.__getitem__) == "background"
    assert segments_of(Case(complete, other.picture)) is None


def test_python_gets_the_same_report_and_shows_it(
    complete: Model, pictures: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "load", lambda *_, **__: complete)
    found = analyse("codes", to_array(pictures[0]), settings={"effort": 0.02}, align="centre", progress=False)
    assert len(found.rows) == 5 and found.report.finding in repr(found) and "<svg" in found._repr_html_()
    sheet = found.save(tmp_path / "new")
    assert sheet is not None and sheet.is_file() and found.sheet.width > 500


def test_the_command_prints_the_table_and_writes_the_files(
    complete: Model,
    pictures: Tensor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(hub, "load", lambda *_, **__: complete)
    write_png(tmp_path / "face.png", to_array(pictures[0]))
    out = tmp_path / "out"
    status = main(
        ["analyse", "codes", str(tmp_path / "face.png"), "--set", "effort=0.02", "--align", "centre", "--out", str(out)]
    )
    printed = capsys.readouterr()
    assert status == 0 and "Claim: " in printed.out and "Codes  PSNR in dB" in printed.out
    assert {path.suffix for path in out.iterdir()} == {".png", ".csv", ".json", ".svg"}
    assert main(["analyse", "codes", str(tmp_path / "face.png"), "--set", "most=99"]) == 2
