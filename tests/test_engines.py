"""The contract of all engines: the same events and answers; a process that ends or hangs ends runs, not the server."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import ada
from helpers.checkpoints import in_process
from helpers.engines import LANES, engine, send
from helpers.foreign import write_nvidia
from helpers.lanes import finish
from helpers.waiting import until

from inversion.checkpoints import own
from inversion.common.errors import UserError
from inversion.common.settings import SettingError
from inversion.editing.requests import Inverted, MixRequest
from inversion.serving import engines
from inversion.serving.edits import Place
from inversion.serving.engines import process, ray_lanes
from inversion.serving.engines.transfer import LARGE, Channel
from inversion.serving.jobs import RESTARTED
from inversion.serving.lane import Lane
from inversion.serving.requests import UnavailableRequest
from inversion.serving.runs import Event, Finished, LaneError, LaneLost, Progress, Ready, Request
from inversion.serving.session import Session

__all__ = ["engine", "in_process"]  # fixtures
Engine = Callable[[str], list[Lane]]
Opened = Callable[..., Session]
ELSEWHERE = tuple(name for name in LANES if name != "here")  # engines whose processes can end
TUNING = {"wplus.steps": 2, "pti.steps": 2}


@pytest.fixture(autouse=True)
def _with_pythonpath(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's processes get a PYTHONPATH; the variable is restored afterwards."""
    monkeypatch.setenv("PYTHONPATH", "")


@pytest.fixture
def model(tmp_path: Path, in_process: list[str]) -> Iterator[str]:
    """A tiny generator of the user's, which all processes find."""
    name = own.add_file(write_nvidia(tmp_path / "tiny.pkl", {"G_ema": ada.weights()}))
    yield name
    own.remove_file(name)


@pytest.fixture
def request_(model: str) -> Request:
    """Four steps of W."""
    picture = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    return Request("reconstruct", "w", picture, model, {"w.steps": 4})


def finished(events: list[Event]) -> Finished:
    """The last event, with the right ones before it."""
    first, *steps, last = events
    assert isinstance(first, Ready) and isinstance(last, Finished)
    assert steps and all(isinstance(event, Progress) for event in steps)
    return last


def same(first: Finished, second: Finished) -> bool:
    """Whether two results are equal to the bit, without their times."""
    times = ("seconds", "spent")
    rows = [{key: value for key, value in one.row.items() if key not in times} for one in (first, second)]
    return np.array_equal(first.image, second.image) and rows[0] == rows[1]


def long(request: Request, seed: int) -> Request:
    """A run that goes on until it is ended."""
    return replace(request, settings={"w.steps": 10**4}, seed=seed)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_results_are_the_same_to_the_bit(name: str, engine: Engine, request_: Request) -> None:
    results = [finished(list(lane(request_))) for lane in (*engine("here"), *engine(name))]
    assert all(same(results[0], one) for one in results[1:])


@pytest.mark.parametrize("name", LANES)
def test_a_run_ends_early_with_its_best_picture(name: str, engine: Engine, request_: Request) -> None:
    events = engine(name)[0](long(request_, 1))
    next(events), next(events)
    rest = [events.send(True)]
    rest += list(events)
    assert isinstance(rest[-1], Finished) and len(rest) < 7


@pytest.mark.parametrize("name", LANES)
def test_suspended_runs_do_not_change_each_other(name: str, engine: Engine, request_: Request) -> None:
    lane, runs = engine(name)[0], [replace(request_, seed=seed) for seed in (2, 3)]
    alone = [finished(list(lane(run))) for run in runs]
    fresh = [replace(run, settings={"w.steps": 4, "w.lr": 0.05}) for run in runs]  # so that nothing is remembered
    both = [lane(run) for run in fresh]
    together: list[list[Event]] = [[], []]
    for _ in range(40):
        for events, found in zip(both, together, strict=True):
            found += [event] if (event := next(events, None)) is not None else []
    mixed = [finished(found) for found in together]
    assert not same(*mixed) and not same(*alone)
    again = [finished(list(lane(run))) for run in fresh]
    assert all(same(a, b) for a, b in zip(mixed, again, strict=True))


@pytest.mark.parametrize("name", LANES)
def test_errors_keep_their_words_and_class(name: str, engine: Engine, request_: Request) -> None:
    lane = engine(name)[0]
    with pytest.raises(SettingError, match=r"w\.steps|Steps"):
        list(lane(replace(request_, settings={"w.steps": -1})))
    with pytest.raises(LaneError, match="cannot run"):
        list(lane(replace(request_, method="psp", settings={})))
    with pytest.raises(UserError, match="no model"):
        lane.answer(UnavailableRequest("none"))
    assert lane.answer(UnavailableRequest(request_.model)).methods  # and the lane goes on


@pytest.mark.parametrize("name", ELSEWHERE)
def test_edits_of_a_tuned_generator_are_the_same(name: str, engine: Engine, request_: Request) -> None:
    answers = []
    for lane in (engine("here")[0], engine(name)[0]):
        last = finished(list(lane(replace(request_, method="pti", settings=TUNING))))
        result = Inverted(last.code, last.weights, {})
        answers += [lane.answer(MixRequest(request_.model, result, result, 1)) for _ in range(2)]
    assert all(np.array_equal(answers[0], one) for one in answers)


