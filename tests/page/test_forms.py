"""Fields that come back: what a run was asked gives the same run, whichever way its settings return."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from helpers.lanes import PICTURE, finish
from helpers.page import laid_out
from helpers.serving import Served
from PIL import Image

from inversion.common.rows import RowView
from inversion.methods import parse_method
from inversion.serving.runs import Request, picture_digest
from inversion.tasks import TASKS
from ui.history.form import of_requests
from ui.history.reader import Reader
from ui.history.recipes import installed, read_recipe
from ui.parts.inputs import InputError
from ui.parts.own_jobs import OwnJobs
from ui.tabs import TaskTab, all_tabs

PLAIN = [key for key in TASKS if key != "inpaint"]  # tasks without a mask
QUAD = [[10.5, 8.25], [10.5, 40.25], [42.5, 40.25], [42.5, 8.25]]


@pytest.fixture(scope="module")
def tab(site: Served, request: pytest.FixtureRequest) -> TaskTab:
    """The tab of a task."""
    kind = all_tabs()[request.param]
    assert issubclass(kind, TaskTab)
    return laid_out(kind, site)


def first_values(tab: TaskTab, picture: Path) -> dict[Any, Any]:
    """The values of the tab's inputs when the page opens, with a picture."""
    parts = [*tab.settings.inputs(), *tab.controls.values(), *tab.crop.inputs(), tab.upload.component]
    return {**{part: part.value for part in parts}, tab.upload.component: str(picture)}  # type: ignore[attr-defined]


def filled(tab: TaskTab, form: Mapping[str, Any], picture: Path) -> dict[Any, Any]:
    """The values after the page has got a form."""
    values = first_values(tab, picture)
    for part, update in tab.reopening.parts.form.updates(form).items():
        changed = update if isinstance(update, dict) and "__type__" in update else {"value": update}
        if "restored" in changed and part is tab.crop.component:
            values[part] = changed["restored"]  # as the script does
        elif "value" in changed:
            values[part] = changed["value"]
    return values


def typed(tab: TaskTab, picture: Path) -> dict[Any, Any]:
    """The values of somebody who changes one of everything."""
    values, settings = first_values(tab, picture), tab.settings
    values |= {settings.methods: ["psp", "w"], settings.preset: "published", settings.seed: 5, settings.budget: 20}
    values[settings.fields.typed] = {"w": {"w.steps": 33, "w.lr": 0.02}, "+": {"wplus.steps": 4}}
    values[settings.fields.stages] = {"embed": "mean", "optimise": "wplus", "refine": ""}
    values[tab.crop.component] = {"of": picture_digest(np.asarray(Image.open(picture).convert("RGB"))), "quad": QUAD}
    values |= {part: part.choices[-1][1] for part in tab.controls.values() if isinstance(part, gr.Radio)}
    return values


def facts(request: Request) -> tuple[object, ...]:
    """What decides the result of a request."""
    settings = parse_method(request.method).configured(request.settings).settings()
    given = (request.task, request.method, request.model, request.seed, request.measured, request.crop, request.name)
    return (*given, settings, dict(request.inputs), dict(request.options), picture_digest(request.picture))


@pytest.mark.parametrize("tab", PLAIN, indirect=True)
def test_requests_give_a_form_that_gives_the_same_requests(tab: TaskTab, picture: Path) -> None:
    before = tab.requests(typed(tab, picture))
    form = json.loads(json.dumps(of_requests(before)))
    after = tab.requests(filled(tab, form, picture))
    assert [facts(one) for one in after] == [facts(one) for one in before] and len(before) == 3
    assert after[0].budget == 20 and after[0].crop.quad == tuple(map(tuple, QUAD))


