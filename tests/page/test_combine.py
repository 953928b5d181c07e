"""Combinations of two pictures, and streams that end when a newer one starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from helpers.page import laid_out
from helpers.serving import Served
from helpers.waiting import until

from inversion import images
from inversion.serving.edits import Place
from inversion.serving.runs import CroppedPicture, picture_digest
from inversion.serving.session import Request
from ui.parts.combine import (
    COMBINATIONS,
    LastCombination,
    finished,
    mixture,
    name_of,
    strip,
    with_published_settings,
)
from ui.parts.edit_region import painted_region
from ui.parts.inputs import InputError
from ui.tabs.edit import Edit

PAGE = gr.Request(session_hash="a page")


def submitted(site: Served, picture: Path, steps: int) -> str:
    """Key of a job that inverts the picture by W."""
    upload = np.asarray(images.read(picture))
    return site.session.submit([Request("reconstruct", "w", upload, settings={"w.steps": steps}, budget=50)])


@pytest.fixture
def edit(site: Served) -> Edit:
    """The Edit tab, laid out again outside the page."""
    return laid_out(Edit, site)


def values_of(edit: Edit, picture: Path, kind: str = "interpolate", first: str | None = None) -> dict[Any, Any]:
    """Requests of the page for Run and Combine: two steps of W, the same picture twice and a region of it."""
    combine, upload = edit.panel.combine, np.asarray(images.read(picture))
    mask = np.zeros(upload.shape[:2], np.uint8)
    mask[20:40, 30:60] = 255
    parts = {*edit.settings.inputs(), *edit.crop.inputs(), *combine.second_crop.inputs()}
    values: dict[Any, Any] = {part: part.value for part in parts}
    values |= {edit.settings.methods: ["w"], edit.settings.fields.typed: {"w": {"w.steps": 2}}}
    values |= {edit.upload.component: str(picture), edit.panel.left: "measured", edit.job: first}
    values |= {edit.context.own_jobs.owner: "me"}
    values |= {combine.second: str(picture), combine.kind: kind, combine.region: (upload, mask), combine.last: None}
    return {**values, combine.frames: 3, combine.start: 3}


@pytest.mark.parametrize("kind", COMBINATIONS)
def test_a_second_picture_is_combined(kind: str, site: Served, edit: Edit, picture: Path) -> None:
    first, combine = submitted(site, picture, 2), edit.panel.combine
    until(lambda: site.session.snapshot(first).over)
    last = list(combine.run(values_of(edit, picture, kind, first), PAGE))[-1]
    assert "Done" in str(last[combine.status])
    [(path, label)] = last[combine.gallery]
    assert label == "W" and path
    films = [last[button] for button in (combine.webp, combine.mp4)]
    assert [film["interactive"] for film in films] == [kind == "interpolate"] * 2
    start, *_ = edit.panel.updates(site.session, first, "measured")  # of the next run
    assert start[combine.gallery] is None and start.keys() <= {*edit.panel.outputs(), edit.panel.status}


def test_a_region_is_measured_on_the_part_that_the_tab_uses(site: Served, edit: Edit, picture: Path) -> None:
    upload = np.asarray(images.read(picture))
    choice = {"of": picture_digest(upload), "hand": [0.3, 0.5, 0.8, 0]}
    values = {**values_of(edit, picture, "diffuse"), edit.crop.component: choice}
    list(edit.panel.combine.run(values, PAGE))
    model = values[edit.settings.model]
    wanted = edit.crop.crop(upload, model, values)
    assert wanted.quad is not None and site.session.snapshot(site.session.submitted[-1]).crop == wanted
    # A page sends what its events name and nothing else.
    event = next(fn for fn in site.page.fns.values() if getattr(fn.fn, "__qualname__", "") == "Combine.run")
    assert len(event.inputs) == len(values) - 2  # without the upload, and the choice beside the sliders


def test_a_second_picture_whose_results_are_gone_is_inverted_again(
    site: Served, edit: Edit, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, combine, upload = submitted(site, picture, 2), edit.panel.combine, np.asarray(images.read(picture))
    until(lambda: site.session.snapshot(first).over)
    view = site.session.snapshot(first)
    second = CroppedPicture(upload)
    values = values_of(edit, picture, first=first)
    key = combine.inverted(view, second, values)
    until(lambda: site.session.snapshot(key).over)
    other = LastCombination(first, name_of(upload, second.crop), key)
    assert combine.inverted(view, second, {**values, combine.last: other}) == key
    monkeypatch.setattr(site.session.limits, "finished", 1)
    newer = submitted(site, picture, 2)
    until(lambda: site.session.snapshot(newer).over)
    assert combine.inverted(view, second, {**values, combine.last: other}) != key


def test_only_the_newest_stream_writes_into_a_page(site: Served, edit: Edit, picture: Path) -> None:
    """A page that follows the job of before a reload, and then runs another."""
    key = submitted(site, picture, 10_000)
    values, elsewhere = values_of(edit, picture), gr.Request(session_hash="another page")
    old, other = edit.resume(key, "measured", PAGE), edit.resume(key, "measured", elsewhere)
    for stream in (old, other):
        assert next(stream) == {edit.job: key}
        assert edit.panel.columns[0].box in next(stream)
    with pytest.raises(gr.Error, match="at least one method"):
        list(edit.start({**values, edit.settings.methods: []}, PAGE))
    assert edit.panel.status in next(old)  # what was refused changes nothing
    new = edit.start(values, PAGE)
    started = next(new)[edit.job]
    assert started != key
    *before, last = old
    assert not before and all(value == gr.skip() for value in last.values())
    site.session.cancel(key)
    written = {component: value for update in new for component, value in update.items()}
    assert "Done" in str(written[edit.panel.status]) and site.session.snapshot(started).over
    assert "Cancelled" in str([update[edit.panel.status] for update in other if edit.panel.status in update][-1])
    assert len(edit.streams) == 0


def test_a_new_run_ends_what_is_being_made_of_two_pictures(site: Served, edit: Edit, picture: Path) -> None:
    first, combine = submitted(site, picture, 2), edit.panel.combine
    until(lambda: site.session.snapshot(first).over)
    busy = submitted(site, picture, 10_000)  # so that the second picture waits
    making = combine.run(values_of(edit, picture, first=first), PAGE)
    assert combine.last in next(making)
    new = edit.start(values_of(edit, picture), PAGE)
    next(new)
    assert combine.gallery in next(new)  # cleared
    site.session.cancel(busy)
    assert all(value == gr.skip() for update in making for value in update.values())
    list(new)


def test_a_region_has_to_be_painted() -> None:
    upload, mask = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    with pytest.raises(InputError, match="Paint on my picture"):
        painted_region(None)
    with pytest.raises(InputError, match="No region is painted"):
        painted_region((upload, mask))
    mask[2:4] = 255
    assert painted_region((upload, mask))[1] is mask
    plain = with_published_settings(Request("diffuse", "indomain", upload))
    assert plain.settings == {"indomain.domain_weight": 0.0}
    own = with_published_settings(Request("diffuse", "indomain", upload, settings={"indomain.domain_weight": 1.0}))
    assert (
        own.settings == {"indomain.domain_weight": 1.0}
        and not with_published_settings(Request("diffuse", "w", upload)).settings
    )


def test_two_pictures_become_strips(site: Served, picture: Path) -> None:
    upload = np.asarray(images.read(picture))
    keys = []
    for shot in (upload, upload[:, ::-1].copy()):
        keys.append(site.session.submit([Request("reconstruct", "w", shot, settings={"w.steps": 2})]))
        until(lambda key=keys[-1]: site.session.snapshot(key).over)  # type: ignore[misc]
    ends = [site.session.stored_result(key, 0).image for key in keys]
    places = [Place(key, 0) for key in keys]
    way = strip(site.session, 5, *places)
    assert way.shape == (32, 5 * 32, 3)
    for end, shown in ((ends[0], way[:, :32]), (ends[1], way[:, -32:])):
        assert (end == shown).mean() > 0.99
    both = mixture(site.session, 3, *places)
    assert (both[:, :64] == np.concatenate(ends, axis=1)).all() and (both[:, 64:] != both[:, :32]).any()
    assert finished(site.session.snapshot(keys[0])) == [0]
