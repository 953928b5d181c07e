"""Figures of translations: what they measure, and that their commands run."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.drawings import translating_model

from benchmarks import determined
from benchmarks import translations as benchmark
from inversion import images
from inversion.checkpoints import hub
from inversion.common.errors import UserError
from inversion.model import Model
from inversion.perception.predictor import Predictor
from inversion.synthetic.faces import NAMES
from inversion.training.pairs import PairFile


@pytest.fixture(scope="module")
def whole() -> Model:
    return translating_model()


def test_the_benchmark_scores_what_is_made(
    whole: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, small in (("FITTED", 16), ("STEPS", 5), ("SAMPLED", 64), ("READABLE", -math.inf)):
        monkeypatch.setattr(benchmark, name, small)
    predictor = Predictor(NAMES, (8,) * 5).eval().requires_grad_(False)
    encoders = {name: whole.encoders[name] for name in ("sketch", "frontalize")}
    encoders["psp"] = whole.encoders["frontalize"]
    scored = replace(whole, predictor=predictor, encoders=encoders)
    monkeypatch.setattr(hub, "load", lambda *_, **__: scored)
    arguments = ["--n", "3", "--json", str(tmp_path / "rows.json"), "--pictures", str(tmp_path)]
    assert benchmark.main(arguments) == 0
    assert "map is left out" in capsys.readouterr().err
    rows = {row["translation"]: row for row in json.loads((tmp_path / "rows.json").read_text())}
    assert set(rows) == {"sketch", "frontalize"}
    assert 0 <= rows["sketch"]["iou"] <= 1
    assert all(row["yaw_degrees"] > 0 for row in rows.values())
    assert images.read(tmp_path / "sketch.png").size == (3 * whole.resolution, 6 * whole.resolution)


def test_without_a_predictor_only_parts_and_seconds_are_scored(
    whole: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, small in (("FITTED", 16), ("STEPS", 5), ("SAMPLED", 64)):
        monkeypatch.setattr(benchmark, name, small)
    encoders = {"map": whole.encoders["map"], "psp": whole.encoders["frontalize"]}
    monkeypatch.setattr(hub, "load", lambda *_, **__: replace(whole, encoders=encoders))
    assert benchmark.main(["--n", "2", "--json", str(tmp_path / "rows.json")]) == 0
    [row] = json.loads((tmp_path / "rows.json").read_text())
    measured = {name for name, value in row.items() if isinstance(value, float)}
    assert measured == {"seconds", "seconds_10", "iou", "iou_of_reconstruction", "iou_of_truth", "iou_ratio"}


def test_iou_is_one_for_the_same_map_and_counts_every_class() -> None:
    a, b = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 2])
    assert benchmark.iou(a, a) == 1
    assert benchmark.iou(a, b) == pytest.approx((2 / 3 + 0 + 0) / 3)


def test_readings_are_scored_by_what_they_explain_and_on_which_side_they_lie() -> None:
    truth = torch.tensor([[-0.5], [-0.1], [0.2], [0.4]])
    assert benchmark.explained(truth, truth) == 1
    assert benchmark.explained(truth.mean().expand(4, 1), truth) == pytest.approx(0)
    assert benchmark.sign_accuracy(2 * truth, truth) == 1
    assert benchmark.sign_accuracy(truth.abs(), truth) == 0.5


def test_a_reader_learns_what_drawings_show(
    whole: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = replace(whole, predictor=Predictor(NAMES, (8,) * 5).eval().requires_grad_(False))
    monkeypatch.setattr(hub, "load", lambda *_, **__: scored)
    monkeypatch.setattr(determined, "BATCH", 4)
    arguments = ["--pairs", str(tmp_path), "--count", "8", "--n", "6", "--json", str(tmp_path / "rows.json")]
    with pytest.raises(UserError, match="train pairs"):
        determined.main(arguments)
    PairFile(tmp_path, 8, whole.resolution, create=True).render()
    assert determined.main([*arguments, "--steps", "2"]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["kind"] for row in rows] == list(determined.KINDS)
    assert all(len(row["factors"]) == 53 for row in rows)