@pytest.mark.parametrize("tab", ["superres"], indirect=True)
def test_rows_give_the_same_settings_and_name_their_picture(tab: TaskTab, picture: Path, site: Served) -> None:
    values = {**typed(tab, picture), tab.settings.methods: ["w"], tab.settings.fields.stages: {}}
    before = tab.requests(values)
    key = site.session.submit(before, owner="somebody", place="page superres")
    rows = [dict(run.row or {}) for run in finish(site.session, key).runs]
    recipe = read_recipe(json.dumps(rows))
    assert (recipe.name, recipe.picture) == (picture.name, picture_digest(before[0].picture))
    after = tab.requests({**filled(tab, recipe.form(), picture), tab.settings.budget: 20})
    assert [facts(one) for one in after] == [facts(one) for one in before]
    assert recipe.differences() == []
    reader = Reader(site.session, tab.context.own_jobs, {"superres": "Super-resolve"})
    for owner, expected in (("somebody", {"tab": "superres", "key": key}), ("stranger", "form")):
        answer: Any = reader.read(owner, SimpleNamespace(text=json.dumps(rows[0])))  # type: ignore[arg-type]
        assert answer["opened"] == expected or expected in answer["opened"]
        assert picture.name in answer["value"] and recipe.picture in answer["value"]
    changed = json.dumps({**rows[0], "seed": 6})
    answer = reader.read("somebody", SimpleNamespace(text=changed))  # type: ignore[arg-type]
    assert answer["opened"]["picture"] == key and answer["opened"]["form"]["seed"] == 6


def test_a_link_opens_the_tab_of_its_run_or_says_that_it_is_gone(site: Served) -> None:
    reader = Reader(site.session, OwnJobs(site.session), {"reconstruct": "Reconstruct", "edit": "Edit"})
    key = site.session.submit([Request("reconstruct", "psp", PICTURE)], owner="me", place="page edit")
    finish(site.session, key)

    def opened(**query: str) -> Any:  # noqa: ANN401 - an update of the page
        return reader.follow_link(SimpleNamespace(query_params=query))  # type: ignore[arg-type]

    assert opened(run=key)["opened"] == {"tab": "edit", "key": key, "link": True}
    assert "no longer kept" in opened(run="<b>")["value"] and "opened" not in opened()


def test_other_versions_and_weights_are_named() -> None:
    row = {"task": "reconstruct", "method": "w", "settings": {}, "model": "synthetic-faces", "sha256": "1" * 64}
    versions = {**installed(), "torch": "1.0+cpu"}
    text = " ".join(read_recipe(json.dumps({**row, "versions": versions})).differences())
    assert "PyTorch 1.0+cpu" in text and "other weights" in text and "NumPy" not in text and "may differ" in text
    assert "not known here" in read_recipe(json.dumps({**row, "model": "no such"})).differences()[0]


@pytest.mark.parametrize("tab", ["inpaint"], indirect=True)
def test_pictures_and_masks_of_a_run_come_back_to_the_bit(tab: TaskTab, site: Served) -> None:
    mask = np.zeros((16, 16), np.uint8)
    mask[4:8, 4:8] = 255
    asked = Request("inpaint", "psp", PICTURE, inputs={"mask": mask}, name="my face.jpg")
    key = site.session.submit([asked], owner="me", place="page inpaint")
    finish(site.session, key)
    event: Any = SimpleNamespace(key=key)
    path = tab.reopening.picture(event)
    assert Path(path).name == "my face.png" and np.array_equal(np.asarray(Image.open(path)), PICTURE)
    assert np.array_equal(np.asarray(Image.open(str(tab.reopening.own_pictures(event)))), mask)
    updates = next(tab.reopening.restored({"key": key}))
    assert "mask" in [updates.get(one) for one in tab.controls.values()]  # the mask is that of the file
    # Gradio would make an upload anew, without our decoder, if an event left out its value.
    assert not [part for part in tab.reopening.outputs() if isinstance(part, gr.Image | gr.ImageEditor)]


