"""Runs in forked processes, as on ZeroGPU: a stand-in for `spaces` forks and pickles. No real ZeroGPU is used."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.lanes import PICTURE, StubLane, finish, stub_request
from helpers.spaces import Spaces
from helpers.waiting import until

from inversion.serving import zero
from inversion.serving.lane import Lane
from inversion.serving.requests import UnavailableRequest
from inversion.serving.runs import Finished, LaneError, Request
from inversion.serving.session import Session
from inversion.serving.zero import ZeroLane

STEPS = {"w.steps": 4}
Patch = pytest.MonkeyPatch
Opened = Callable[..., Session]


@pytest.fixture
def spaces() -> Spaces:
    """The stand-in."""
    return Spaces()


@pytest.fixture
def there(lane: Lane, spaces: Spaces) -> ZeroLane:
    """The lane of a Space on the tiny model."""
    return ZeroLane(spaces.GPU, "float32")


def request(method: str = "w", **settings: float) -> Request:
    return Request("reconstruct", method, PICTURE, "tiny", settings=settings or STEPS, seed=3)


def test_a_run_in_another_process_gives_the_same_result(lane: Lane, there: ZeroLane, spaces: Spaces) -> None:
    *before, here = lane(request())
    *progress, last = there(request())
    assert isinstance(last, Finished) and isinstance(here, Finished) and len(progress) == len(before)
    np.testing.assert_allclose(last.image, here.image, atol=1)  # one thread adds up in another order
    assert torch.is_tensor(last.code["w"]) and os.getpid() not in spaces.processes  # type: ignore[index]
    assert len(spaces.processes) == 1


def test_jobs_edits_and_cancel_work_through_a_session(there: ZeroLane, opened: Opened, spaces: Spaces) -> None:
    session = opened(there)
    session.warm("tiny")
    assert "w" not in session.ask(UnavailableRequest("tiny")).methods
    assert spaces.durations == [], "loading and quick requests use no GPU time"
    tuned = finish(session, session.submit([request("pti", **{"pti.steps": 2, "wplus.steps": 2})])).runs[0]
    assert tuned.state == "done", tuned.message
    key = session.submit([request(**{"w.steps": 10_000})])
    until(lambda: session.snapshot(key).runs[0].image is not None)
    session.cancel(key)
    one = finish(session, key).runs[0]
    assert one.state == "cancelled" and "best picture" in one.message and one.row["psnr"] > 0  # type: ignore[index]
    assert len(spaces.processes) == 2


def test_the_gpu_is_asked_for_by_the_settings(spaces: Spaces, there: ZeroLane) -> None:
    short, long = (zero.duration(request(**{"w.steps": steps}), "auto", "") for steps in (1, 1000))
    capped = replace(request(**{"w.steps": 1000}), budget=20.0)
    assert zero.START < short < long and long - short == pytest.approx(999 * zero.STEP, abs=1)
    assert zero.seconds(capped) == 20
    list(there(request()))
    assert spaces.durations == [zero.duration(request(), "auto", "")]


def test_a_run_ends_before_its_process(there: ZeroLane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zero, "seconds", lambda request: 0.2)
    *_, last = there(request(**{"w.steps": 10_000}))
    assert isinstance(last, Finished) and last.row["steps"] < 10_000 and "time" in last.message


def test_refusals_reach_the_visitor_as_plain_text(
    there: ZeroLane, spaces: Spaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaces.quota = 1
    with pytest.raises(LaneError, match=r"exceeded your quota .* More & more$"):
        list(there(request()))
    spaces.quota = 1000
    with pytest.raises(LaneError, match="does not divide"):
        list(there(replace(request(), task="superres", inputs={"factor": 5})))
    monkeypatch.setattr(Lane, "__call__", lambda self, request: 1 / 0)
    with pytest.raises(LaneError, match="ZeroDivisionError"):
        list(ZeroLane.__call__(there, request()))


def test_a_run_has_the_context_of_its_submission(opened: Opened) -> None:
    visitor: ContextVar[str] = ContextVar("visitor", default="nobody")
    seen = []

    class Looking(StubLane):
        def __call__(self, request: Request):  # type: ignore[no-untyped-def]  # noqa: ANN204
            seen.append(visitor.get())
            yield from super().__call__(request)

    session = opened(Looking())
    visitor.set("anna")
    key = session.submit([stub_request(), stub_request(1)])
    visitor.set("nobody")
    finish(session, key)
    assert seen == ["anna", "anna"]
