"""The default model by machine, files that are loaded before the server is ready, and the front matter of a Space."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from helpers.checkpoints import in_process
from helpers.lanes import StubLane
from helpers.local_hub import Workplace, workplace

import app
from inversion.checkpoints.registry import DEFAULT, registry
from inversion.serving import host
from inversion.serving.runs import LaneError
from inversion.serving.session import Session

__all__ = ["in_process", "workplace"]  # fixtures
ROOT = Path(__file__).resolve().parents[1]
FRONT = yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---")[1])
Opened = Callable[..., Session]


@pytest.mark.parametrize(("gpu", "cached", "online"), [(g, c, o) for g in (0, 1) for c in (0, 1) for o in (0, 1)])
def test_photos_need_a_gpu_and_the_files(gpu: int, cached: int, online: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "has_gpu", lambda: bool(gpu))
    monkeypatch.setattr(host, "all_cached", lambda names: bool(cached))
    monkeypatch.setattr(host, "online", lambda: bool(online))
    assert host.best_files() == (host.PHOTOS if gpu and (cached or online) else (DEFAULT,))
    assert host.best_files("cpu") == (DEFAULT,)


def test_a_space_on_zerogpu_has_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert host.has_gpu()


def test_the_best_files_fit_together() -> None:
    generator, *others = [registry()[name] for name in host.PHOTOS]
    assert generator.kind == "generator" and {one.generator for one in others} <= {generator.name, None}
    assert {one.role for one in others} >= {"psp", "e4e"} and not any(one.by_hand for one in others)


def test_the_space_gets_the_best_files_when_it_is_built() -> None:
    entries = [registry()[name] for name in host.PHOTOS]
    assert FRONT["preload_from_hub"] == [f"{one.repo_id} {one.filename} {one.revision}" for one in entries]


def test_the_space_has_the_tested_versions() -> None:
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert FRONT["sdk"] == "gradio" and f"gradio>={FRONT['sdk_version'].rpartition('.')[0]}" in requirements
    assert FRONT["python_version"] == "3.12" and (ROOT / FRONT["app_file"]).exists()


def test_preload_downloads_and_loads(workplace: Workplace, in_process: list[str], opened: Opened) -> None:
    owner = workplace.add_official("psp")

    class Noting(StubLane):
        warmed: list[str] = []  # noqa: RUF012

        def warm(self, model: str) -> None:
            self.warmed.append(model)

    session = opened(Noting())
    host.preload(session, ["psp", owner])
    assert not session.files.missing("psp") and Noting.warmed == [owner]
    workplace.local.mode = "gated"
    workplace.add_official("arcface")
    with pytest.raises(LaneError, match="arcface"):
        host.preload(session, ["arcface"])


def test_a_wrong_name_is_refused_with_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--preload", "synthetic-faces, nope"]) == 2
    message = capsys.readouterr().err
    assert "'nope'" in message and "Choose from: synthetic-faces, " in message and message.count("\n") == 1
