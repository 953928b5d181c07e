"""The line of a browser's jobs: only its own, and only while they are not over."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import gradio as gr
import pytest
from helpers.lanes import StubLane, stub_request
from helpers.waiting import until

from inversion.serving.session import Session
from ui.parts.own_jobs import OwnJobs


@pytest.fixture
def own_jobs() -> Iterator[OwnJobs]:
    """The line for a session whose first job waits at a gate."""
    gate = threading.Event()
    session = Session(lanes=[StubLane(gate=gate)])
    with gr.Blocks():
        yield OwnJobs(session)
    gate.set()
    session.close()


def test_a_new_browser_gets_a_secret_and_an_old_one_keeps_it(own_jobs: OwnJobs) -> None:
    first, second = own_jobs.identify(None)[0], own_jobs.identify(["no secret"])[0]
    assert len(first) > 20 and first != second and own_jobs.identify("mine")[0] == "mine"


def test_the_line_shows_and_cancels_ones_own_jobs(own_jobs: OwnJobs) -> None:
    own_jobs.tabs["grid"] = "Grid"
    places = {"me": "page grid", "you": "other reconstruct"}
    keys = [
        own_jobs.session.submit([stub_request()], owner=own, place=f"{n}{places[own]}")
        for n, own in enumerate(("me", "me", "you"))
    ]
    until(lambda: own_jobs.session.snapshot(keys[0]).runs[0].state == "running")
    text, timer = own_jobs.show("me")
    assert text.count("Cancel</button>") == 2 and "W is running" in text and "in the queue · W" in text
    assert keys[2] not in text and timer.active and text.count("<b>Grid</b>") == 2
    for key in (keys[2], "unknown", None):
        assert own_jobs.cancel("me", SimpleNamespace(key=key))[0].count("</button>") == 2  # type: ignore[arg-type]
    text, timer = own_jobs.cancel("me", SimpleNamespace(key=keys[1]))  # type: ignore[arg-type]
    assert text.count("Cancel</button>") == 1 and timer.active
    assert [bool(part) for part in own_jobs.show(None)[:1]] == [False] and not own_jobs.show(None)[1].active
    assert own_jobs.session.snapshot(keys[2]).runs[0].state == "queued"
