"""checkpoints.yaml is read strictly: every error names entry and field."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from helpers.checkpoints import GOOD

from inversion.checkpoints.registry import DEFAULT, Entry, RegistryError, registry
from inversion.encoders import ENCODERS, ROLES
from inversion.generators import GENERATORS
from inversion.methods import STAGES
from inversion.tasks import TASKS
from inversion.translations import TRANSLATIONS


def test_the_repository_s_own_registry_is_sound() -> None:
    entries = registry()
    assert DEFAULT in entries and entries[DEFAULT].kind == "generator"
    assert all(entry.licence and entry.source for entry in entries.values())
    assert list(entries)[0] == DEFAULT  # what is embedded comes first in every list
    for entry in entries.values():
        assert entry.file is not None or entry.grade
        if entry.kind == "encoder" and entry.file is None:
            assert entries[str(entry.generator)].architecture in ("stylegan2", "stylegan"), entry.name


def read(tmp_path: Path, text: str) -> dict[str, Entry]:
    path = tmp_path / "checkpoints.yaml"
    path.write_text(text)
    return registry(path)


def entry_text(**changes: object) -> str:
    values = {**GOOD, **changes}
    return yaml.safe_dump({"tiny": {k: v for k, v in values.items() if v is not None}})


REPO = {
    "file": None,
    "repo_id": "somebody/tiny",
    "filename": "tiny.safetensors",
    "revision": "a" * 40,
    "grade": "B",
    "note": "sha256 and revision are unknown",
}
HAND = {"file": None, "grade": "B", "sha256": None, "bytes": None, "note": "sha256 is unknown"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (entry_text(source="http://example.org/tiny"), "source"),
        (entry_text(sha256="abc"), "sha256"),
        (entry_text(colour="red"), "colour"),
        (entry_text(licence=None), "licence"),
        (entry_text() + "tiny:\n  kind: generator\n", "twice"),
        (entry_text().replace("domain: tiny", "domain: tiny\n  domain: huge"), "twice"),
        ("tiny: !!python/object/apply:os.system ['true']\n", "python"),
        (entry_text(format="pickle"), "format"),
        (entry_text(kind="oracle"), "kind"),
        (entry_text(architecture="transformer"), "architecture"),
        (entry_text(bytes="many"), "bytes"),
        (entry_text(bytes=0), "bytes"),
        (entry_text(resolution=True), "resolution"),
        (entry_text(file="../secret.safetensors"), "file"),
        (entry_text(file="/etc/passwd"), "file"),
        (entry_text(repo_id="somebody/tiny"), "file"),
        (entry_text(file=None), "grade"),
        (entry_text(file=None, grade="B", sha256=None), "sha256"),
        (entry_text(grade="A"), "grade"),
        (entry_text(sha256=None, note="sha256 is unknown"), "sha256"),
        (entry_text(bytes=None), "bytes"),
        (entry_text(revision="a" * 40), "revision"),
        (entry_text(filename="tiny.safetensors"), "filename"),
        (entry_text(**{**REPO, "revision": None}), "revision"),
        (entry_text(**{**REPO, "revision": "a" * 7}), "revision"),
        (entry_text(**{**REPO, "revision": "main", "note": "sha256 is unknown"}), "revision"),
        (entry_text(**{**REPO, "sha256": None, "note": ""}), "sha256"),
        (entry_text(**{**REPO, "filename": None}), "filename"),
        (entry_text(**{**REPO, "filename": "../tiny"}), "filename"),
        (entry_text(**{**REPO, "repo_id": "tiny"}), "repo_id"),
        (entry_text(**{**REPO, "grade": "C"}), "grade"),
        (entry_text(**{**REPO, "grade": None}), "grade"),
        (entry_text(**{**REPO, "source": "python -m tiny"}), "source"),
        (entry_text(**REPO, repo_type="bucket"), "repo_type"),
        (entry_text(**REPO, crop="face"), "crop"),
        (entry_text(**REPO, perceptual="vgg"), "perceptual"),
        (entry_text(**REPO, role="psp"), "role"),
        (entry_text(kind="encoder", architecture="psp", generator="tiny"), "role"),
        (entry_text(kind="encoder", architecture="psp", generator="tiny", role="my role"), "role"),
        (entry_text(kind="identity", architecture="psp"), "architecture"),
        (entry_text(kind="predictor", architecture="predictor"), "generator"),
        (entry_text(kind="predictor", architecture="predictor", generator="huge"), "generator"),
        (entry_text(generator="tiny"), "generator"),
        (entry_text(**HAND).replace("tiny:", "ti/ny:"), "name"),
        ("tiny: 3\n", "tiny"),
        ("- tiny\n", "names"),
        ("tiny: {", "checkpoints.yaml"),
    ],
)
def test_bad_registries_are_refused_by_entry_and_field(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(RegistryError, match=says) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert re.match("tiny|ti/ny|checkpoints.yaml", str(caught.value))


def test_good_entries_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, entry_text())["tiny"].file == "weights/tiny.safetensors"
    assert read(tmp_path, entry_text(**REPO))["tiny"].repo_id == "somebody/tiny"
    assert read(tmp_path, entry_text(**{**REPO, "revision": "main", "sha256": None}))["tiny"].sha256 is None
    assert read(tmp_path, entry_text(**HAND))["tiny"].by_hand
    assert not read(tmp_path, entry_text())["tiny"].by_hand


def test_every_role_is_read_by_a_stage_a_translation_or_a_task() -> None:
    read_by_stages = {need.partition(".")[2] for stage in STAGES.values() for need in stage().needs if "." in need}
    assert read_by_stages == set(ROLES)
    roles = {entry.role for entry in registry().values() if entry.kind == "encoder"}
    assert roles <= {*ROLES, *TRANSLATIONS, *TASKS}


def test_architectures_that_are_added_at_run_time_may_be_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RegistryError, match="tiny: architecture must be one of stylegan2, stylegan, pggan, not 'toy'"):
        read(tmp_path, entry_text(architecture="toy"))
    monkeypatch.setitem(GENERATORS, "toy", GENERATORS["pggan"])
    monkeypatch.setitem(ENCODERS, "toy", ENCODERS["psp"])
    assert read(tmp_path, entry_text(architecture="toy"))["tiny"].architecture == "toy"
