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
from ui.parts.mine import MyJobs


@pytest.fixture
def mine() -> Iterator[MyJobs]:
    """The line for a session whose first job waits at a gate."""
    gate = threading.Event()
    session = Session(lane=StubLane(gate=gate))
    with gr.Blocks():
        yield MyJobs(session)
    gate.set()
    session.close()


def test_a_new_browser_gets_a_secret_and_an_old_one_keeps_it(mine: MyJobs) -> None:
    first, second = mine.identify(None)[0], mine.identify(["no secret"])[0]
    assert len(first) > 20 and first != second and mine.identify("mine")[0] == "mine"


def test_the_line_shows_and_cancels_ones_own_jobs(mine: MyJobs) -> None:
    keys = [mine.session.submit([stub_request()], owner=owner) for owner in ("me", "me", "you")]
    until(lambda: mine.session.snapshot(keys[0]).runs[0].state == "running")
    text, timer = mine.show("me")
    assert text.count("Cancel</button>") == 2 and "W is running" in text and "in the queue" in text
    assert keys[2] not in text and timer.active
    for key in (keys[2], "unknown", None):
        assert mine.cancel("me", SimpleNamespace(key=key))[0].count("</button>") == 2  # type: ignore[arg-type]
    text, timer = mine.cancel("me", SimpleNamespace(key=keys[1]))  # type: ignore[arg-type]
    assert text.count("Cancel</button>") == 1 and timer.active
    assert [bool(part) for part in mine.show(None)[:1]] == [False] and not mine.show(None)[1].active
    assert mine.session.snapshot(keys[2]).runs[0].state == "queued"
