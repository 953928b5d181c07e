"""The quality tables: which rows are made again, and a file that is whole at any time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import quality
from inversion.checkpoints import hub
from inversion.checkpoints.registry import Entry, registry
from inversion.encoders import ROLES
from inversion.methods import METHODS
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
def test_a_file_that_was_trained_anew_makes_other_rows_of_the_methods_that_use_it(
    which: str, faces: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_meant, users = USED[which]
    entries = registry()
    before = {key: quality.weights_of(faces, key) for key in METHODS}
    name = next(name for name, entry in entries.items() if is_meant(entry))
    monkeypatch.setattr(quality, "registry", lambda: {**entries, name: replace(entries[name], sha256="f" * 64)})
    assert [key for key in METHODS if quality.weights_of(faces, key) != before[key]] == users


def test_files_that_are_lacking_do_not_count(faces: Model) -> None:
    psp = next(entry for entry in registry().values() if entry.generator == hub.DEFAULT and entry.role == "psp")
    lacking = replace(faces, absent={psp.name: "not cached"})
    assert quality.weights_of(lacking, "psp") != quality.weights_of(faces, "psp")


def test_a_write_that_fails_leaves_the_rows_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "quality.json"
    quality.keep(path, [{"psnr": 1.0}])
    real: Callable[..., int] = Path.write_text

    def full(path: Path, text: str) -> int:
        real(path, text[: len(text) // 2])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        quality.keep(path, [{"psnr": 1.0}, {"psnr": 2.0}])
    assert json.loads(path.read_text()) == [{"psnr": 1.0}]
