"""The tab Grid: its plan, its cells while runs finish, cancel, and what it refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from helpers.lanes import StubLane, stub_request
from helpers.page import opened as opened_picture
from helpers.waiting import until

from inversion.grids import GridError, Layout, parameters
from inversion.serving import catalogue
from inversion.serving.session import Limits, Session
from ui.parts.context import PageContext
from ui.parts.grid_axes import cards, options, read_axes
from ui.parts.own_jobs import OwnJobs
from ui.parts.values import Update
from ui.tabs.grid import Grid

AXES = {"x": ["method", "w, psp"], "y": ["seed", "1-3"], "z": ["", ""]}


def tab_of(session: Session) -> Grid:
    """The tab, laid out outside the page."""
    with gr.Blocks():
        tab = Grid(PageContext(session, catalogue.methods(), catalogue.models(), (), OwnJobs(session)))
        with gr.Tabs(), gr.Tab(tab.label) as place:
            tab.build(place)
    return tab


def values_of(tab: Grid, picture: Path | None, axes: object = AXES, **changes: object) -> dict[Any, Any]:
    """What the events get. changes: values by the name of the tab's attribute."""
    parts = [tab.task, tab.method, tab.model, tab.preset, tab.seed, tab.fixed]
    values: dict[Any, Any] = {part: part.value for part in parts}
    values |= {tab.upload.component: None if picture is None else str(picture), tab.axes.component: axes}
    values |= {tab.pictures: None, tab.masks: None, tab.job: None, tab.context.own_jobs.owner: "me"}
    return {**values, **{getattr(tab, name): value for name, value in changes.items()}}


def request() -> gr.Request:
    """An event of a page."""
    return gr.Request(session_hash="page", query_params={})


def joined(updates: Iterator[Update]) -> Update:
    """All updates as one."""
    whole: Update = {}
    for update in updates:
        whole |= update
    return whole


