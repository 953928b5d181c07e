"""The package works where it is installed, on every platform, beside a read-only cache; platforms are emulated."""

from __future__ import annotations

import ast
import importlib
import os
import sys
from pathlib import Path

import pytest
from helpers.checkpoints import clear_caches, in_process
from helpers.foreign import write
from helpers.local_hub import Workplace, workplace

import inversion
from inversion.checkpoints import hub, places, registry, store
from inversion.checkpoints.transcribe import transcribe

if sys.version_info >= (3, 11):
    import tomllib

__all__ = ["in_process", "workplace"]  # fixtures
ROOT = Path(__file__).resolve().parents[1]
POSIX = {"resource", "fcntl", "pwd", "grp", "termios", "pty", "posix", "syslog"}


@pytest.mark.skipif(sys.platform == "win32", reason="the flags of a handle are read as on POSIX")
def test_only_handles_that_write_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses to sync a handle that was opened for reading."""
    import fcntl

    synced: list[int] = []

    def fsync(handle: int) -> None:
        assert fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        synced.append(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    transcribe(str(write("mganprior-pggan", tmp_path / "g.pt")), str(tmp_path / "out"), None)
    assert synced


def test_no_module_needs_posix_when_it_is_imported() -> None:
    for path in Path(inversion.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert not POSIX & {name.split(".")[0] for name in names}, path


def test_a_filled_cache_of_the_hub_is_only_read(workplace: Workplace, in_process: list[str]) -> None:
    name = workplace.add_official("rosinality")
    hub.load(name, "cpu")
    for path in workplace.derived.iterdir():
        path.unlink()
    clear_caches()
    before = {path: path.lstat().st_mtime_ns for path in [workplace.cache, *workplace.cache.rglob("*")]}
    hub.load(name, "cpu")
    assert {path: path.lstat().st_mtime_ns for path in [workplace.cache, *workplace.cache.rglob("*")]} == before
    assert in_process == ["weights.pt"] * 2 and len(list(workplace.derived.glob("*.safetensors"))) == 1


@pytest.mark.parametrize(
    ("platform", "variable", "within"),
    [("linux", "XDG_CACHE_HOME", ""), ("win32", "LOCALAPPDATA", ""), ("darwin", "HOME", "Library/Caches")],
)
def test_every_platform_has_its_folder_of_derived_files(
    platform: str, variable: str, within: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.delenv(places.VARIABLE)
    assert places.folder() == tmp_path / within / places.NAME
    (tmp_path / "hub" / places.NAME).mkdir(parents=True)  # of an earlier version
    assert places.folder() == tmp_path / "hub" / places.NAME
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "chosen"))
    assert store.folder() == tmp_path / "chosen"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is new in 3.11")
def test_the_package_installs_what_it_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    needed = {line for line in lines if line and not line.startswith("#")}
    described = project["project"]
    assert {*described["dependencies"], *described["optional-dependencies"]["page"]} == needed
    module, function = described["scripts"]["inversion"].split(":")
    assert callable(getattr(importlib.import_module(module), function))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["inversion"]
    for source, target in wheel["force-include"].items():
        assert (ROOT / source).is_file() and ROOT / target == registry.INSTALLED
    embedded = [entry.file for entry in registry.registry().values() if entry.file is not None]
    assert embedded and all(Path(file).parts[0] == "inversion" for file in embedded)