@pytest.mark.parametrize("name", LANES)
def test_jobs_previews_edits_and_cancel_work_through_a_session(
    name: str, engine: Engine, opened: Opened, request_: Request
) -> None:
    lanes = engine(name)
    session = opened(*lanes)
    session.limits.slice = 0.02
    tuned = session.submit([replace(request_, method="pti", settings=TUNING, seed=5)], owner="other")
    endless = [session.submit([long(request_, seed)], owner=str(seed)) for seed in (21, 22)]
    assert finish(session, tuned).runs[0].state == "done", "no job waits for the end of another one"
    lane = session.stored_result(tuned, 0).lane
    assert lane is not None and session.edits.mix(Place(tuned, 0), Place(tuned, 0), 1).ndim == 3
    assert "psp" in session.unavailable(request_.model).methods
    until(lambda: all(session.snapshot(key).runs[0].image is not None for key in endless))
    for key in endless:
        session.cancel(key)
    for key in endless:
        run = finish(session, key).runs[0]
        assert run.state == "cancelled" and "best picture" in run.message and run.row is not None
    assert [health.state for health in session.health()] == ["free"] * len(lanes)


def test_lanes_without_a_replica_wait_and_the_others_work(engine: Engine, opened: Opened, request_: Request) -> None:
    for lane in engine("replicas"):
        lane.close()  # both are free
    session = opened(*engines.lanes("ray", "cpu", "float32", 3))
    keys = [session.submit([replace(request_, seed=seed)]) for seed in range(31, 36)]
    assert {finish(session, key).runs[0].state for key in keys} == {"done"}
    assert sum(health.place == "no replica" for health in session.health()) >= 1


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_killed_process_ends_its_runs(name: str, engine: Engine, request_: Request) -> None:
    lane = engine(name)[1]
    first, second = lane(long(request_, 9)), lane(long(request_, 10))
    next(first), next(second)
    send(lane)
    blamed = []
    for events in (first, second):
        with pytest.raises(LaneLost, match="has ended") as lost:
            list(events)
        blamed.append(not lost.value.blameless)
    assert blamed == [True, False] and not lane.opened
    lane.tidy()  # starts none
    assert not lane.opened


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_process_that_hangs_is_replaced(
    name: str, engine: Engine, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = engine(name)[0]
    events = lane(replace(request_, settings={"w.steps": 10**4, "w.lr": 0.02}))
    next(events), next(events), next(events)
    send(lane, "SIGSTOP")
    monkeypatch.setattr(process, "PATIENCE", 1.5)
    with pytest.raises(LaneLost, match="did not respond|has ended"):
        list(events)
    assert not lane.opened


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_job_outlives_the_process_that_computes_it(
    name: str, engine: Engine, opened: Opened, request_: Request
) -> None:
    session = opened(engine(name)[0])
    tuned = replace(request_, method="pti", settings=TUNING, seed=12)
    key = session.submit([tuned, long(request_, 11)])
    until(lambda: session.snapshot(key).runs[1].step > 0)
    send(engine(name)[0])
    until(lambda: session.snapshot(key).runs[1].message == RESTARTED)
    until(lambda: session.snapshot(key).runs[1].step > 0)
    send(engine(name)[0])
    until(lambda: session.snapshot(key).over)
    first, second = session.snapshot(key).runs
    assert first.state == "done" and first.image is not None
    assert session.edits.mix(Place(key, 0), Place(key, 0), 1).ndim == 3, "the tuned weights are still there"
    assert second.state == "failed" and "has ended" in second.message and session.health()[0].losses == 2


def test_a_large_tensor_goes_over_once_and_is_forgotten_by_both(tmp_path: Path) -> None:
    paths = [tmp_path / "there", tmp_path / "back"]
    sinks = [path.open("wb") for path in paths]
    sources = [path.open("rb") for path in paths]
    keeper, other = Channel(sources[0], sinks[1], keeps=True), Channel(sources[1], sinks[0], keeps=False)
    big, small = torch.arange(LARGE, dtype=torch.bfloat16).reshape(2, -1), torch.ones(3)
    keeper.send({"big": big, "small": small})
    received = other.receive()
    assert torch.equal(received["big"], big) and received["big"].dtype == big.dtype
    assert torch.equal(received["small"], small)
    sizes = []
    for _ in range(2):
        before = paths[0].stat().st_size
        other.send(received["big"])
        sizes.append(paths[0].stat().st_size - before)
        assert keeper.receive() is big
    assert max(sizes) < 1000
    dropped = weakref.ref(big)
    del received, big
    other.send("nothing else")
    assert keeper.receive() == "nothing else" and dropped() is None
    keeper.close()
    other.close()
    with pytest.raises(ValueError, match="closed"):
        other.receive()


@pytest.mark.parametrize("last", ["RUNNING", "DEPLOY_FAILED", None])
def test_an_application_that_is_being_deployed_is_waited_for(last: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for Ray: the status of the application changes each time that somebody asks for it."""
    statuses = [last, "DEPLOYING", "NOT_STARTED"]

    def handle(name: str) -> str:
        if statuses != ["RUNNING"]:
            raise NotFoundError
        return name

    def status() -> SimpleNamespace:
        found = {} if statuses[-1] is None else {ray_lanes.APPLICATION: SimpleNamespace(status=statuses[-1])}
        statuses[1:] = statuses[1:-1]
        return SimpleNamespace(applications=found)

    class NotFoundError(Exception):
        pass

    serve = SimpleNamespace(get_app_handle=handle, status=status)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True, serve=serve))
    monkeypatch.setitem(sys.modules, "ray.serve", serve)
    monkeypatch.setitem(sys.modules, "ray.serve.exceptions", SimpleNamespace(RayServeException=NotFoundError))
    monkeypatch.setattr(ray_lanes, "RayLane", lambda handle, *_: handle)
    if last == "RUNNING":
        assert engines.lanes("ray", "cpu", "float32", 2) == [ray_lanes.APPLICATION] * 2
    else:
        with pytest.raises(LaneError, match="no application"):
            engines.lanes("ray", "cpu", "float32", 2)
    assert len(statuses) == 1, "it was asked while it was being deployed"
