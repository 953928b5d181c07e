"""The documents are true: their Python snippet runs, and their commands, flags and paths exist."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from inversion import Comparison, images
from inversion.checkpoints.registry import registry
from inversion.methods import Result
from inversion.synthetic import DOMAINS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ("docs/results.md", "docs/model-card.md", "docs/performance.md", "docs/reliability.md")
NAMES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", *DOCS)
DOCUMENTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in NAMES}
# Rooms are named without the folder that holds them.
FOLDERS = (ROOT, ROOT / "inversion", ROOT / "inversion" / "checkpoints", ROOT / "ui", ROOT / "tests" / "reliability")
NAME = re.compile(r"(?<![/\w-])[a-z]+(?:_[a-z0-9]+)+\b(?!\.)")  # a field, a key of a row, a function
PATH = re.compile(r"([\w.-]*/[\w./-]*|[\w-]+\.(?:py|md|yaml|toml|txt))(?:: (\w+))?")


def spans(text: str) -> Iterator[str]:
    """Code in backticks, and the lines of fenced blocks without their comments."""
    fenced = re.findall(r"^```\n(.*?)^```", text, flags=re.M | re.S)
    yield from (line.partition("#")[0].strip() for block in fenced for line in block.splitlines())
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def commands() -> set[str]:
    """The commands of this repository in the documents and in the registry."""
    found = {span for text in DOCUMENTS.values() for span in spans(text)}
    found |= {part for entry in registry().values() if entry.file for part in entry.source.split(", then ")}
    found = {f"python -m inversion {span}" if span.startswith("train ") else span for span in found}
    return {span for span in found if re.match(r"python (-m (inversion|benchmarks)\b|app\.py)", span)}


@pytest.mark.weights
def test_the_python_snippet_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snippets = re.findall(r"^```python\n(.*?)^```", DOCUMENTS["README.md"], flags=re.M | re.S)
    snippets = [snippet for snippet in snippets if "gradio_client" not in snippet]  # tests/page runs that one
    assert snippets
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Image.Image, "show", lambda image: None)
    images.write_png("face.png", images.to_array(DOMAINS["synthetic-faces"].draw([1_000_000]).picture))
    for snippet in snippets:
        names: dict[str, object] = {}
        exec(snippet, names)  # noqa: S102 - our own text
        assert isinstance(names.get("event", names.get("results")), Result | Comparison)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_exist(document: str) -> None:
    wrong = []
    for span in spans(DOCUMENTS[document]):
        match = PATH.fullmatch(span)
        if match is None or span.startswith("/") or "NAME" in span:
            continue
        there = [folder / match[1] for folder in FOLDERS if (folder / match[1]).exists()]
        if not there or (match[2] and f"def {match[2]}(" not in there[0].read_text(encoding="utf-8")):
            wrong.append(span)
    assert not wrong, wrong


def test_names_exist() -> None:
    sources = [path for folder in ("inversion", "ui", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py")]
    known = {word for path in sources for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    named = {name for text in DOCUMENTS.values() for span in spans(text) for name in NAME.findall(span)}
    assert len(named) >= 8 and not named - known, named - known


@pytest.mark.parametrize("command", sorted(commands()))
def test_commands_and_their_flags_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = re.match(r"python (?:-m )?(\S+)((?: [a-z]+)*)", command)
    assert words is not None
    module = words[1].removesuffix(".py") + (".__main__" if words[1] == "inversion" else "")
    levels = 2 if words[2].startswith(" train ") else 1
    arguments = words[2].split()[:levels] if words[1] == "inversion" else []
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(importlib.import_module(module).main([*arguments, "--help"]))
    out = capsys.readouterr().out
    assert ended.value.code in (0, None)
    missing = [flag for flag in re.findall(r"--[a-z][a-z-]*", command) if flag not in out]
    assert not missing, f"{command}: {missing}"


def test_every_test_of_reliability_proves_a_promise() -> None:
    tests = [path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "reliability").glob("test_*.py")]
    names = [name for text in tests for name in re.findall(r"^def (test_\w+)", text, flags=re.M)]
    assert len(names) > 30 and not [name for name in names if f"{name}`" not in DOCUMENTS["SECURITY.md"]]


def test_every_benchmark_is_named() -> None:
    runnable = [path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py") if "def main(" in path.read_text("utf-8")]
    assert not [name for name in runnable if f"benchmarks.{name} " not in " ".join(commands()) + " "]


def test_the_documents_name_many_commands_and_paths() -> None:
    assert len(commands()) > 25
    assert sum(PATH.fullmatch(span) is not None for text in DOCUMENTS.values() for span in spans(text)) > 40