class Turnstile(threading.Event):
    """A gate that lets a number of steps pass."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = threading.Semaphore(0)

    def wait(self, timeout: float | None = None) -> bool:
        return self.steps.acquire(timeout=timeout)


def test_cells_fill_as_they_finish_and_cancel_keeps_them(opened: Callable[..., Session], picture: Path) -> None:
    gate = Turnstile()
    lane = StubLane(gate=gate)
    session = opened(lane)
    tab = tab_of(session)
    updates = tab.start(values_of(tab, picture), request())
    first = next(updates)
    key = first[tab.job]
    assert first[tab.stored] == key and len(session.snapshot(key).runs) == 6
    value = next(updates)[tab.panel.cells]
    assert [axis["values"] for axis in value["axes"]] == [["W", "pSp"], ["1", "2", "3"]]
    assert value["cells"] == [0, 3, 1, 4, 2, 5] and len(value["originals"]) == 1
    assert {run["state"] for run in value["runs"]} <= {"queued", "running"}
    gate.steps.release(7)  # two runs, and a step of the third
    until(lambda: len(session.snapshot(key).runs[2].track) == 1)
    tab.cancel(key, "somebody else")
    assert not session.snapshot(key).over
    tab.cancel(key, "me")
    gate.steps.release(9)
    last = joined(updates)
    runs = last[tab.panel.cells]["runs"]
    done = [run for run in runs if run["state"] == "done"]
    assert all(Path(run["picture"]["path"]).exists() and run["figures"]["psnr"] == "30.00 dB" for run in done)
    assert [run["note"] for run in runs] == ["", "", "partial", "cancelled", "cancelled", "cancelled"]
    assert "partial results kept" in last[tab.panel.status]
    for button in (tab.panel.sheet, tab.panel.table, tab.panel.archive):
        assert last[button]["interactive"], "what is there can be downloaded"


def test_a_grid_comes_back_after_a_reload_until_it_expires(opened: Callable[..., Session], picture: Path) -> None:
    session = opened(StubLane())
    tab, restarted = tab_of(session), tab_of(session)
    updates = tab.start(values_of(tab, picture), request())
    stored = next(updates)[tab.stored]
    last = joined(updates)[tab.panel.cells]
    for one in (tab, restarted):
        again = joined(one.resume(stored, request()))[one.panel.cells]
        assert (again["axes"], again["cells"]) == (last["axes"], last["cells"]) and len(again["originals"]) == 1
    layout = json.loads(json.dumps(session.snapshot(stored).about["layout"]))
    changes: list[dict[str, Any]] = [{"runs": [0] * 65}, {"runs": [9] * 6}, {"axes": [1]}, {"axes": []}]
    for wrong in (*({**layout, **one} for one in changes), None):
        with pytest.raises(GridError):
            Layout.of_record(wrong, 6)
    other = session.submit([stub_request()], owner="me", place="page grid")  # without a layout
    for gone in ("nope", None, 3, {"key": "nope"}, other):
        assert next(tab.resume(gone, request())) == {tab.job: None, tab.stored: None}


def test_the_plan_says_size_time_and_what_is_wrong(opened: Callable[..., Session], picture: Path) -> None:
    session = opened(StubLane(), limits=Limits(runs=5))
    tab = tab_of(session)
    assert "6 runs are too many here: a grid may have 5" in tab.show_plan(values_of(tab, None))
    session.limits.runs = 64
    assert "2 × 3 = 6 cells" in tab.show_plan(values_of(tab, None))
    assert "time not known yet" in tab.show_plan(values_of(tab, None))
    axes = {"x": ["method", "w, psp"], "y": ["steps", "5, 6"]}
    assert "3 runs, because some cells are equal" in tab.show_plan(values_of(tab, None, axes))
    wrong = {"x": ["w.steps", "<b>"]}
    assert "not &#x27;&lt;b&gt;&#x27;" in tab.show_plan(values_of(tab, None, wrong))
    for axes in ({}, None, {"x": "method"}, {"x": [1, 2, 3]}, []):
        assert "Choose what varies" in tab.show_plan(values_of(tab, None, axes)), "whatever a script sends"
    assert "NAME=VALUE" in tab.show_plan(values_of(tab, None, fixed="w.lr"))
    with pytest.raises(gr.Error, match="Upload a picture first"):
        next(tab.start(values_of(tab, None), request()))


def test_files_are_used_by_their_names(opened: Callable[..., Session], picture: Path, tmp_path: Path) -> None:
    tab = tab_of(opened(StubLane()))
    other = tmp_path / picture.name
    other.write_bytes(picture.read_bytes())
    axes = {"x": ["picture", ""], "y": ["mask", "centre, random"]}
    values = values_of(tab, picture, axes, task="inpaint", pictures=[str(other)])
    assert "2 × 2 = 4 cells" in tab.show_plan(values)
    last = joined(tab.start(values, request()))
    value = last[tab.panel.cells]
    assert value["axes"][0]["values"] == ["upload", "upload-2"] and value["original"] == [0, 0, 1, 1]
    offered = tab.offer_names(values)[tab.axes.component]["known"]
    [card] = [card for card in offered if card["key"] == "picture"]
    assert card["choices"] == [["upload", "upload"], ["upload-2", "upload-2"]]


def test_scripts_get_the_cells(client: Client, picture: Path) -> None:
    common = {"picture": handle_file(picture), "settings": {"steps": 2}, "api_name": "/grid"}
    rows, pictures, page = client.predict(x="method=w,z", y="seed=1-2", **common)
    assert [(row["Method"], row["Seed"], row["state"]) for row in rows] == [
        *(("W", "1", "done"), ("Single Z code", "1", "done")),
        *(("W", "2", "done"), ("Single Z code", "2", "done")),
    ]
    assert [one["caption"] for one in pictures] == ["W, 1", "W, 2", "Single Z code, 1", "Single Z code, 2"]
    assert opened_picture(page).width > 256
    for wrong, words in (
        ({"x": "w.steps=0"}, "X axis: W: steps must be between 1 and 10000, not '0'"),
        ({"x": "method"}, "An axis needs NAME=LIST"),
        ({"x": "seed=1", "settings": {"seed": "1,2"}}, "settings: Seed must be a whole number"),
        ({"x": "seed=1", "y": 3}, "y must be text"),
    ):
        with pytest.raises(AppError, match=words):
            client.predict(**{**common, **wrong})


def test_every_parameter_is_in_the_menu_of_an_axis() -> None:
    known = parameters(["a, b"])
    menu = options([*known.values()])
    assert all(f'value="{key}"' in menu for key in known)
    [picture] = [card for card in cards(known) if card["key"] == "picture"]
    assert picture["choices"] == [['"a, b"', "a, b"]], "a name with a comma is quoted"
    assert read_axes({"x": ["", "1"], "y": ["seed", "1" * 9999]}) == [("seed", "1" * 2000)]
