"""Jobs: the same results in every order, cancel, budget, queue, limits of stores, and recovery from failures."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from helpers.checkpoints import GOOD, use_entries
from helpers.lanes import StubLane, finish, stub_request
from helpers.waiting import until

from inversion.checkpoints import fetch
from inversion.checkpoints.registry import Entry, HubError
from inversion.common.errors import UserError
from inversion.common.settings import kind_of
from inversion.methods import METHODS, STAGES
from inversion.model import Model
from inversion.serving.lane import Lane
from inversion.serving.requests import Quick
from inversion.serving.runs import Finished, LaneError, Ready, Request
from inversion.serving.session import Busy, Limits, Session, UnknownJob
from inversion.tasks import TASKS, task_class

T = TypeVar("T")


class Death(BaseException):
    """An error that `except Exception` does not catch."""


def test_results_do_not_depend_on_who_else_runs(
    opened: Callable[..., Session], lane: Lane, request_of: Callable[..., Request]
) -> None:
    jobs = [[request_of(user, method) for method in ("w", "mganprior", "pti")] for user in range(3)]
    session = opened(lane, limits=Limits(slice=0.0))  # runs are suspended after every step
    alone = [[finish(session, session.submit([request])).runs[0] for request in job] for job in jobs]
    keys = [session.submit(job) for job in jobs]  # all wait at once and take turns
    together = [finish(session, key).runs for key in keys]
    for single, shared in zip(alone, together, strict=True):
        for one, other in zip(single, shared, strict=True):
            assert one.state == other.state == "done", other.message
            assert one.image is not None and np.array_equal(one.image, other.image)
            assert one.row is not None and other.row is not None and one.row["psnr"] == other.row["psnr"]


def test_every_event_is_plain_data(lane: Lane, request_of: Callable[..., Request]) -> None:
    request = pickle.loads(pickle.dumps(request_of(0, "pti", task="superres", inputs={"factor": 4})))  # noqa: S301 - our own bytes
    events = list(lane(request))
    assert [type(e).__name__ for e in (events[0], events[-1])] == ["Ready", "Finished"]
    for event in events:
        assert len(pickle.dumps(event)) > 0
    last = events[-1]
    assert isinstance(last, Finished) and last.weights is not None
    assert all(weight.device.type == "cpu" and not weight.requires_grad for weight in last.weights.values())
    wanted = "task method model seed psnr ssim lpips identity synthetic_identity seconds steps picture image settings"
    assert set(wanted.split()) <= set(last.row)
    assert last.row["lpips"] is None and last.row["identity"] is None


def inputs_of(task: str, mask: np.ndarray) -> dict[str, np.ndarray]:
    """A mask for every field of the task that is a mask."""
    return {spec.name: mask for spec in fields(task_class(task)) if kind_of(spec) == "mask"}


@pytest.mark.parametrize("task", TASKS)
def test_a_measured_picture_is_scored_by_nobody(task: str, lane: Lane, request_of: Callable[..., Request]) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 255
    ready, *_, last = lane(request_of(0, task=task, inputs=inputs_of(task, mask), measured=True))
    assert isinstance(ready, Ready) and ready.truth is None and ready.measured.shape == (32, 32, 3)
    assert isinstance(last, Finished) and last.row["psnr"] is None and last.image.shape == (32, 32, 3)


def test_cancel_stops_within_a_step_and_keeps_the_picture(opened: Callable[..., Session]) -> None:
    gate = threading.Event()
    gate.set()
    stub = StubLane(steps=10**6, gate=gate)
    session = opened(stub)
    key = session.submit([stub_request(1), stub_request(2)])
    until(lambda: session.snapshot(key).runs[0].image is not None)
    began = time.monotonic()
    session.cancel(key)
    view = finish(session, key)
    assert time.monotonic() - began < 2
    assert [run.state for run in view.runs] == ["cancelled", "cancelled"]
    assert view.runs[0].image is not None and view.runs[1].image is None
    assert view.runs[0].row is not None and view.runs[0].row["psnr"] == 30.0  # the best, not the last preview
    assert stub.closed == 1 and stub.order == [1]


def test_cancel_of_a_waiting_job_leaves_the_others_alone(opened: Callable[..., Session]) -> None:
    gate = threading.Event()
    stub = StubLane(gate=gate)
    session = opened(stub)
    first, second = session.submit([stub_request(1)]), session.submit([stub_request(2)])
    session.cancel(second)
    assert session.snapshot(second).over
    gate.set()
    assert finish(session, first).runs[0].state == "done"
    assert stub.order == [1]


def test_jobs_take_turns_and_know_their_place(opened: Callable[..., Session]) -> None:
    gate = threading.Event()
    stub = StubLane(gate=gate)
    session = opened(stub)
    many = session.submit([stub_request(seed) for seed in (1, 2, 3)])
    until(lambda: stub.order == [1])
    single, other = session.submit([stub_request(4)]), session.submit([stub_request(5)])
    assert [session.snapshot(key).position for key in (many, single, other)] == [0, 1, 2]
    gate.set()
    for key in (many, single, other):
        assert all(run.state == "done" for run in finish(session, key).runs)
    assert stub.order == [1, 4, 5, 2, 3]
    assert stub.most == 1


def test_a_job_goes_on_when_nobody_watches(opened: Callable[..., Session]) -> None:
    session = opened(StubLane())
    key = session.submit([stub_request()])
    watcher = session.follow(key)
    next(watcher)
    watcher.close()
    until(lambda: session.snapshot(key).over)
    view = session.snapshot(key)
    assert view.runs[0].state == "done" and view.runs[0].track[-1] == (9.0, 30.0)


def test_the_budget_ends_a_run(opened: Callable[..., Session], lane: Lane, request_of: Callable[..., Request]) -> None:
    session = opened(lane, budget=0.3)
    key = session.submit([request_of(0, settings={"w.steps": 10_000}, budget=1000.0)])
    began = time.monotonic()
    run = finish(session, key).runs[0]
    assert run.state == "done" and run.step < 9_000 and "budget" in run.message
    assert time.monotonic() - began < 20


def test_what_a_model_cannot_run_is_answered_between_two_steps(opened: Callable[..., Session]) -> None:
    gate = threading.Event()
    gate.set()
    stub = StubLane(steps=10**6, gate=gate)
    session = opened(stub)
    key = session.submit([stub_request()])
    until(lambda: session.snapshot(key).runs[0].step > 1)
    methods, stages = session.unavailable("bare")
    assert session.snapshot(key).runs[0].state == "running"
    assert set(methods) == set(METHODS) - {"dip"} and set(stages) == set(STAGES) - {"dip"}
    assert "bare" in methods["w"] and "bare" in stages["w"]
    session.cancel(key)
    finish(session, key)


def test_a_model_is_asked_in_the_device_thread_only(opened: Callable[..., Session]) -> None:
    threads = []

    class Watched(StubLane):
        def answer(self, request: Quick[T]) -> T:
            threads.append(threading.current_thread().name)
            return super().answer(request)

    opened(Watched()).unavailable("bare")
    assert threads == ["device-lane"]


@pytest.mark.parametrize("error", [Death("secret"), HubError("there is no network")])
def test_a_download_that_stops_ends_the_jobs_that_wait_for_it(
    error: BaseException, opened: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def fail(*_: object, **__: object) -> Path:
        assert gate.wait(60)
        raise error

    hosted = {**GOOD, "file": None, "repo_id": "a/b", "filename": "x.safetensors", "revision": "0" * 40, "grade": "A"}
    use_entries(monkeypatch, tmp_path, Entry("hosted", **hosted))  # type: ignore[arg-type]
    monkeypatch.setattr(fetch, "fetch", fail)
    monkeypatch.setattr(fetch, "cached", lambda entry: None)
    stub = StubLane()
    session = opened(stub)
    key = session.submit([replace(stub_request(), model="hosted")] * 2)
    assert session.status().downloading == (key,) and session.snapshot(key).download is not None
    with pytest.raises(LaneError, match="not been downloaded"):
        session.unavailable("hosted")
    gate.set()
    view = finish(session, key)
    assert [run.state for run in view.runs] == ["failed", "failed"] and view.download is None
    assert "secret" not in view.runs[0].message and view.runs[0].message
    assert session.status().downloading == () and stub.order == []


def test_too_many_quick_requests_are_refused(opened: Callable[..., Session]) -> None:
    gate = threading.Event()
    stub = StubLane(gate=gate)
    session = opened(stub, limits=Limits(quick=0))
    with pytest.raises(Busy, match="try again"):
        session.unavailable("bare")


def test_the_status_names_the_jobs_that_are_not_over(opened: Callable[..., Session]) -> None:
    gate = threading.Event()
    session = opened(StubLane(gate=gate))
    keys = [session.submit([stub_request(seed)]) for seed in range(3)]
    until(lambda: session.status().running == (keys[0],))
    assert session.status().waiting == tuple(keys[1:]) and session.status().downloading == ()
    gate.set()
    for key in keys:
        finish(session, key)
    assert session.status().running == () and session.status().waiting == ()


def test_too_many_jobs_are_refused(opened: Callable[..., Session]) -> None:
    gate = threading.Event()
    stub = StubLane(gate=gate)
    session = opened(stub, limits=Limits(waiting=2))
    keys = [session.submit([stub_request()])]
    until(lambda: len(stub.order) == 1)  # one runs, so that the next two wait
    keys += [session.submit([stub_request()]) for _ in range(2)]
    with pytest.raises(Busy, match="try again"):
        session.submit([stub_request()])
    gate.set()
    assert all(finish(session, key).over for key in keys)


def test_stores_are_bounded(opened: Callable[..., Session]) -> None:
    now = [0.0]
    limits = Limits(finished=5, tuned=2, expiry=100.0)
    session = opened(StubLane(steps=1), limits=limits, clock=lambda: now[0])
    keys = []
    for seed in range(12):
        keys.append(session.submit([stub_request(seed)]))
        finish(session, keys[-1])
    finish(session, session.submit([stub_request(99)]))
    with pytest.raises(UnknownJob):
        session.snapshot(keys[0])
    assert session.stored_result(keys[-1], 0).weights == {"w": 11}
    with pytest.raises(UnknownJob):
        session.stored_result(keys[-4], 0)  # of an older tuned job
    with pytest.raises(UnknownJob):
        session.stored_result("somebody else's", 0)
    now[0] = 1000.0
    finish(session, session.submit([stub_request()]))
    with pytest.raises(UnknownJob):
        session.snapshot(keys[-1])


def test_two_jobs_to_be_joined_keep_all_their_tuned_results(opened: Callable[..., Session]) -> None:
    session = opened(StubLane(steps=1), limits=Limits(tuned=2))
    keys = []
    for _ in range(3):
        keys.append(session.submit([stub_request(seed) for seed in range(8)]))
        finish(session, keys[-1])
    old, first, second = keys
    assert all(session.stored_result(key, index).weights is not None for key in (first, second) for index in range(8))
    for index in range(8):
        with pytest.raises(UnknownJob):
            session.stored_result(old, index)
    session.stored_result(first, 0)  # used now, so the second one has to go
    finish(session, session.submit([stub_request()]))
    assert session.stored_result(first, 7).weights is not None
    with pytest.raises(UnknownJob):
        session.stored_result(second, 7)


@dataclass(frozen=True)
class Raises:
    """A quick request that fails."""

    error: BaseException
    model: str = "synthetic-faces"

    def __call__(self, model: Model) -> None:
        raise self.error


@pytest.mark.parametrize(
    "error", [RuntimeError("secret path"), LaneError("Do this instead."), Death("secret"), SystemExit("secret")]
)
def test_a_failure_leaves_the_session_working(
    error: BaseException, opened: Callable[..., Session], caplog: pytest.LogCaptureFixture
) -> None:
    stub = StubLane()
    session = opened(stub)
    stub.fail = error
    view = finish(session, session.submit([stub_request(1), stub_request(2)]))
    assert [run.state for run in view.runs] == ["failed", "failed"]
    assert "secret" not in view.runs[0].message and view.runs[0].message
    assert view.runs[0].image is not None, "what was reached before is kept"
    with pytest.raises(LaneError):
        session.ask(Raises(error))
    stub.fail = None
    session.warm("broken")
    assert finish(session, session.submit([stub_request(3)])).runs[0].state == "done"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"task": "fly"}, "Unknown task"),
        ({"method": "magic"}, "Unknown method"),
        ({"model": "nobody"}, "no model"),
        ({"settings": {"w.steps": 10**6}}, "w.steps"),
        ({"settings": {"w.colour": 1}}, "w.colour"),
        ({"seed": -1}, "seed"),
        ({"budget": float("nan")}, "budget"),
        ({"picture": np.zeros((8, 8), np.uint8)}, "picture"),
    ],
)
def test_bad_requests_are_refused_before_they_queue(
    changes: dict[str, object],
    text: str,
    opened: Callable[..., Session],
    lane: Lane,
    request_of: Callable[..., Request],
) -> None:
    request = replace(request_of(0), **changes)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=text):
        opened(lane).submit([request])


def test_no_method_is_refused(opened: Callable[..., Session]) -> None:
    with pytest.raises(UserError, match="at least one method"):
        opened(StubLane()).submit([])
