"""The quality tables: which rows are computed again, their columns, and their file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from benchmarks import quality
from benchmarks.cases import HOLES
from benchmarks.common import RowFile
from benchmarks.tables import TABLES, base, code, report
from benchmarks.tables.published import REPORTED
from inversion.checkpoints import hub
from inversion.checkpoints.registry import Entry, registry
from inversion.encoders import ROLES
from inversion.methods import METHODS, parse_method
from inversion.metrics import METRICS
from inversion.model import Model

FACES = registry()[hub.DEFAULT]
USED: dict[str, tuple[Callable[[Entry], bool], list[str]]] = {
    "the generator": (lambda entry: entry.name == hub.DEFAULT, list(METHODS)),
    "the predictor": (lambda entry: entry.kind == "predictor", list(METHODS)),
    "the discriminator": (
        lambda entry: entry.kind == "discriminator" and entry.generator == hub.DEFAULT,
        [key for key, method in METHODS.items() if "discriminator" in method.needs],
    ),
    "another domain's generator": (lambda entry: entry.domain == "synthetic-houses", []),
    **{
        f"the encoder {role}": (
            lambda entry, role=role: entry.role == role and entry.generator == hub.DEFAULT,  # type: ignore[misc]
            [key for key, method in METHODS.items() if f"encoders.{role}" in method.needs],
        )
        for role in ROLES
        if any(entry.role == role and entry.generator == hub.DEFAULT for entry in registry().values())
    },
}


@pytest.fixture
def faces() -> Model:
    return Model(hub.DEFAULT, domain=FACES.domain)


@pytest.mark.parametrize("which", USED)
def test_a_new_file_changes_the_rows_of_the_methods_that_use_it(
    which: str, faces: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_meant, users = USED[which]
    entries = registry()
    before = {key: base.weights_of(faces, key) for key in METHODS}
    name = next(name for name, entry in entries.items() if is_meant(entry))
    monkeypatch.setattr(base, "registry", lambda: {**entries, name: replace(entries[name], sha256="f" * 64)})
    assert [key for key in METHODS if base.weights_of(faces, key) != before[key]] == users


def test_missing_files_do_not_count(faces: Model) -> None:
    psp = next(entry for entry in registry().values() if entry.generator == hub.DEFAULT and entry.role == "psp")
    missing = replace(faces, absent={psp.name: "not cached"})
    assert base.weights_of(missing, "psp") != base.weights_of(faces, "psp")


def test_the_columns_are_the_metrics() -> None:
    assert set(METRICS) < set(TABLES["inversion"].columns)
    place = {"task": "reconstruct", "setting": "", "label": "w", "preset": "quick"}
    rows: list[dict[str, Any]] = [
        {**place, "pictures": "1", "psnr": 20.0, "ssim": None, "lpips": None, "seconds": 2.0},
        {**place, "pictures": "2", "psnr": 21.0, "ssim": 0.5, "lpips": None, "seconds": 2.0, "stale": True},
    ]
    head, line = report.means(report.grouped(rows), TABLES["inversion"].columns, {})
    assert head == ["Task", "Method", "n", "PSNR", "SSIM", "Seconds"]
    assert line == ["reconstruct", f"w (quick) {report.STALE}", 2, "20.50", "0.500", "2.0"]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_model: Model
) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    """The benchmark on a tiny model: its status and the rows of its file."""
    model = replace(full_model, domain="synthetic-faces")
    monkeypatch.setattr(hub, "load", lambda *args, **options: model)
    path = tmp_path / "quality.json"
    fixed = ["--json", str(path), "--n", "1", "--methods", "w,measured", "--set", "w.steps=2"]
    fixed += ["--tables", "inversion,restoration", "--tasks", "superres", "--factors", "8"]

    def run(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
        status = quality.main([*fixed, *arguments])
        return status, json.loads(path.read_text())

    return run


def test_rows_are_computed_again_only_for_new_code_weights_or_settings(
    call: Callable[..., tuple[int, list[dict[str, Any]]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, rows = call()
    expected = [(task, label) for task in ("reconstruct", "superres") for label in ("w w.steps=2", "measured")]
    assert status == 0 and [(row["task"], row["label"]) for row in rows] == expected
    assert len(list((tmp_path / "pictures").iterdir())) == 4
    assert {path.name for path in (tmp_path / "sheets").iterdir()} == {
        "inversion-reconstruct.png",
        "restoration-superres-x8.png",
    }
    assert (tmp_path / "quality.csv").read_text().count("\n") == 5 and report.STALE not in capsys.readouterr().out
    computed = quality.computed
    monkeypatch.setattr(quality, "computed", lambda args, jobs, todo: computed(args, jobs, seen.append(todo) or todo))
    seen: list[list[int]] = []
    assert call() == (0, rows)  # nothing is computed again
    monkeypatch.setattr(base, "digest_of", lambda modules: "newer")
    assert call("--cached") == (0, rows) and report.NOTE in capsys.readouterr().out
    assert call()[1] == [{**row, "code": "newer", "seconds": ANY} for row in rows]
    assert call("--seed", "1")[0] == 0
    assert [len(todo) for todo in seen] == [0, 0, 4, 4]


def test_the_tables_of_a_document_are_replaced(
    call: Callable[..., tuple[int, list[dict[str, Any]]]], tmp_path: Path
) -> None:
    path = tmp_path / "page.md"
    places = [f"{quality.BEGIN.format(place)}\nold\n{quality.END}\n" for place in quality.PLACES]
    path.write_text(f"before\n{''.join(places)}after\n")
    assert call("--into", str(path))[0] == 0
    text = path.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text and "| superres x8 |" in text
    path.write_text("no place")
    assert call("--into", str(path))[0] == 2 and path.read_text() == "no place"


def test_code_is_named_without_its_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits change with a statement of a module or of a module that it imports, not with a comment or docstring."""
    folder = tmp_path / "inversion" / "methods"
    folder.mkdir(parents=True)
    monkeypatch.setattr(code, "ROOT", tmp_path)

    def digits(first: str, second: str) -> str:
        (folder / "first.py").write_text(first)
        (folder / "second.py").write_text(second)
        code.forget()
        return code.digest_of(["inversion.methods.first"])

    first, second = "from inversion.methods import second\n", "x = 1\n"
    same = digits(first, second)
    assert digits(f'"""Words."""\n{first}', f"# words\n{second}") == same
    assert digits(first, "x = 2\n") != same and digits(f"{first}y = 1\n", second) != same


def test_holes_are_the_same_every_time() -> None:
    for hole in HOLES.values():
        mask = hole(64)
        assert mask.shape == (64, 64) and 0.05 < (mask > 127).mean() < 0.6 and (mask == hole(64)).all()


def test_reported_figures_belong_to_a_table_and_a_method() -> None:
    for one in [one for every in REPORTED.values() for one in every]:
        assert one.table in TABLES and one.figures
        assert one.method == base.MEASURED or parse_method(one.method).stages


def test_a_failed_write_keeps_the_old_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "quality.json"
    file = RowFile(path)
    file.add({"psnr": 1.0})
    real: Callable[..., int] = Path.write_text

    def full(path: Path, text: str, encoding: str) -> int:
        real(path, text[: len(text) // 2])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        file.add({"psnr": 2.0})
    assert json.loads(path.read_text()) == [{"psnr": 1.0}]
