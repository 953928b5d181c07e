"""One visitor's run never changes another's: results, shared weights, cancels, crashes, memory, stores."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.lanes import StubLane, TickingLane, finish, stub_request
from helpers.reports import report
from helpers.runs import quick, state
from helpers.waiting import until

from inversion.checkpoints import hub
from inversion.methods import METHODS, Step
from inversion.methods.run import invert
from inversion.model import Model
from inversion.serving.jobs import JobView, RunView, UnknownJob
from inversion.serving.lane import Lane
from inversion.serving.runs import Finished, Progress, Request
from inversion.serving.session import Limits, Session
from inversion.tasks import Reconstruct

Opened = Callable[..., Session]
RequestOf = Callable[..., Request]
TUNING = ("pti", "clone")


def digest(model: Model) -> str:
    """Of every weight and buffer of the model."""
    tensors = sorted(state(model).items())
    return hashlib.sha256(b"".join(name.encode() + t.numpy().tobytes() for name, t in tensors)).hexdigest()


def picture(run: RunView) -> bytes:
    """The pixels of a run that is done."""
    assert run.state == "done" and run.image is not None, run.message
    return run.image.tobytes()


def alone(session: Session, request: Request) -> bytes:
    """The result of a run while nobody else uses the device."""
    return picture(finish(session, session.submit([request])).runs[0])


def test_tuning_side_by_side_gives_the_results_of_tuning_alone(
    opened: Opened, lane: Lane, request_of: RequestOf, model: Model
) -> None:
    session, before = opened(lane, limits=Limits(slice=0.0)), digest(model)
    requests = [request_of(i % 4, TUNING[i % 2]) for i in range(3)]
    expected = [alone(session, request) for request in requests]
    keys = [session.submit([request]) for request in requests]
    results = [picture(finish(session, key).runs[0]) for key in keys]
    same = sum(a == b for a, b in zip(results, expected, strict=True))
    report("3 visitors tune at once", f"{same} of 3 equal to the bit; weights {digest(model) == before}")
    assert same == 3 and digest(model) == before


def test_cancelled_tuning_leaves_weights_and_other_results_alone(
    opened: Opened, lane: Lane, request_of: RequestOf, model: Model
) -> None:
    session, before = opened(lane, limits=Limits(slice=0.0)), digest(model)
    long = request_of(0, "pti", settings={"wplus.steps": 2, "pti.steps": 500})
    expected = alone(session, request_of(1))
    for _ in range(3):
        key = session.submit([long])
        until(lambda key=key: session.snapshot(key).runs[0].stage == "PTI")  # type: ignore[misc]
        other = session.submit([request_of(1)])
        session.cancel(key)
        assert picture(finish(session, other).runs[0]) == expected
        assert finish(session, key).runs[0].state == "cancelled"
    report("3 cancels of PTI halfway, another visitor in between", f"weights {digest(model) == before}, results equal")
    assert digest(model) == before


def test_a_replay_is_equal_to_the_bit_alone_and_beside_others(model: Model) -> None:
    with torch.no_grad():
        y = model.prior.synthesis(model.prior.mapping(torch.ones(1, model.prior.z_dim))).clamp(-1, 1)  # type: ignore[union-attr]

    def replay() -> Iterator[str]:
        for event in invert(model, Reconstruct(), y, quick("pti")):
            yield "" if isinstance(event, Step) else hashlib.sha256(event.image.numpy().tobytes()).hexdigest()

    [first] = [text for text in replay() if text]
    pairs = list(zip(replay(), replay(), strict=True))  # step by step in turns
    shared = next(a for a, b in pairs if a == b and a)
    report("PTI alone, and step by step in turns with itself", "equal to the bit" if first == shared else "different")
    assert first == shared


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_run_on_changing_threads_gives_the_same_and_leaves_no_mode_behind(method: str, full_model: Model) -> None:
    y = torch.zeros(1, 3, full_model.resolution, full_model.resolution)
    if METHODS[method].unavailable(full_model):
        pytest.skip("not with this model")
    *_, expected = invert(full_model, Reconstruct(), y, quick(method))
    events, modes, last = invert(full_model, Reconstruct(), y, quick(method)), set(), [None]

    def step() -> None:
        last[0] = next(events, last[0])  # type: ignore[call-overload]
        modes.add((torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")))

    before: object = object()
    while before is not last[0]:  # until it yields nothing new
        before = last[0]
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    report(f"{method}, every step in another thread", f"modes {modes}")
    assert modes == {(True, False, False)} and torch.equal(last[0].image, expected.image)  # type: ignore[attr-defined, union-attr]


def test_cancel_ends_every_method_within_a_step_and_runs_its_clean_up(lane: Lane, request_of: RequestOf) -> None:
    later = {}
    for method in ("z", "w", "wplus", "pti", "clone", "mganprior", "dip"):
        events = lane(request_of(0, method))
        while not isinstance(next(events), Progress):
            pass
        later[method] = 0
        while not isinstance(events.send(True), Finished):
            later[method] += 1
        closed = lane(request_of(0, method))
        next(closed)
        closed.close()  # as when the client has gone
        assert closed.gi_frame is None
    report("Cancel after the first step", f"steps until the result: {later}")
    assert max(later.values()) <= len(METHODS["pti"].stages)  # each later stage may report once


def test_a_loss_that_is_not_a_number_ends_the_run_with_its_best_picture(
    opened: Opened, lane: Lane, request_of: RequestOf, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inversion.losses import Objective

    real, calls = Objective.__call__, [0]

    def poisoned(self: Objective, x: torch.Tensor) -> dict[str, torch.Tensor]:
        calls[0] += 1
        terms = real(self, x)
        return {key: value * float("nan") for key, value in terms.items()} if calls[0] > 2 else terms

    monkeypatch.setattr(Objective, "__call__", poisoned)
    session = opened(lane)
    run = finish(session, session.submit([request_of(0, settings={"w.steps": 30})])).runs[0]
    report("NaN from the third loss on", f"{run.state} after {run.step} steps: {run.message}")
    assert run.state == "done" and run.message and run.image is not None and run.step < 30


@pytest.mark.parametrize("where", ["at load", "at step 0", "in mid-run"])
def test_a_run_without_memory_ends_alone_and_the_next_one_works(
    where: str, opened: Opened, lane: Lane, request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(lane, limits=Limits(slice=0.0))
    expected = alone(session, request_of(1))
    full = RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
    steps, load, left = {"at step 0": 0, "in mid-run": 2}.get(where, 0), hub.load, [1]

    def fails(*values: object) -> Iterator[object]:
        for made, event in enumerate(invert(*values)):  # type: ignore[arg-type]
            if made >= steps and values[4] == 0:  # the seed
                raise full
            yield event

    def loading(name: str, device: str = "auto", dtype: str = "auto") -> Model:
        if left and left.pop():
            raise full
        return load(name, device, dtype)

    if where == "at load":
        monkeypatch.setattr(hub, "load", loading)
    else:
        monkeypatch.setattr("inversion.serving.lane.invert", fails)
    keys = [session.submit([request_of(i)]) for i in (0, 1)]
    first, second = (finish(session, key).runs[0] for key in keys)
    report(f"no memory {where}", first.message)
    assert first.state == "failed" and "Not enough memory" in first.message
    assert ("to load tiny" in first.message) == (where == "at load")
    assert picture(second) == expected


def test_stores_stay_bounded_and_keys_open_only_their_own_results(opened: Opened) -> None:
    session = opened(StubLane(steps=1))
    keys = []
    for visitor in range(60):
        session.address = lambda visitor=visitor: f"10.0.0.{visitor}"  # type: ignore[misc]
        keys.append(session.submit([stub_request(visitor)]))
        finish(session, keys[-1])
    kept = []
    for key in keys:
        try:
            kept.append(session.stored_result(key, 0))
        except UnknownJob:
            continue
    report("60 visitors with a tuned result each", f"{len(kept)} are kept, keys of {len(keys[0])} characters")
    assert len(kept) == session.limits.tuned and len(set(keys)) == 60 and min(map(len, keys)) >= 22


def test_one_visitor_does_not_push_out_the_results_of_another(opened: Opened) -> None:
    session = opened(StubLane(steps=1))

    def tune(address: str) -> str:
        session.address = lambda: address
        key = session.submit([stub_request()])
        finish(session, key)
        return key

    own = tune("10.0.0.1")
    others = [tune("10.0.0.2") for _ in range(10)]
    assert session.stored_result(own, 0).weights is not None
    left = sum(1 for key in others[-3:] if session.stored_result(key, 0).weights)
    report("1 tuned result, then 10 of another visitor", f"the first is kept, and {left} of the others")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit(), MemoryError("x" * 10**6)])
def test_no_error_of_any_kind_stops_the_device_thread(error: BaseException, opened: Opened) -> None:
    stub = StubLane()
    session, tidy = opened(stub), [error]

    def fail() -> None:
        if tidy:
            raise tidy.pop()

    stub.tidy = fail  # type: ignore[method-assign]
    stub.fail = error
    run = finish(session, session.submit([stub_request()])).runs[0]
    stub.fail = None
    after = finish(session, session.submit([stub_request()])).runs[0]
    report(f"{type(error).__name__} in the lane", f"{run.state}: {run.message}; the next run: {after.state}")
    assert run.state == "failed" and 0 < len(run.message) <= 300 and after.state == "done"


def views(session: Session, keys: list[str]) -> list[JobView]:
    """The last views of jobs."""
    return [finish(session, key) for key in keys]


def test_turns_go_by_visitor_however_many_jobs_one_has(opened: Opened) -> None:
    lane = TickingLane()
    session = opened(lane, limits=Limits(open=4, open_each=3, grace=1e9, abandoned=1e9), clock=lane.clock)

    def submit(address: str, seed: int) -> str:
        session.address = lambda: address
        return session.submit([stub_request(seed, steps=12)])

    keys = [submit("10.0.0.1", seed) for seed in range(10)]
    until(lambda: lane.order)
    keys.append(submit("10.0.0.2", 99))
    assert lane.gate is not None
    lane.gate.set()
    views(session, keys)
    last = max(place for place, seed in enumerate(lane.log) if seed == 99)
    report("10 jobs of one visitor, then 1 of another", f"the one ends after {last + 1} of {len(lane.log)} steps")
    assert last < 4 + 2 * 12 + 4


def test_a_run_ends_by_its_budget_if_nobody_listens(opened: Opened, lane: Lane, request_of: RequestOf) -> None:
    session = opened(lane)
    request = replace(request_of(0, settings={"w.steps": 10_000}), budget=0.3)
    key = session.submit([request])
    until(lambda: session.snapshot(key).over)
    seconds = session.snapshot(key).runs[0].seconds
    report("10,000 steps with a budget of 0.3 s, nobody listens", f"it ends after {seconds:.2f} s")
    assert 0.2 < seconds < 1.0 and np.isfinite(seconds)