@pytest.mark.parametrize("tab", ["inpaint"], indirect=True)
@pytest.mark.parametrize(("source", "comes"), [(None, True), ("painted", True), ("mask", True), ("centre", False)])
def test_after_a_reload_the_run_gives_what_the_browser_has_not(
    tab: TaskTab, site: Served, source: str | None, comes: bool
) -> None:
    mask = np.zeros((16, 16), np.uint8)
    mask[4:8, 4:8] = 255
    key = site.session.submit([Request("inpaint", "psp", PICTURE, inputs={"mask": mask})], owner="me", place="page")
    finish(site.session, key)
    form = {} if source is None else {"own": {"hole": source}}

    def events(ran: object, before: str | None = key) -> set[str]:
        update = next(tab.reopening.restored({"form": form, "ran": ran}, before))
        assert update.get(tab.controls["hole"], source) == ("mask" if ran and comes and before == key else source)
        answer = update[tab.opener]["answered"]
        assert answer["key"] == (before if answer["events"] else None)
        return set(answer["events"])

    masks = {"refetched"} if comes else set()
    assert events("own") == masks and events("all") == {"fetched"} | masks
    assert not events(None) and not events("all", None) and not events("own", "no such run")


HOSTILE: list[object] = [
    *([], {}, None, 3, "x", [[]], {"task": "reconstruct"}, {"task": "nope", "method": "w", "settings": {}}),
    *({"task": ["x"], "method": "w", "settings": {}}, {"translation": {}}),
]


@pytest.mark.parametrize("content", HOSTILE, ids=str)
def test_files_without_a_recipe_are_refused(content: object) -> None:
    with pytest.raises(InputError, match="holds no settings"):
        read_recipe(json.dumps(content))


@pytest.mark.parametrize("text", ["", "{", "[" * 9999, "{}" * 999_999], ids=["none", "cut", "deep", "long"])
def test_texts_that_are_no_json_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        read_recipe(text)


@pytest.mark.parametrize("tab", ["superres"], indirect=True)
@pytest.mark.parametrize("value", [None, "x", -1, 1e99, float("nan"), [1], {"w": {"w.steps": [1]}}, True], ids=str)
def test_values_that_do_not_fit_are_left_out(tab: TaskTab, picture: Path, value: object) -> None:
    names = ("methods", "typed", "stages", "preset", "model", "seed", "measured", "budget", "options", "own", "crop")
    for form in (dict.fromkeys(names, value), {"own": {"factor": value}, "options": {"label": value}}):
        values = filled(tab, form, picture)
        values[tab.settings.methods] = ["psp"]
        if isinstance(value, dict) and tab.crop.component in values:
            values[tab.crop.component] = {}
        assert [one.method for one in tab.requests(values)] == ["psp"]


@pytest.mark.parametrize("tab", ["reconstruct"], indirect=True)
def test_a_square_that_nobody_could_draw_is_refused(tab: TaskTab, picture: Path) -> None:
    of = picture_digest(np.asarray(Image.open(picture).convert("RGB")))
    far = [[x * 1e6, y * 1e6] for x, y in QUAD]
    flat = [[10.0, 10.0], [10.0, 10.1], [40.0, 10.1], [40.0, 10.0]]
    for quad in (far, flat, [[0, 0]] * 4, QUAD[:3], "no", [[None, 1]] * 4):
        values = {**first_values(tab, picture), tab.crop.component: {"of": of, "quad": quad}}
        with pytest.raises(InputError):
            tab.requests(values)


def row_of(request: Request) -> RowView:
    """The recipe of a request, as far as it can be known before it runs."""
    return {"task": request.task, "method": request.method, "settings": dict(request.settings)}


@pytest.mark.parametrize("tab", ["reconstruct"], indirect=True)
def test_unknown_methods_of_a_recipe_are_left_out(tab: TaskTab, picture: Path) -> None:
    known = tab.requests(first_values(tab, picture))
    rows = [row_of(one) for one in (*known, replace(known[0], method="of-tomorrow"))]
    assert len(read_recipe(json.dumps(rows)).form()["methods"]) == len(known)
