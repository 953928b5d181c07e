"""Damaged and hostile files: the smallest inputs that once got through, and a short run of `benchmarks.fuzz`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.reports import report

from benchmarks.fuzzing import seeds, subjects
from benchmarks.fuzzing.attack import attack
from benchmarks.fuzzing.subjects import Subject
from benchmarks.fuzzing.watch import Watch
from inversion.checkpoints import store
from inversion.checkpoints.codes import CodeError, read_code
from inversion.checkpoints.places import VARIABLE
from inversion.checkpoints.registry import HubError, RegistryError, registry
from inversion.common.echo import LONGEST_ECHO

FEW = {"pictures": 120, "masks": 50, "registries": 12, "rows": 40, "results": 12, "codes": 30, "checkpoints": 20}


def array(header: str) -> bytes:
    """An .npy file with this header and no data."""
    return np.lib.format.magic(1, 0) + len(header).to_bytes(2, "little") + header.encode()


@pytest.mark.parametrize(
    "data",
    [
        array("{'descr': '<f4', 'fortran_order': False, 'shape': (1,"),  # the header is never closed
        array("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 400 + ",)}"),
        array("{'descr': " + "[" * 500 + ", 'fortran_order': False, 'shape': (1,)}"),
        array("{'descr': '<U9999999999', 'fortran_order': False, 'shape': (0,)}"),
        array("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}") + np.float64(1e300).tobytes(),
    ],
)
def test_a_code_with_a_broken_header_is_refused_in_words(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "code.npy"
    path.write_bytes(data)
    with pytest.raises(CodeError) as caught:
        read_code(path)
    report(f"{data[10:60]!r}...", caught.value)


@pytest.mark.parametrize(
    "text",
    [
        seeds.registries()[2].decode(),  # lists of lists of lists, 9^11 words when they are written out
        "? [a]\n: {}\n",
        "tiny: !!timestamp x\n",
        "tiny: " + "[" * 1200,
        "tiny: {" + "x" * 5000 + ": 1}\n",
        "x" * 5000 + ": 1\n",
    ],
)
def test_a_damaged_list_of_models_is_refused_at_once_in_few_words(text: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RegistryError) as caught:
        registry(path)
    report(f"{text[:60]!r}..., {len(text)} characters", caught.value)
    assert len(str(caught.value)) < 3 * LONGEST_ECHO + len(str(path))


@pytest.mark.parametrize("text", ["[]", "[" * 5000, '{"a": 1}', '{"a": {"sha256": "x", "bytes": []}}', "1", "\xff"])
def test_a_damaged_file_of_hashes_is_named(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    store.learnt_path().write_bytes(text.encode("latin-1"))
    entry = next(one for one in registry().values() if one.sha256 is None and one.file is None)
    with pytest.raises(HubError, match=r"learnt\.json is damaged: delete it"):
        store.expected(entry)


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Watch:
    """A watch over this process."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "app").mkdir()
    return Watch(folder / "app", folder / "notes")


@pytest.fixture(scope="module")
def readers(watch: Watch) -> dict[str, Subject]:
    """All readers of files, with their inputs."""
    return subjects.files(watch.log.parent / "app", watch.log.parent / "marker")


@pytest.mark.parametrize("name", FEW)
def test_damaged_files_are_refused_in_words_and_run_nothing(
    name: str, readers: dict[str, Subject], watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, marker = watch.log.parent / "app", watch.log.parent / "marker"
    monkeypatch.setenv(VARIABLE, str(app))
    monkeypatch.setenv("TMPDIR", str(app))
    monkeypatch.setattr("tempfile.tempdir", str(app))
    with subjects.forked_reader():
        found = attack(readers[name], FEW[name], watch, 0, tmp_path)
    report(f"{found.inputs} {found.subject}", f"{found.accepted} read, {found.refused} refused, {found.counts}")
    assert set(readers) == set(FEW) and not found.findings and not found.notes and not marker.exists()
    assert found.accepted + found.refused == found.inputs and found.growth < 100


def test_the_watch_sees_programs_connections_and_files_elsewhere(watch: Watch, tmp_path: Path) -> None:
    before = len(watch.notes())
    deeds: dict[str, Callable[[], object]] = {
        "open": lambda: (tmp_path / "x").write_text("x"),
        "os.remove": lambda: (tmp_path / "x").unlink(),
        "os.system": lambda: eval("__import__('os').system('true')"),  # noqa: S307 - as a hostile file would
    }
    with watch.watching():
        (watch.log.parent / "app" / "x").write_text("x")
        json.loads("1")
        for deed in deeds.values():
            deed()
    noted = [note.split(" ")[0] for note in watch.notes()[before:]]
    report(f"a file within, then {list(deeds)} elsewhere", noted)
    assert noted == list(deeds)
