"""Registries of their own for tests."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import pytest
import yaml

from inversion.checkpoints import fetch, hub, store
from inversion.checkpoints import registry as module
from inversion.checkpoints.registry import Entry

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
    """Have everything read the registry file `path`; it need not exist yet."""
    patch.setattr(module, "REGISTRY", path)


def use_entries(patch: pytest.MonkeyPatch, folder: Path, *entries: Entry) -> None:
    """Write the entries into a registry file in `folder` and have everything read it."""
    values = {e.name: {k: v for k, v in asdict(e).items() if k != "name" and v != DEFAULTS[k]} for e in entries}
    path = folder / "checkpoints.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    use_registry(patch, path)
