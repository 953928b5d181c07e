"""The README's Python snippet runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from inversion import images
from inversion.methods import Result
from inversion.synthetic.faces import draw_faces

README = Path(__file__).resolve().parents[1] / "README.md"


@pytest.mark.weights
def test_the_python_snippet_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snippets = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert snippets
    monkeypatch.chdir(tmp_path)
    images.write_png("face.png", images.to_array(draw_faces([1_000_000], 128).picture))
    for snippet in snippets:
        names: dict[str, object] = {}
        exec(snippet, names)  # noqa: S102 - our own text
        assert isinstance(names["event"], Result)
