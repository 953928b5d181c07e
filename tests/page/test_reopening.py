"""Grids, analyses and translations come back from the history, by a link and from a file, and run again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from helpers.lanes import finish
from helpers.page import laid_out
from helpers.serving import Served

from inversion.serving import catalogue
from inversion.serving.runs import Request, picture_digest
from inversion.serving.session import UnknownJob
from ui.examples import drawings
from ui.history.kept import KeptFields
from ui.history.listing import listing
from ui.history.reader import Reader
from ui.history.recipes import read_recipe
from ui.parts import inputs
from ui.parts.values import Update
from ui.tabs import all_tabs
from ui.tabs.analyse import Analyse
from ui.tabs.grid import Grid
from ui.tabs.sketch import Sketch

Fields = Analyse | Grid | Sketch
KINDS = {key: kind for key, kind in all_tabs().items() if issubclass(kind, Fields)}
KEEPING = pytest.mark.parametrize("tab", KINDS, indirect=True)
PAGE: Any = SimpleNamespace(session_hash="page", query_params={})


@pytest.fixture(scope="module")
def tab(site: Served, request: pytest.FixtureRequest) -> Fields:
    """A tab whose fields are kept one by one."""
    return laid_out(KINDS[request.param], site)  # type: ignore[type-var]


def chosen(tab: Fields, picture: Path) -> dict[Any, Any]:
    """The values of somebody who changes some fields."""
    kept, owner = tab.kept, tab.context.own_jobs.owner
    values: dict[Any, Any] = {part: part.value for part in kept.outputs()}  # type: ignore[attr-defined]
    values |= {tab.job: None, owner: "me", kept.fields["seed"]: 5}
    if isinstance(tab, Sketch):
        values |= dict.fromkeys(tab.fields.values())
        takes = "picture" if tab.only else "lines"
        path = drawings(takes)[0]
        values[tab.fields[takes]] = str(path) if tab.only else np.asarray(inputs.picture(str(path)))
        return values | {tab.variations: 2, tab.blend: 0.5}
    values[tab.upload.component] = str(picture)
    if isinstance(tab, Analyse):
        return values | {tab.kind: "codes", tab.typed: {"codes": {"effort": 0.02, "most": 1}}}
    axes = {"x": ["method", "w, z"], "y": ["seed", "1-2"], "z": ["", ""]}
    return values | {tab.axes.component: axes, tab.fixed: "steps=2", tab.pictures: None, tab.masks: None}


def start(tab: Fields, values: Mapping[Any, Any]) -> str:
    """Run the chosen values; returns the key of the job, which is over."""
    begin = tab.make if isinstance(tab, Sketch) else tab.start
    update = next(begin(dict(values), PAGE))
    finish(tab.context.session, update[tab.job])
    return str(update[tab.job])


def reopened(tab: Fields, **detail: object) -> Update:
    """All updates of an event that opens a run."""
    whole: Update = {}
    event: Any = SimpleNamespace(detail=detail)
    updates: Iterator[Update] = tab.reopen(None, "me", PAGE, event)
    for update in updates:
        whole |= update
    return whole


def applied(kept: KeptFields, values: Mapping[Any, Any], update: Update) -> dict[Any, Any]:
    """The values after the page has got an update, as its scripts apply it."""
    found = dict(values)
    for part in kept.outputs():
        change = update.get(part)
        if isinstance(change, dict) and "__type__" in change:
            squares = [framing.component for framing in kept.framings.values()]
            found[part] = change["restored"] if part in squares else change.get("value", found[part])
        elif part in update:
            found[part] = change
    return found


def facts(request: Request) -> tuple[object, ...]:
    """What decides the result of a request."""
    given = (request.task, request.method, request.model, request.seed, request.crop, request.analysis)
    whole = (*given, request.translation, dict(request.settings), dict(request.inputs))
    return (*whole, picture_digest(request.picture))


def asked(tab: Fields, key: str) -> list[tuple[object, ...]]:
    """The facts of a job."""
    return [facts(one) for one in tab.context.session.history.requests(key)]


@KEEPING
def test_an_opened_run_fills_the_fields_that_give_it_again(tab: Fields, picture: Path) -> None:
    values = chosen(tab, picture)
    key = start(tab, values)
    update = reopened(tab, key=key)
    assert update[tab.job] == key and "Done" in update[tab.panel.status if not isinstance(tab, Analyse) else tab.status]
    empty = {**values, **{part: part.value for part in tab.kept.fields.values()}}  # type: ignore[attr-defined]
    again = start(tab, applied(tab.kept, empty, update))
    assert again != key and asked(tab, again) == asked(tab, key)
    answer = update[tab.kept.opener]["answered"]
    assert answer["key"] == key and answer["events"], "the script asks for its pictures"


@KEEPING
def test_a_run_is_run_again_as_it_was_and_with_another_model(tab: Fields, picture: Path) -> None:
    key = start(tab, chosen(tab, picture))
    again = reopened(tab, key=key, run=True)[tab.job]
    assert again != key and asked(tab, again) == asked(tab, key)
    other = reopened(tab, key=key, run=True, model="aligned")[tab.job]
    requests = tab.context.session.history.requests(other)
    assert {one.model for one in requests} == {"aligned"} and len(requests) == len(asked(tab, key))
    rows = listing(
        tab.context.session.history.entries("me"), tab.context.openers, catalogue.models(), catalogue.methods()
    )
    assert f'data-key="{key}" data-tab="{tab.key}"' in rows


@KEEPING
def test_a_link_opens_the_run_and_nothing_of_before(tab: Fields, picture: Path) -> None:
    key = start(tab, chosen(tab, picture))
    linked: Any = SimpleNamespace(session_hash="page", query_params={"run": key})
    assert tab.opens_link(linked) and not tab.opens_link(PAGE)
    assert list(tab.resume(key, linked)) == [{tab.job: gr.skip()}], "the answer to the link is the only one"
    reader = Reader(tab.context.session, tab.context.own_jobs, tab.context.openers)
    answer: Any = reader.follow_link(linked)
    assert answer["opened"] == {"tab": tab.key, "key": key, "link": True}
    with pytest.raises(UnknownJob):
        tab.context.session.snapshot("no such run")


@KEEPING
def test_a_dropped_result_opens_its_run_or_fills_the_fields(tab: Fields, picture: Path) -> None:
    values = chosen(tab, picture)
    key = start(tab, values)
    rows = [run.row for run in tab.context.session.snapshot(key).runs]
    reader = Reader(tab.context.session, tab.context.own_jobs, tab.context.openers | {"reconstruct": "Reconstruct"})
    mine: Any = reader.read("me", SimpleNamespace(text=json.dumps(rows[0])))  # type: ignore[arg-type]
    assert mine["opened"]["tab"] == tab.key
    if isinstance(tab, Grid):  # a cell is a run of a task
        return
    theirs: Any = reader.read("stranger", SimpleNamespace(text=json.dumps(rows[0])))  # type: ignore[arg-type]
    update = tab.kept.answer(theirs["opened"]["form"])
    assert theirs["opened"]["tab"] == tab.key
    assert asked(tab, start(tab, applied(tab.kept, values, update))) == asked(tab, key)


@KEEPING
@pytest.mark.parametrize("value", [None, "x", -1, 1e99, float("nan"), [1], {"w": 1}, True], ids=str)
def test_values_that_do_not_fit_a_field_are_left_out(tab: Fields, value: object) -> None:
    update = tab.kept.answer(dict.fromkeys(tab.kept.fields, value))
    for name, part in tab.kept.fields.items():
        if part in update and name not in tab.kept.readers:
            part.preprocess(update[part]) if hasattr(part, "choices") else None  # raises for an unknown choice
    assert set(update) <= set(tab.kept.outputs())


@pytest.mark.parametrize("tab", ["sketch"], indirect=True)
def test_pictures_hold_what_made_them(tab: Fields, picture: Path) -> None:
    assert isinstance(tab, Sketch)
    key = start(tab, chosen(tab, picture))
    items = reopened(tab, key=key)[tab.panel.gallery]
    assert [caption for _, caption in items] == ["Your input", "Main result", "Variation 1"]
    row = dict(tab.context.session.snapshot(key).runs[0].row or {})
    assert read_recipe(json.dumps(row)).tab == "sketch" and row["picture_name"] == "drawing.png"
