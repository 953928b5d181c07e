"""Registries for tests, empty caches, and conversion without a child process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

import pytest
import yaml

from inversion.checkpoints import convert, fetch, hub, store, transcribe
from inversion.checkpoints import registry as module
from inversion.checkpoints.places import VARIABLE
from inversion.checkpoints.registry import BadCheckpoint, Entry
from inversion.checkpoints.unpickle import Refused
from inversion.generators import StateDictError

GOOD: dict[str, object] = {  # the fields of an entry that is embedded
    "kind": "generator",
    "file": "weights/tiny.safetensors",
    "sha256": "0" * 64,
    "bytes": 1,
    "format": "safetensors",
    "architecture": "stylegan2",
    "resolution": 32,
    "domain": "tiny",
    "licence": "MIT",
    "source": "https://example.org/tiny",
}
DEFAULTS = {field.name: field.default for field in fields(Entry)}


def clear_caches() -> None:
    """Forget all models, hashes and checks, as a new process would."""
    hub.models.clear()
    store.digests.clear()
    fetch.checks.clear()


def use_registry(patch: pytest.MonkeyPatch, path: Path) -> None:
    """Make all code read the registry file `path`, which may not exist yet."""
    patch.setattr(module, "REGISTRY", path)


def use_entries(patch: pytest.MonkeyPatch, folder: Path, *entries: Entry) -> None:
    """Write the entries into a registry file in `folder`, and make all code read it."""
    values = {e.name: {k: v for k, v in asdict(e).items() if k != "name" and v != DEFAULTS[k]} for e in entries}
    path = folder / "checkpoints.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    use_registry(patch, path)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Read foreign files in this process, because a child takes seconds to start; yields the names of the files."""
    names: list[str] = []

    def read(path: Path, out: Path | None, encoder: str | None, limits: object) -> convert.Contents:
        names.append(path.name)
        try:
            return transcribe.transcribe(str(path), None if out is None else str(out), encoder)
        except (Refused, StateDictError) as error:
            raise BadCheckpoint(f"{path.name}: {error}") from None

    monkeypatch.setattr(convert, "read_in_child", read)
    yield names


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder of derived files."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "derived"))
    clear_caches()
    yield
    clear_caches()
