"""The README's examples of the HTTP API run as they stand, against the page on tiny networks."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.serving import Served

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:7860"


@pytest.fixture
def folder(picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the picture of the examples."""
    shutil.copy(picture, tmp_path / "face.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(pattern: str, site: Served) -> str:
    """A block of the README for the address of the site."""
    found = re.search(pattern, README, flags=re.M | re.S)
    assert found is not None and ADDRESS in found[1]
    return found[1].replace(ADDRESS, site.url.rstrip("/"))


def test_the_python_client(site: Served, folder: Path) -> None:
    names: dict[str, list[dict[str, object]]] = {}
    exec(example(r"^```python\n(from gradio_client.*?)^```", site), names)  # type: ignore[arg-type]  # noqa: S102
    assert [row["state"] for row in names["rows"]] == ["failed", "done"], "the tiny model has no pSp"
    assert names["rows"][1]["seed"] == 1 and len(names["pictures"]) == 1
    assert Path(str(names["sheet"])).exists()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl(site: Served, folder: Path) -> None:
    script = example(r"<!-- curl -->\n```\n(.*?)^```", site)
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=100)
    assert "event: generating" in done.stdout and "event: complete" in done.stdout, done.stdout[-500:] + done.stderr
