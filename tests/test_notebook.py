"""The example notebook: its code runs, and its stored outputs are small and those of its code."""

from __future__ import annotations

import ast
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from inversion import Comparison
from inversion.align import Crop
from inversion.checkpoints import hub
from inversion.model import Model

PATH = Path(__file__).resolve().parents[1] / "docs" / "notebook.ipynb"
NOTEBOOK: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def outputs(cell: dict[str, Any]) -> str:
    """The text and the HTML that a cell shows."""
    return "".join(line for out in cell["outputs"] for part in out["data"].values() for line in part)


def test_the_code_of_the_cells_runs(full_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "load", lambda name, **_: full_model)
    monkeypatch.setattr("inversion.interactive.comparing.crop", lambda *_: Crop())  # the detector is slow to import
    names: dict[str, Any] = {}
    shown = []
    for cell in CODE:
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, PATH.name, "exec"), names)  # noqa: S102 - our own text
        if isinstance(last, ast.Expr):
            shown.append((cell, eval(compile(ast.Expression(last.value), PATH.name, "eval"), names)))  # noqa: S307
    comparisons = [(cell, value) for cell, value in shown if isinstance(value, Comparison)]
    assert len(comparisons) == 4 and len(names["paths"]) == 3
    for cell, value in comparisons:  # the stored output is of this comparison
        assert value._repr_html_().count("<img") == outputs(cell).count("<img") > 1
        assert all(f"<b>{result.label}</b>" in outputs(cell) for result in value)


def test_the_stored_outputs_are_small_and_complete() -> None:
    assert PATH.stat().st_size < 150_000 and [cell["execution_count"] for cell in CODE] == [*range(1, len(CODE) + 1)]
    assert {out["output_type"] for cell in CODE for out in cell["outputs"]} == {"execute_result"}, "no progress bars"
    assert "Traceback" not in PATH.read_text(encoding="utf-8") and all(map(outputs, CODE[1:]))


@pytest.mark.weights
@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("nbclient", "nbformat", "ipykernel")), reason="no nbclient"
)
def test_jupyter_runs_it() -> None:
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(PATH, as_version=4)
    NotebookClient(book, timeout=300, kernel_name="python3").execute(cwd=str(PATH.parents[1]))
    assert sum("text/html" in out.get("data", {}) for cell in book.cells for out in cell.get("outputs", [])) == 5
