"""The folds of the Edit tab: moving pictures along key states, and a painted region."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from helpers.page import laid_out
from helpers.serving import Served
from helpers.waiting import until
from PIL import Image

from inversion import images
from inversion.editing.animation import animated, path_of
from inversion.editing.presets import preset_edits
from inversion.editing.requests import EditOptions
from inversion.serving.session import Request
from inversion.synthetic import DOMAINS
from ui.parts.animation import MAX_STATES, at_most
from ui.parts.edit_region import GLOBAL, LOCAL
from ui.parts.edit_sheet import TITLE
from ui.parts.saved_edits import MAX_SAVED
from ui.parts.values import Update
from ui.tabs.edit import Edit

PAGE = gr.Request(session_hash="a page of folds")


@pytest.fixture(scope="module")
def edit(site: Served) -> Edit:
    """The Edit tab, laid out again outside the page."""
    return laid_out(Edit, site)


@pytest.fixture(scope="module")
def job(site: Served, picture: Path) -> str:
    """Key of a job with two results."""
    upload, steps = np.asarray(images.read(picture)), {"w.steps": 2, "wplus.steps": 2}
    requests = [Request("reconstruct", m, upload, settings={f"{m}.steps": steps[f"{m}.steps"]}) for m in ("w", "wplus")]
    key = site.session.submit(requests)
    until(lambda: site.session.snapshot(key).over)
    return key


def values_of(edit: Edit, job: str, **moves: float) -> dict[Any, Any]:
    """What the page sends of the sliders and of the folds."""
    parts, animation = edit.panel.sliders, edit.panel.animation
    values: dict[Any, Any] = {edit.job: job, parts.sliders: moves, parts.keep: [], parts.layers: "", parts.identity: 0}
    return {**values, parts.region: None, animation.states: [], animation.frames: 5}


def frames_in(updates: Iterator[Update], edit: Edit) -> tuple[list[np.ndarray], Update]:
    """The frames of the animation in the last update, and that update."""
    for update in updates:
        last, path = update, update.get(edit.panel.animation.view)
        if path:
            with Image.open(path) as film:
                return [np.asarray(_frame(film, i)) for i in range(getattr(film, "n_frames", 1))], last
    return [], last


def _frame(film: Image.Image, index: int) -> Image.Image:
    film.seek(index)
    return film.convert("RGB")


def test_results_move_side_by_side_along_the_key_states(site: Served, edit: Edit, job: str) -> None:
    animation, moves = edit.panel.animation, {"yaw": 2.0}
    frames, last = frames_in(animation.run(values_of(edit, job, **moves), PAGE), edit)
    still = np.concatenate([site.session.stored_result(job, i).image for i in (0, 1)], axis=1)
    edits = [site.session.edits.move(job, i, EditOptions(moves)).picture for i in (0, 1)]
    assert len(frames) == 5 and np.array_equal(frames[0], still) and np.array_equal(frames[4], still)
    assert np.array_equal(frames[2], np.concatenate(edits, axis=1)) and "Done" in last[animation.status]
    values = values_of(edit, job, **moves)
    for strength in (2.0, -1.0):
        values[edit.panel.sliders.sliders] = {"yaw": strength}
        values[animation.states] = animation.added(values)[animation.states]["value"]
    assert values[animation.states] == [{"yaw": 2.0}, {"yaw": -1.0}]
    frames, _ = frames_in(animation.run(values, PAGE), edit)
    assert np.array_equal(frames[0], np.concatenate(edits, axis=1)) and not np.array_equal(frames[4], frames[0])
    values[animation.states] = [{"yaw": 1.0}] * MAX_STATES
    with pytest.raises(gr.Error, match="Remove one first"):
        animation.added(values)
    for wrong in ([{"wings": 1}], [{"yaw": 99}], "yaw", [[1]]):
        with pytest.raises(gr.Error):
            next(animation.run({**values, animation.states: wrong}, PAGE))
    with pytest.raises(gr.Error, match="Move a slider"):
        next(animation.run(values_of(edit, job), PAGE))


def test_cancel_ends_an_animation(edit: Edit, job: str) -> None:
    made = edit.panel.animation.run({**values_of(edit, job, yaw=1.0), edit.panel.animation.frames: 90}, PAGE)
    next(made)
    assert "Cancelled" in next(edit.panel.animation.cancel(PAGE))[edit.panel.animation.status]
    assert all(update[edit.panel.animation.status] == gr.skip() for update in made)


def test_a_limit_shrinks_key_states_and_not_single_frames() -> None:
    class Half:
        """An edit of which half is allowed."""

        factor = 0.5

        def __init__(self, options: EditOptions) -> None:
            self.picture = np.full((2, 2, 3), options.moves.get("yaw", 0.0))
            assert not options.moves or options.keep_identity is None or options.moves["yaw"] == 2.0

    limited = EditOptions({}, keep_identity=0.9)
    frames = list(animated(Half, limited, path_of([{"yaw": 2.0}]), 5))  # type: ignore[arg-type]
    assert [float(frame[0, 0, 0]) for frame in frames] == [0.0, 0.5, 1.0, 0.5, 0.0]
    assert at_most(np.zeros((64, 64, 3), np.uint8), 16).shape == (16, 16, 3)


def test_a_painted_region_limits_edits_until_it_is_lifted(edit: Edit, job: str, picture: Path) -> None:
    fold, parts, upload = edit.panel.region, edit.panel.sliders, np.asarray(images.read(picture))
    mask = np.zeros(upload.shape[:2], np.uint8)
    mask[:, : mask.shape[1] // 2] = 255
    values = {**values_of(edit, job, yaw=2.0), fold.editor: (upload, mask)}
    first, *edits = fold.limit(values, PAGE)
    assert first[fold.only] == GLOBAL and edits
    lifted = next(fold.limit({**values, parts.region: first[parts.region]}, PAGE))
    assert lifted == {parts.region: None, fold.only: LOCAL}
    with pytest.raises(gr.Error, match="not that of the results"):
        next(fold.limit({**values, fold.editor: (255 - upload, mask)}, PAGE))


def test_an_edit_is_saved_loaded_shared_and_deleted(edit: Edit, job: str, tmp_path: Path) -> None:
    fold, parts = edit.panel.saved, edit.panel.sliders
    values = {**values_of(edit, job, yaw=1.5), parts.layers: "0-5", parts.keep: ["smile"], parts.identity: 0.5}
    with pytest.raises(gr.Error, match="name first"):
        fold.saved({**values, fold.own: {}, fold.name: " "})
    kept = fold.saved({**values, fold.own: "damaged", fold.name: " mine "})
    assert list(kept[fold.own]) == ["mine"] and kept[fold.menu]["value"] == "mine"
    own = json.loads(json.dumps(kept[fold.own]))  # as a browser keeps it
    loaded = fold.load({edit.job: job, fold.own: own, fold.menu: "mine"})
    assert loaded == {parts.sliders: {"yaw": 1.5}, parts.keep: ["smile"], parts.layers: "0-5", parts.identity: 0.5}
    file = tmp_path / "shared.json"
    for update in fold.shared({**values, fold.name: ""}):
        file.write_text(Path(update[fold.file]["value"]).read_text())
    assert fold.open({edit.job: job, fold.upload: str(file)}) == loaded
    for wrong in ("{}", "[", '{"edit": 1}', '{"edit": {"moves": {"wings": 1}}}', '{"edit": {"moves": {"yaw": 99}}}'):
        file.write_text(wrong)
        with pytest.raises(gr.Error):
            fold.open({edit.job: job, fold.upload: str(file)})
    assert fold.deleted({edit.job: job, fold.own: own, fold.menu: "mine"})[fold.own] == {}
    full = {str(i): {"moves": {}} for i in range(MAX_SAVED)}
    with pytest.raises(gr.Error, match="Delete one first"):
        fold.saved({**values, fold.own: full, fold.name: "one more"})


@pytest.mark.parametrize("domain", [key for key, domain in DOMAINS.items() if domain.edits])
def test_edits_of_a_domain_move_its_factors_and_stay_within_the_sliders(domain: str) -> None:
    cards: Any = [{"name": name, "low": -1.0, "high": 1.5} for name in DOMAINS[domain].names]
    found = preset_edits(domain, cards)
    assert len(found) >= 3 and all(-1 <= s <= 1.5 and s for edit in found.values() for s in edit.values())
    assert preset_edits(domain, []) == {} == preset_edits("nothing", cards)


def test_one_sheet_shows_the_edit_of_several_pictures(edit: Edit, job: str, picture: Path, tmp_path: Path) -> None:
    fold, other = edit.panel.sheets, tmp_path / "other.png"
    images.write_png(other, 255 - np.asarray(images.read(picture)))
    values = {**values_of(edit, job, yaw=2.0), fold.files: [str(other)], fold.parts: "0, 1", fold.jobs.owner: "me"}
    for update in fold.run(values, PAGE):
        if update.get(fold.running):  # the line of jobs has it, the history does not
            [own] = fold.session.own_jobs("me")
            assert own.key == update[fold.running] and fold.jobs.tabs[own.tab] == TITLE
            assert own.key not in [entry.key for entry in fold.session.history.entries("me")]
        if path := update.get(fold.view):
            with Image.open(path) as page:
                width, height = page.size
    assert "Done" in update[fold.status] and height > 1.9 * width  # four rows of two
    for change, text in (({fold.parts: "x"}, "parts"), ({edit.panel.sliders.sliders: {}}, "Move a slider")):
        with pytest.raises(gr.Error, match=text):
            next(fold.run({**values, **change}, PAGE))
