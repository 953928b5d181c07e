"""The quality tables: which rows are computed again, their columns, and their file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import quality
from benchmarks.common import RowFile
from inversion.checkpoints import hub
from inversion.checkpoints.registry import Entry, registry
from inversion.encoders import ROLES
from inversion.methods import METHODS
from inversion.metrics import METRICS, Metric
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
    before = {key: quality.weights_of(faces, key) for key in METHODS}
    name = next(name for name, entry in entries.items() if is_meant(entry))
    monkeypatch.setattr(quality, "registry", lambda: {**entries, name: replace(entries[name], sha256="f" * 64)})
    assert [key for key in METHODS if quality.weights_of(faces, key) != before[key]] == users


def test_missing_files_do_not_count(faces: Model) -> None:
    psp = next(entry for entry in registry().values() if entry.generator == hub.DEFAULT and entry.role == "psp")
    missing = replace(faces, absent={psp.name: "not cached"})
    assert quality.weights_of(missing, "psp") != quality.weights_of(faces, "psp")


def test_the_columns_are_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "toy", Metric("Toy", 1, "lower", "A toy.", lambda image, truth, model: [0.0]))
    rows: list[dict[str, Any]] = [
        {"task": "reconstruct", "label": "w", "psnr": psnr, "toy": toy, "lpips": None, "seconds": 2.0}
        for psnr, toy in ((20.0, None), (21.0, 3.0))
    ]
    head, _, line = quality.means_table(rows).splitlines()
    assert head == "| Task | Method | n | PSNR | Toy | Seconds |"
    assert line == "| reconstruct | w | 2 | 20.50 | 3.0 | 2.0 |"
    assert set(METRICS) < set(quality.columns())


def test_rows_are_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_model: Model) -> None:
    """A second run reuses the rows of the first."""
    model = replace(full_model, domain="synthetic-faces")
    monkeypatch.setattr(hub, "load", lambda *args, **options: model)
    path = tmp_path / "quality.json"
    arguments = ["--json", str(path), "--n", "1", "--tasks", "reconstruct,superres", "--methods", "w,measured"]
    arguments += ["--set", "w.steps=2", "--pictures", str(tmp_path / "pictures")]
    assert quality.main(arguments) == 0
    rows = json.loads(path.read_text())
    assert [(row["task"], row["label"]) for row in rows] == [
        (task, label) for task in ("reconstruct", "superres") for label in ("w w.steps=2", "measured")
    ]
    assert len(list((tmp_path / "pictures").iterdir())) == 4
    monkeypatch.setattr(quality, "run", None)  # nothing is computed again
    assert quality.main(arguments) == 0 and json.loads(path.read_text()) == rows


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
