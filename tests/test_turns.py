"""Turns on the device: slices of time, limits on open runs, jobs that nobody follows, expected times.

The stub lane has a clock of its own, on which a step takes 0.25 s and a turn 4 steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from helpers.lanes import TickingLane, finish, stub_request
from helpers.waiting import until

from inversion.checkpoints.registry import DEFAULT
from inversion.methods import STAGES, Result, parse_method, run
from inversion.model import Model
from inversion.serving.estimates import Estimates
from inversion.serving.jobs import FINAL, Job, JobView, RunView
from inversion.serving.plans import Plan
from inversion.serving.queue import Queue
from inversion.serving.session import Busy, Limits, Session, UnknownJob
from inversion.tasks import Reconstruct

PATIENT: dict[str, Any] = {"grace": math.inf, "abandoned": math.inf}
FEW = {"w.steps": 6}
Opened = Callable[..., Session]


@pytest.fixture
def ticking() -> Iterator[TickingLane]:
    """A lane whose first step waits for its gate. The gate is open at the end, so that a session can be closed."""
    lane = TickingLane()
    yield lane
    lane.gate.set()  # type: ignore[union-attr]


@pytest.fixture
def session(ticking: TickingLane, opened: Opened) -> Session:
    """A session on the lane in which no job is ever abandoned."""
    return opened(ticking, limits=Limits(**PATIENT), clock=ticking.clock)


def begin(ticking: TickingLane, session: Session, *keys: str) -> list[JobView]:
    """Open the gate, and wait for the last views of jobs."""
    assert ticking.gate is not None
    ticking.gate.set()
    return [finish(session, key) for key in keys]


def submit(ticking: TickingLane, session: Session, seed: int, steps: int = 12, method: str = "w") -> str:
    """Submit one run; the first one waits at the gate when this returns."""
    key = session.submit([stub_request(seed, method, steps) if method == "w" else stub_request(seed, method)])
    until(lambda: ticking.order)
    return key


def test_three_long_jobs_take_turns_by_the_second(ticking: TickingLane, session: Session) -> None:
    keys = [submit(ticking, session, seed) for seed in (1, 2, 3)]
    for view in begin(ticking, session, *keys):
        assert view.runs[0].state == "done"
    assert ticking.log == 3 * [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]


def test_a_job_alone_is_never_suspended(ticking: TickingLane, session: Session) -> None:
    begin(ticking, session, submit(ticking, session, 1, 100))
    assert ticking.log == [1] * 100 and ticking.most == 1


def test_a_short_job_waits_for_one_turn_whoever_else_waits(ticking: TickingLane, session: Session) -> None:
    keys = [submit(ticking, session, seed, 100) for seed in range(6)]
    short = submit(ticking, session, 99, method="psp")
    begin(ticking, session, short, *keys)
    assert ticking.log.index(99) == 4
    assert ticking.most == 3, "no run of several steps begins beside three open ones"


def test_short_jobs_do_not_keep_a_long_one_from_its_turn(ticking: TickingLane, session: Session) -> None:
    long, other = submit(ticking, session, 1), submit(ticking, session, 2)
    many = session.submit([stub_request(90 + i, "psp") for i in range(4)])
    begin(ticking, session, long, other, many)
    assert [seed for seed in ticking.log if seed != 1 and seed != 2] == [90, 91, 92, 93]
    assert ticking.log.index(2) <= 5 and ticking.log[:4] == [1] * 4


def test_one_tuning_run_at_a_time(ticking: TickingLane, session: Session) -> None:
    keys = [session.submit([stub_request(seed, "pti"), stub_request(seed, "w", 20)]) for seed in range(4)]
    for view in begin(ticking, session, *keys):
        assert [one.state for one in view.runs] == ["done", "done"]
    assert ticking.most_tuning == 1 < ticking.most <= 3


def test_cancel_ends_a_suspended_run_within_a_step(ticking: TickingLane, session: Session) -> None:
    first, second = submit(ticking, session, 1), submit(ticking, session, 2)
    ticking.at_step = lambda made: session.cancel(first) if made == 6 else None  # 2 is in the middle of its turn
    views = begin(ticking, session, first, second)
    assert ticking.log == [1] * 4 + [2] * 12
    assert [view.runs[0].state for view in views] == ["cancelled", "done"]
    assert views[0].runs[0].image is not None and "best picture" in views[0].runs[0].message
    assert ticking.closed == 2


@pytest.mark.parametrize("error", [RuntimeError("secret"), MemoryError(), KeyboardInterrupt()])
def test_an_error_leaves_the_open_runs_alone(error: BaseException, ticking: TickingLane, session: Session) -> None:
    keys = [submit(ticking, session, seed) for seed in (1, 13, 3)]
    ticking.fail = error
    states = [view.runs[0].state for view in begin(ticking, session, *keys)]
    assert states == ["done", "failed", "done"] and ticking.log.count(1) == ticking.log.count(3) == 12
    assert ticking.closed == 3


def test_close_ends_suspended_runs(ticking: TickingLane, opened: Opened) -> None:
    session = opened(ticking, limits=Limits(**PATIENT), clock=ticking.clock)
    keys = [submit(ticking, session, seed, 10**4) for seed in range(5)]
    ticking.gate.set()  # type: ignore[union-attr]
    until(lambda: ticking.running == 3)
    session.close()
    assert ticking.running == 0 and ticking.closed == 3
    runs = [session.snapshot(key).runs[0] for key in keys]
    assert {one.state for one in runs} <= FINAL and all("server was stopped" in one.message for one in runs)


@pytest.mark.parametrize("away", [0, 300])  # seconds in the background
def test_an_abandoned_job_is_paused_until_somebody_asks(away: float, ticking: TickingLane, opened: Opened) -> None:
    session = opened(ticking, clock=ticking.clock)
    key = submit(ticking, session, 1, 400)  # 100 s
    ticking.gate.set()  # type: ignore[union-attr]
    until(lambda: session.status().waiting == (key,))
    assert ticking.log == [1] * 181 and session.own_jobs("") == []
    ticking.now += away
    ticking.at_step = lambda made: session.snapshot(key)  # somebody follows it
    assert session.snapshot(key).runs[0].state == "running"
    assert finish(session, key).runs[0].state == "done" and len(ticking.log) == 400


def test_an_abandoned_job_ends_with_its_best_picture(
    ticking: TickingLane, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inversion.serving.worker.PRUNE_EVERY", 0.01)
    session = opened(ticking, limits=Limits(grace=45, abandoned=300), clock=ticking.clock)
    key = session.submit([stub_request(1, "w", 400), stub_request(2)])
    until(lambda: ticking.order)
    ticking.gate.set()  # type: ignore[union-attr]
    until(lambda: session.status().waiting == (key,))
    ticking.now += 300
    until(lambda: session.status().waiting == ())
    until(lambda: session.status().running == ())
    one, other = finish(session, key).runs
    assert one.state == other.state == "cancelled" and one.image is not None and one.row["psnr"] == 30.0  # type: ignore[index]
    assert one.message == "Stopped because its page was closed or inactive: this is the best picture so far."
    assert other.message == "Stopped because its page was closed or inactive before it started."
    assert ticking.order == [1]
    assert session.snapshot(key).abandoned
    again = session.run_again(key, owner="me")
    assert [view.key for view in session.own_jobs("me")] == [again]
    assert [one.state for one in finish(session, again).runs] == ["done", "done"] and ticking.order == [1, 1, 2]
    session.limits.inputs = 0
    last = session.run_again(again, owner="me")  # also a job that ended by itself
    finish(session, last)
    with pytest.raises(UnknownJob, match="press Run"):
        session.run_again(last)


def test_an_abandoned_job_that_keeps_another_from_beginning_ends(ticking: TickingLane, opened: Opened) -> None:
    session = opened(ticking, limits=Limits(open=1, grace=45, abandoned=10**6), clock=ticking.clock)
    key = submit(ticking, session, 1, 400)
    ticking.gate.set()  # type: ignore[union-attr]
    until(lambda: session.status().waiting == (key,))
    assert finish(session, session.submit([stub_request(2, "w", 8)])).runs[0].state == "done"
    assert ticking.log == [1] * 181 + [2] * 8 and "page was closed" in session.snapshot(key).runs[0].message


def test_a_new_run_replaces_a_job_even_if_the_queue_is_full(ticking: TickingLane, opened: Opened) -> None:
    session = opened(ticking, limits=Limits(waiting=1, **PATIENT), clock=ticking.clock)
    submit(ticking, session, 1)
    old = session.submit([stub_request(2)])
    with pytest.raises(Busy):
        session.submit([stub_request(3)])
    new = session.submit([stub_request(3)], replaces=old)
    assert session.snapshot(old).runs[0].message == "Cancelled before it started."
    assert begin(ticking, session, new)[0].runs[0].state == "done" and 2 not in ticking.order


def test_a_new_run_replaces_only_the_job_of_its_place(ticking: TickingLane, session: Session) -> None:
    keys = [
        session.submit([stub_request(seed)], place=place) for seed, place in ((1, "a"), (2, "b"), (3, ""), (4, "a"))
    ]
    also = session.submit([stub_request(5)])
    states = [view.runs[0].state for view in begin(ticking, session, *keys, also)]
    assert states == ["cancelled", "done", "done", "done", "done"]


def test_owners_see_their_own_jobs_that_are_not_over(ticking: TickingLane, session: Session) -> None:
    submit(ticking, session, 1)
    own = [session.submit([stub_request(seed)], owner="me") for seed in (2, 3)]
    assert [view.key for view in session.own_jobs("me")] == own
    assert session.own_jobs("") == session.own_jobs("you") == []
    begin(ticking, session, *own)
    assert session.own_jobs("me") == []


def test_expected_times_count_the_jobs_that_share_the_device(ticking: TickingLane, session: Session) -> None:
    first, second = submit(ticking, session, 1, 40), submit(ticking, session, 2, 20)
    seen: list[JobView] = []
    ticking.at_step = lambda made: seen.extend(map(session.snapshot, (first, second))) if made in (4, 9, 60) else None
    assert session.snapshot(first).remaining is None, "nothing has been measured"
    begin(ticking, session, first, second)
    early_first, early_second, first_view, second_view, late, _ = seen
    assert (early_first.wait, early_first.position, early_second.wait, early_second.position) == (0.0, 0, 1.0, 1)
    # 3 and 4 steps of 0.25 s from the first one on, so a step seems to take a little less
    assert second_view.remaining == pytest.approx((20 - 4) * 0.25 * 2, rel=0.3)
    assert first_view.remaining == pytest.approx((40 - 4) * 0.25 + (20 - 4) * 0.25, rel=0.3)
    assert first_view.runs[0].remaining == first_view.remaining
    assert late.remaining == pytest.approx(0.25, abs=0.1)


def test_times_of_stages_that_never_ran_are_guessed_from_a_measured_one(ticking: TickingLane, session: Session) -> None:
    methods = {"w": {"w.steps": 100}, "wplus": {}, "clone": {}}
    assert session.expected(DEFAULT, methods) == {}
    begin(ticking, session, submit(ticking, session, 1, 40))
    times = session.expected(DEFAULT, methods)
    assert times["w"] == pytest.approx(100 * 0.25, rel=0.1)
    assert times["w"] * 2 < times["wplus"] < times["clone"]
    assert session.expected("another", methods) == {}


@pytest.mark.parametrize("place", range(3))
def test_one_measurement_under_load_does_not_set_the_expected_times(place: int) -> None:
    estimates = Estimates(Queue(Limits(), float), Limits())
    plan, other = (Plan(key, ((STAGES[key].label, 100),)) for key in ("w", "wplus"))
    for source in range(3):
        estimates.measured(DEFAULT, STAGES["w"].label, 5.0 if source == place else 0.1, source)
        assert source == 0 or estimates.expected(DEFAULT, plan) == pytest.approx(10)
    before = estimates.expected(DEFAULT, other)
    estimates.measured(DEFAULT, STAGES["wplus"].label, 50.0, 3)
    assert estimates.expected(DEFAULT, other) == before, "the other stages let expect less"
    for source in range(4, 8):
        estimates.measured(DEFAULT, STAGES["w"].label, 5.0, source)
    assert estimates.expected(DEFAULT, plan) == pytest.approx(500), "the machine has become slower"


@pytest.mark.parametrize(("runs", "lanes", "seconds"), [(1, 2, 10), (2, 1, 20), (2, 2, 10), (3, 2, 15), (3, 8, 10)])
def test_the_runs_of_a_job_share_the_lanes(runs: int, lanes: int, seconds: float) -> None:
    queue = Queue(Limits(), float, lanes)
    estimates = Estimates(queue, Limits())
    estimates.measured(DEFAULT, STAGES["w"].label, 0.1)
    job = Job("key", (stub_request(steps=100),) * runs, [RunView("w", "W", budget=math.inf)] * runs)
    queue.add(job)
    view = estimates.view(job)
    assert view.remaining == pytest.approx(seconds, rel=0.01)
    assert [run.remaining for run in view.runs] == [pytest.approx(10, rel=0.01)] * runs


def test_a_job_without_a_place_waits_for_the_end_of_an_open_run(ticking: TickingLane, opened: Opened) -> None:
    session = opened(ticking, limits=Limits(open=1, **PATIENT), clock=ticking.clock)
    keys = [submit(ticking, session, seed, 40) for seed in (1, 2, 3)]
    assert [session.snapshot(key).wait for key in keys] == [0.0, None, None], "nothing has been measured"
    seen: list[float | None] = []
    ticking.at_step = lambda made: seen.extend(session.snapshot(key).wait for key in keys[1:]) if made == 21 else None
    begin(ticking, session, *keys)
    assert seen == [pytest.approx(20 * 0.25, rel=0.1), pytest.approx((20 + 40) * 0.25, rel=0.2)]


def test_a_suspended_run_keeps_its_budget(model: Model, pictures: torch.Tensor) -> None:
    now, events, method = 0.0, [], parse_method("w").configured(FEW)
    options = run.RunOptions(budget=10.0, clock=lambda: now)
    for event in run.invert(model, Reconstruct(), pictures[:1], method, options=options):
        events.append(event)
        now += 1000.0  # while it is suspended
    assert isinstance(events[-1], Result) and events[-1].message == "" and events[-1].seconds == 0.0
    assert events[-1].steps == FEW["w.steps"]
