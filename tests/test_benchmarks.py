"""The benchmarks of sliders, codes, tuning and speed run on tiny networks and write their rows."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers.runs import quick

from benchmarks import diffusion, domain_weight, lanes, public, quality, semantics, sliders, soak, speed, tuning, whole
from benchmarks.cases import Case
from benchmarks.common import RowFile, benchmark_parser, table, write_rows
from benchmarks.tables import editing
from benchmarks.usual import usual
from inversion.checkpoints import hub
from inversion.common.commands import UsageError
from inversion.directions import Direction
from inversion.generators import GENERATORS, Discriminator, StyleGAN2
from inversion.methods import METHODS, parse_method
from inversion.methods.clone import Clone
from inversion.methods.pti import PTI
from inversion.model import Model
from inversion.perception.predictor import Predictor
from inversion.serving.lane import Lane
from inversion.synthetic.faces import FACES


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    """A tiny model with a predictor and random directions, which `hub.load` returns."""
    prior = StyleGAN2(16, 64, 32, {4: 8, 8: 8, 16: 8}, mapping_layers=2, noise=False).freeze()  # z as long as a face's
    rng = torch.Generator().manual_seed(0)
    directions = {}
    for name in FACES.headline:
        rows = torch.nn.functional.normalize(torch.randn(1, prior.w_dim, generator=rng))
        directions[name] = Direction(name, name, "attributes", rows, 1.0, -1.0, 1.0, normal=rows)
    predictor = Predictor(FACES.names, (8,) * 5).eval().requires_grad_(False)
    made = Model("tiny", prior, 16, predictor=predictor, directions=directions, domain="synthetic-faces")
    made.discriminator = Discriminator(16, {4: 8, 8: 8, 16: 8}).requires_grad_(False)
    monkeypatch.setattr(hub, "load", lambda *_, **__: made)
    return made


def rows_of(main: Callable[[Sequence[str]], int], path: Path, *arguments: str) -> list[dict[str, object]]:
    """The rows that a benchmark writes."""
    assert main([*arguments, "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_every_slider_gets_a_row(model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of(sliders.main, tmp_path / "rows.json", "--n", "2", "--names", "yaw,smile")
    assert [row["slider"] for row in rows] == ["yaw", "smile"]
    assert all(len(row["means"]) == sliders.POSITIONS for row in rows)  # type: ignore[arg-type]
    assert "| yaw | -1.00 to 1.00 | w | 2 |" in capsys.readouterr().out


def test_codes_of_every_method_are_analysed(model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--n", "4", "--methods", "truth,w", "--set", "w.steps=2"]
    rows = rows_of(semantics.main, tmp_path / "rows.json", *arguments)
    assert [row["method"] for row in rows] == ["truth", "w"]
    assert all(set(row["edits"]) == set(FACES.headline) for row in rows)  # type: ignore[call-overload]
    assert "| truth | 4 |" in capsys.readouterr().out


def test_every_weight_of_the_domain_is_measured_on_every_kind_of_picture(model: Model, tmp_path: Path) -> None:
    sources = ["held-out", "other domain", "photo"]
    rows = rows_of(
        domain_weight.main, tmp_path / "rows.json", "--n", "4", "--sources", ",".join(sources), "--methods", "w"
    )
    assert [row["source"] for row in rows] == sources and [row["n"] for row in rows] == [4, 4, 1]
    assert [row["error"] is None for row in rows] == [False, True, True], "only renders of the domain have a truth"
    assert [(one["indomain.domain_weight"], one["indomain.steps"]) for one in grid()] == [
        (0, 10), (2, 10), (0, 50), (2, 50)
    ]  # fmt: skip
    with pytest.raises(UsageError, match="no pictures 'x'"):
        domain_weight.pictures_of(model, "x", 1)


def grid() -> list[domain_weight.Settings]:
    return list(domain_weight.settings_of("psp+indomain", "0,2", "10,50"))


def test_a_larger_weight_keeps_more_of_the_context(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--n", "2", "--weights", "0,3", "--method", "wplus", "--set", "wplus.steps=15"]
    published, kept = rows_of(diffusion.main, tmp_path / "rows.json", *arguments)
    assert kept["outside"] < published["outside"] and kept["weight"] == 3.0  # type: ignore[operator]
    assert "| 3.0 |" in capsys.readouterr().out


@pytest.mark.parametrize("reads", [True, False])
def test_tuned_generators_are_compared_and_edited_if_a_predictor_reads_the_edits(
    reads: bool, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tuning, "Clone", lambda: Clone(steps=2))
    monkeypatch.setattr(tuning, "PTI", lambda **settings: PTI(steps=2, **settings))
    monkeypatch.setattr(tuning, "parse_method", lambda text: parse_method(text).configured({"wplus.steps": 2}))
    if not reads:
        monkeypatch.setattr(hub, "load", lambda *_, **__: replace(model, predictor=None))
    rows = rows_of(tuning.main, tmp_path / "rows.json", "--n", "1")
    assert [row["method"] for row in rows] == ["wplus", "clone", "pti"]
    assert all(row["moved_rmse"] and bool(row["edits"]) is reads for row in rows[1:])
    assert "| clone | 1 |" in capsys.readouterr().out


def test_codes_and_tuned_generators_are_tables_of_the_quality(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compared(score: object, case: Case, *_: object) -> list[tuning.TuningRow]:
        return [tuning.TuningRow(case.name, "held-out", "pti", 20.0)]

    monkeypatch.setattr(tuning, "compare", compared)
    monkeypatch.setattr(editing, "REFERENCE", range(2))
    given = ["--n", "2", "--tables", "editing,tuning", "--methods", "truth,w,pti", "--set", "w.steps=2"]
    rows = rows_of(quality.main, tmp_path / "rows.json", *given)
    assert [(row["table"], row["label"], row["pictures"]) for row in rows[:2]] == [
        ("editing", "truth", 2),
        ("editing", "w w.steps=2", 2),
    ]
    figures = [row[key] for row in rows[:2] for key in ("halfway_frechet", "edited_frechet", "halfway_loss", "leak")]
    assert all(isinstance(figure, float) for figure in figures)
    assert [row["label"] for row in rows[2:]] == ["pti", "pti"] and rows[2]["psnr"] == 20.0
    edited = [method for method in METHODS.values() if editing.edits(method)]
    assert edited and not any(stage.standalone for method in edited for stage in method.stages)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("kind", GENERATORS)
def test_the_usual_formulation_computes_the_same(kind: str, batch: int) -> None:
    torch.manual_seed(0)
    prior = GENERATORS[kind](16)
    for parameter in prior.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    ws = prior.mapping(torch.randn(batch, prior.z_dim))
    ours = prior.synthesis(ws)
    with usual():
        torch.testing.assert_close(prior.synthesis(ws), ours, rtol=1e-3, atol=1e-3 * ours.abs().max().item())


def test_formulations_are_timed(model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of(speed.main, tmp_path / "rows.json", "--quick", "--device", "cpu", "--parts", "steps")
    names = {(row["name"], row["formulation"]) for row in rows}
    assert {
        (name, form) for name in ("stylegan2, synthesis", "pggan, step", "wplus, step") for form in speed.DTYPES
    } <= names
    assert all(row["ratio"] == 1 for row in rows if row["formulation"] == speed.USUAL)
    assert "| stylegan2, step | 16 | bfloat16 |" in capsys.readouterr().out


def test_whole_runs_are_timed(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "parse_method", lambda key, _: quick(key))
    rows = rows_of(speed.main, tmp_path / "rows.json", "--quick", "--device", "cpu", "--parts", "whole")
    names = [(row["name"], row["formulation"]) for row in rows]
    assert names[:4] == [
        ("opening a model", "first"),
        ("opening a model", "again"),
        (", ".join(whole.COMPARED), "each alone"),
        (", ".join(whole.COMPARED), "together"),
    ]
    assert {f"{key}, to the default's quality" for key in ("w", "wplus", "pti")} <= {name for name, _ in names}
    assert all(row["ratio"] == 1 for row in rows[::2])


def test_the_formulations_agree() -> None:
    torch.manual_seed(0)
    prior = StyleGAN2(16, 8, 8, {4: 8, 8: 6, 16: 4}, mapping_layers=2).freeze()
    for name, parameter in prior.named_parameters():
        if name.endswith("noise_strength"):
            parameter.fill_(0.3)
    pictures: list[torch.Tensor] = []
    for formulation in (speed.USUAL, speed.PRECISE):
        ws = torch.randn(2, prior.num_ws, 8, generator=torch.Generator().manual_seed(1))
        speed.formulated(formulation, lambda ws=ws: pictures.append(prior.synthesis(ws)))()
    torch.testing.assert_close(*pictures)


def test_a_table_has_a_line_for_each_row() -> None:
    assert table(("a", "b"), [(1, 2), ("x",)]) == "| a | b |\n|---|---|\n| 1 | 2 |\n| x |"


def test_rows_are_written_only_to_a_path(tmp_path: Path) -> None:
    write_rows(None, [{"a": 1}])
    write_rows(RowFile(tmp_path / "rows.json"), [{"a": 1}])
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]


def test_a_second_run_replaces_its_own_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"of": "somebody"}]')

    def run(name: str, n: str, value: int) -> None:
        parser = benchmark_parser(name, None)
        parser.add_argument("--n")
        write_rows(parser.parse_args(["--json", str(path), "--n", n]).json, [{"value": value}])

    for name, n, value in (("tuning", "1", 1), ("speed", "1", 2), ("tuning", "2", 3), ("tuning", "1", 4)):
        run(name, n, value)
    rows = json.loads(path.read_text())
    assert rows[0] == {"of": "somebody"}
    assert [(row["benchmark"], row["arguments"]["n"], row["value"]) for row in rows[1:]] == [
        ("speed", "1", 2),
        ("tuning", "2", 3),
        ("tuning", "1", 4),
    ]


FILES = sorted(Path(speed.__file__).parent.glob("[a-z]*.py"))
RUNNABLE = [path.stem for path in FILES if "benchmark_parser(" in path.read_text("utf-8") and path.stem != "common"]


@pytest.mark.parametrize("text", ["", "[{", "{}", "[1]"])
@pytest.mark.parametrize("name", RUNNABLE)
def test_a_file_without_rows_is_refused_before_anything_is_measured(
    name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(SystemExit) as caught:
        importlib.import_module(f"benchmarks.{name}").main(["--json", str(path)])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and error.count("\n") == 1
    assert name == "determined" or error.startswith(f"python -m benchmarks.{name}: {path} ")
    assert path.read_text() == text


def test_a_folder_that_is_no_public_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"model\.py or op is missing"):
        public.steps(tmp_path, 16, torch.device("cpu"), {})


def test_the_drift_of_memory_is_that_of_the_late_samples() -> None:
    early = [(float(second), 100.0 + second) for second in range(0, 600, 10)]  # what is kept for ten minutes fills up
    late = [(float(second), 700.0 + 0.01 * second) for second in range(600, 1800, 10)]
    assert soak.drift([*early, *late]) == pytest.approx(36.0)
    assert soak.drift([(0.0, 1.0)]) == 0 and soak.percentile([]) == 0 and soak.percentile([*range(100)]) == 95


def test_every_kind_of_lane_is_timed_alone_and_every_page_with_all_methods(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {name: 2 if name == "2 lanes" else 1 for name in lanes.PAGES}
    monkeypatch.setattr(lanes, "KINDS", dict.fromkeys(lanes.KINDS, partial(Lane, "cpu", "float32")))
    monkeypatch.setattr(lanes, "PAGES", {name: partial(few_lanes, number) for name, number in numbers.items()})
    short = {key: replace(parse_method(key), quick={f"{key}.steps": 2}) for key in ("w", "wplus")}
    monkeypatch.setattr(lanes, "METHODS", short)
    given = ["--kinds", *lanes.KINDS, "--steps", "2", "--methods", "w", "wplus", "--repeats", "2"]
    rows = rows_of(lanes.main, tmp_path / "rows.json", *given)
    alone = [name for name, number in numbers.items() if number == 1]
    assert [(row["name"], row["lanes"]) for row in rows] == [
        *(("wplus, 2 steps", kind) for kind in lanes.KINDS),
        *(("each alone", name) for name in alone),
        *(("together", name) for name in lanes.PAGES),
    ]
    assert all(len(row["seconds"]) == 2 and row["ratio"] > 0 for row in rows)  # type: ignore[arg-type, operator]


def few_lanes(number: int) -> list[Lane]:
    return [Lane("cpu", "float32") for _ in range(number)]
