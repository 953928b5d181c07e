"""Several lanes behind one queue: open runs stay on their lane, quick requests find theirs, lanes may not open."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from helpers.lanes import StubLane, finish, stub_request
from helpers.waiting import until

from inversion.model import Model
from inversion.serving.runs import Event, LaneError, LaneLost, Request
from inversion.serving.session import Limits, Session, Status

Opened = Callable[..., Session]
PATIENT: dict[str, Any] = {"grace": math.inf, "abandoned": math.inf, "slice": 0.0}


class NamedLane(StubLane):
    """A lane with a number, which quick requests and errors tell. It is lost in the first `losses` runs of seed 13."""

    def __init__(self, number: int, steps: int = 3, gate: threading.Event | None = None) -> None:
        super().__init__(steps, gate)
        self.number, self.losses = number, 0
        self.refusal: threading.Event | None = None  # until then, it does not open
        self.opened = True

    def open(self) -> None:
        if self.refusal is not None and not self.refusal.is_set():
            raise LaneError("no process")
        self.opened = True

    def answer(self, request: Where) -> int:  # type: ignore[override]
        return self.number

    def __call__(self, request: Request) -> Generator[Event, bool | None, None]:
        for event in super().__call__(request):
            stop = yield event
            if request.seed == 13 and self.losses:
                self.losses -= 1
                raise LaneLost("lost")
            assert not stop


class OpeningLane(NamedLane):
    """A lane that opens when its gate opens."""

    def __init__(self, number: int, gate: threading.Event) -> None:
        super().__init__(number, gate=gate)
        self.opened, self.warms, self.began = False, False, threading.Event()

    def open(self) -> None:
        self.began.set()
        assert self.gate is not None
        self.gate.wait()
        self.opened = True


@dataclass(frozen=True)
class Where:
    """Which lane answers."""

    model: str = "synthetic-faces"

    def __call__(self, model: Model) -> int:
        raise AssertionError


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Lets the runs make their steps. Open at the end, so that a session can be closed."""
    made = threading.Event()
    yield made
    made.set()


def test_as_many_jobs_run_at_once_as_there_are_lanes(opened: Opened, gate: threading.Event) -> None:
    lanes = [NamedLane(number, gate=gate) for number in range(3)]
    session = opened(*lanes)
    keys = [session.submit([stub_request(seed)]) for seed in range(5)]
    until(lambda: session.status().running == tuple(keys[:3]) or set(session.status().running) == set(keys[:3]))
    assert session.status().waiting == tuple(keys[3:]) and [len(lane.order) for lane in lanes] == [1, 1, 1]
    assert {health.state for health in session.health()} == {"running"}
    gate.set()
    assert {finish(session, key).runs[0].state for key in keys} == {"done"}
    assert sum(lane.closed for lane in lanes) == 5 and max(lane.most for lane in lanes) == 1
    assert {health.state for health in session.health()} == {"free"}


def test_the_runs_of_a_job_go_on_side_by_side(opened: Opened, gate: threading.Event) -> None:
    lanes = [NamedLane(number, gate=gate) for number in range(2)]
    session = opened(*lanes)
    key = session.submit([stub_request(seed) for seed in range(5)])
    until(lambda: [len(lane.order) for lane in lanes] == [1, 1])
    assert [run.state for run in session.snapshot(key).runs] == ["running"] * 2 + ["queued"] * 3
    assert session.status().running == (key,) and session.status().waiting == ()
    gate.set()
    view = finish(session, key)
    assert [run.state for run in view.runs] == ["done"] * 5 and all(run.image is not None for run in view.runs)
    assert sorted(lanes[0].order + lanes[1].order) == list(range(5)) and lanes[0].order[0] + lanes[1].order[0] == 1
    assert session.status() == Status((), (), ()), "no strand is left"


def test_a_job_on_all_lanes_leaves_turns_to_others(opened: Opened) -> None:
    lanes = [StubLane(10**6) for _ in range(2)]
    session = opened(*lanes, limits=Limits(**PATIENT))
    long = session.submit([stub_request(seed) for seed in range(6)], owner="long")
    until(lambda: all(lane.order for lane in lanes))
    other = session.submit([stub_request(50)], owner="other")
    until(lambda: session.snapshot(other).runs[0].state == "running")
    assert [run.state for run in session.snapshot(long).runs] == ["running"] * 2 + ["queued"] * 4
    assert session.snapshot(other).position == 0
    session.cancel(long)
    runs = finish(session, long).runs
    assert {run.state for run in runs} == {"cancelled"} and sum(run.image is not None for run in runs) == 2
    session.cancel(other)
    assert finish(session, other).runs[0].image is not None
    assert sum(lane.closed for lane in lanes) == 3 and session.status() == Status((), (), ())


def test_open_runs_stay_on_their_lane_and_their_number_is_limited_on_each(
    opened: Opened, gate: threading.Event
) -> None:
    lanes = [NamedLane(number, 50, gate) for number in range(2)]
    session = opened(*lanes, limits=Limits(**PATIENT))
    keys = [session.submit([stub_request(seed), stub_request(seed + 50)], owner=str(seed)) for seed in range(10)]
    gate.set()
    assert all(run.state == "done" for key in keys for run in finish(session, key).runs)
    assert sorted(seed for lane in lanes for seed in lane.order) == sorted([*range(10), *range(50, 60)])
    assert all(lane.closed == len(lane.order) and 1 < lane.most <= 3 for lane in lanes)


def test_edits_of_tuned_weights_are_made_where_these_are(opened: Opened, gate: threading.Event) -> None:
    gate.set()
    session = opened(*(NamedLane(number, gate=gate) for number in range(2)))
    keys = [session.submit([stub_request(seed)]) for seed in range(4)]
    for key in keys:
        finish(session, key)
        lane = session.stored_result(key, 0).lane
        assert lane is not None and session.ask(Where(), lane) == lane


