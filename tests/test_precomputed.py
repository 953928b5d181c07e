"""The stored comparisons of the example pictures: they are what the engine computes today."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from inversion.checkpoints.registry import DEFAULT
from inversion.methods import parse_method
from inversion.serving.session import Session
from inversion.tasks import make_task
from ui.examples import FOLDER, examples
from ui.examples.compute import Work, requests, weights, works
from ui.examples.precomputed import NAMES, OPENING, RESULTS, comparison, file_of, index
from ui.parts.fields import DEFAULT_PRESET
from ui.tabs import TaskTab, all_tabs

MEGABYTES = 1.5  # that all files may have together
AGAIN = "Run: python -m ui.examples.compute"


def test_every_tab_has_a_comparison_of_its_first_methods_on_every_render() -> None:
    renders = [path.stem for path in examples() if path.parent == FOLDER]
    assert tuple(renders) == NAMES and OPENING in NAMES
    for tab in all_tabs().values():
        for example in NAMES if issubclass(tab, TaskTab) else ():
            found = comparison(tab.task, tab.words.methods, example, DEFAULT)
            assert found is not None, AGAIN
            assert [run.method for run in found.view.runs] == list(tab.words.methods)
            assert all(run.image is not None and run.image.shape == (128, 128, 3) for run in found.view.runs)
            assert not found.view.key and found.view.over
    assert comparison("reconstruct", ("psp",), OPENING, "another-model") is None


@pytest.mark.parametrize("example", NAMES)
def test_the_recipes_are_those_of_today(example: str) -> None:
    assert index()["weights"] == weights(), AGAIN
    with Image.open(FOLDER / f"{example}.png") as picture:
        digest = hashlib.sha256(np.asarray(picture.convert("RGB")).tobytes()).hexdigest()[:16]
    for work in works():
        for method in work.methods:
            row = index()["runs"][example][work.task][method]["row"]
            assert row["settings"] == parse_method(method, DEFAULT_PRESET).settings(), AGAIN
            assert (row["method"], row["task"], row["model"], row["seed"]) == (method, work.task, DEFAULT, 0)
            assert (row["picture"], row["sha256"]) == (digest, weights()[DEFAULT]), AGAIN
            masked = "mask" in row["parameters"] or work.task == "inpaint"
            assert masked or row["parameters"] == make_task(work.task).parameters(), AGAIN
            assert row["psnr"] > 5 and row["seconds"] > 0


def test_the_files_are_small_and_all_are_used() -> None:
    used = {
        file_of(example, work.task, part) for example in NAMES for work in works() for part in (*work.methods, "truth")
    }
    measured = {file_of(example, work.task, "measured") for example in NAMES for work in works()}
    files = set(RESULTS.glob("*.webp"))
    assert used <= files <= used | measured
    assert sum(path.stat().st_size for path in RESULTS.iterdir()) < MEGABYTES * 1e6


@pytest.mark.weights
def test_a_comparison_is_what_the_engine_computes() -> None:
    session = Session("cpu")
    try:
        key = session.submit(requests(Work("reconstruct", ("psp", "restyle")), OPENING, session))
        view = next(view for view in session.follow(key) if view.over)
    finally:
        session.close()
    stored = comparison("reconstruct", ("psp", "restyle"), OPENING, DEFAULT)
    assert stored is not None
    for old, new in zip(stored.view.runs, view.runs, strict=True):
        assert old.row is not None and new.row is not None and old.image is not None and new.image is not None
        assert old.row["psnr"] == pytest.approx(new.row["psnr"], abs=0.05), AGAIN
        assert np.abs(old.image.astype(int) - new.image).mean() < 4, AGAIN
    assert view.crop.note == stored.view.crop.note