def test_a_quick_request_goes_to_a_free_lane_that_holds_the_model(opened: Opened, gate: threading.Event) -> None:
    lanes = [NamedLane(number, gate=gate) for number in range(2)]
    session = opened(*lanes)
    session.warm("synthetic-faces")
    until(lambda: all(health.models for health in session.health()))
    session.submit([stub_request()])
    until(lambda: session.status().running)
    busy = next(lane.number for lane in lanes if lane.order)
    assert session.ask(Where()) == 1 - busy
    assert session.ask(Where("another")) == 1 - busy, "no lane holds it"


@pytest.mark.parametrize("losses", [1, 2])
def test_a_lost_run_is_repeated_once_and_other_jobs_go_on(losses: int, opened: Opened) -> None:
    lanes = [NamedLane(number) for number in range(2)]
    for lane in lanes:
        lane.losses = losses
    session = opened(*lanes)
    keys = [session.submit([stub_request(seed), stub_request(seed + 50)]) for seed in (12, 13, 14)]
    if losses == 1:
        lanes[1].losses = 0
    states = [[run.state for run in finish(session, key).runs] for key in keys]
    assert states[0] == states[2] == ["done", "done"]
    assert states[1] in (["done", "done"], ["failed", "done"]) and (losses == 1 or states[1][0] == "failed")
    assert sum(health.losses for health in session.health()) in ((0, 1, 2) if losses == 1 else (2,))


def test_jobs_go_to_other_lanes_while_one_does_not_open(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inversion.serving.worker.REOPEN_EVERY", 0.01)
    good, bad = NamedLane(0), NamedLane(1)
    bad.opened, bad.refusal = False, threading.Event()
    good.gate = threading.Event()
    session = opened(good, bad)
    keys = [session.submit([stub_request(seed), stub_request(seed + 50)]) for seed in range(4)]
    until(lambda: session.health()[1].state == "starting")
    good.gate.set()
    assert all(run.state == "done" for key in keys for run in finish(session, key).runs)
    assert bad.order == [] and session.health()[1].state == "starting"
    bad.refusal.set()
    until(lambda: session.health()[1].state == "free" or session.submit([stub_request()]))


@pytest.mark.parametrize(
    ("memories", "places"),
    [((5, 20), {1}), ((None, 20), {0, 1}), ((5, None), {1}), ((5, 5), {0, 1}), ((20, 20, 5), {0, 1})],
)
def test_runs_begin_where_the_weight_bytes_their_model_have_room(
    memories: tuple[int | None, ...], places: set[int], opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lanes are of different GPUs; None is one whose memory is not known. If no lane has room, any one tries."""
    monkeypatch.setattr("inversion.serving.session.weight_bytes", {"synthetic-faces": 10, "synthetic-houses": 1}.get)
    lanes = [NamedLane(number) for number in range(len(memories))]
    for lane, memory in zip(lanes, memories, strict=True):
        lane.memory = memory
    session = opened(*lanes)
    large = [session.submit([stub_request(seed)], owner=str(seed)) for seed in range(6)]
    small = [replace(stub_request(seed), model="synthetic-houses") for seed in range(10, 16)]
    keys = [*large, *(session.submit([request], owner=str(request.seed)) for request in small)]
    assert {finish(session, key).runs[0].state for key in keys} == {"done"}
    assert {lane.number for lane in lanes if any(seed < 10 for seed in lane.order)} <= places
    assert session.ask(Where()) in places


def test_a_large_model_goes_to_a_small_lane_while_the_large_one_does_not_open(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inversion.serving.worker.REOPEN_EVERY", 0.01)
    monkeypatch.setattr("inversion.serving.session.weight_bytes", lambda model: 10)
    small, large = NamedLane(0), NamedLane(1)
    small.memory, large.memory = 5, 20
    large.opened, large.refusal = False, threading.Event()
    session = opened(small, large)
    assert finish(session, session.submit([stub_request()])).runs[0].state == "done"
    assert small.order and not large.order
    large.refusal.set()
    until(lambda: session.health()[1].state == "free" or session.submit([stub_request()]))


def test_a_quick_request_at_the_start_waits_for_the_lane_that_is_opening(opened: Opened, gate: threading.Event) -> None:
    first, second = OpeningLane(0, gate=gate), OpeningLane(1, gate=gate)
    session = opened(first, second)
    session.warm("synthetic-faces")
    until(first.began.is_set)
    threading.Timer(0.1, gate.set).start()
    assert session.ask(Where()) == 0 and not second.began.is_set()


def test_a_single_lane_that_does_not_open_tells_why(opened: Opened) -> None:
    class Broken(NamedLane):
        def __call__(self, request: Request) -> Generator[Event, bool | None, None]:
            self.open()
            yield from super().__call__(request)

    lane = Broken(0)
    lane.opened, lane.refusal = False, threading.Event()
    session = opened(lane)
    run = finish(session, session.submit([stub_request()])).runs[0]
    assert run.state == "failed" and run.message == "no process"


def test_a_cancelled_job_ends_on_its_lane_though_another_one_is_free(opened: Opened, gate: threading.Event) -> None:
    lanes = [StubLane(steps=10**6, gate=gate), StubLane(steps=10**6, gate=gate)]
    session = opened(*lanes, limits=Limits(**PATIENT))
    keys = [session.submit([stub_request(seed)], owner=str(seed)) for seed in range(4)]
    gate.set()
    until(lambda: sum(lane.running for lane in lanes) == 4)
    for key in keys:
        session.cancel(key)
    assert {finish(session, key).runs[0].state for key in keys} == {"cancelled"}
    assert [lane.running for lane in lanes] == [0, 0]
