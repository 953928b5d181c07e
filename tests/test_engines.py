"""Lanes in this process and in another one: the same events and answers, and a crash ends runs, not the server."""

from __future__ import annotations

import os
import signal
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import ada
from helpers.checkpoints import in_process
from helpers.foreign import write_nvidia
from helpers.waiting import until

from inversion.checkpoints import own
from inversion.common.errors import UserError
from inversion.common.settings import SettingError
from inversion.editing.requests import Inverted, MixRequest
from inversion.serving.engines.process import ProcessLane
from inversion.serving.engines.transfer import LARGE, Channel
from inversion.serving.jobs import RESTARTED
from inversion.serving.lane import Lane
from inversion.serving.requests import UnavailableRequest
from inversion.serving.runs import Event, Finished, LaneError, LaneLost, Progress, Ready, Request
from inversion.serving.session import Session

__all__ = ["in_process"]  # a fixture
LANES = ("here", "process")


@pytest.fixture
def model(tmp_path: Path, in_process: list[str]) -> Iterator[str]:
    """A tiny generator of the user's, which all processes find."""
    name = own.add_file(write_nvidia(tmp_path / "tiny.pkl", {"G_ema": ada.weights()}))
    yield name
    own.remove_file(name)


@pytest.fixture(scope="module")
def lanes() -> Iterator[dict[str, Lane]]:
    """The engines."""
    process = ProcessLane("cpu", "float32")
    yield {"here": Lane("cpu", "float32"), "process": process}
    process.close()


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


def test_results_are_the_same_to_the_bit(lanes: dict[str, Lane], request_: Request) -> None:
    results = [finished(list(lane(request_))) for lane in lanes.values()]
    assert same(*results)


@pytest.mark.parametrize("engine", LANES)
def test_a_run_ends_early_with_its_best_picture(engine: str, lanes: dict[str, Lane], request_: Request) -> None:
    events = lanes[engine](replace(request_, settings={"w.steps": 1000}, seed=1))
    next(events), next(events)
    rest = [events.send(True)]
    rest += list(events)
    assert isinstance(rest[-1], Finished) and len(rest) < 4


@pytest.mark.parametrize("engine", LANES)
def test_suspended_runs_do_not_change_each_other(engine: str, lanes: dict[str, Lane], request_: Request) -> None:
    lane, runs = lanes[engine], [replace(request_, seed=seed) for seed in (2, 3)]
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


@pytest.mark.parametrize("engine", LANES)
def test_errors_keep_their_words_and_class(engine: str, lanes: dict[str, Lane], request_: Request) -> None:
    lane = lanes[engine]
    with pytest.raises(SettingError, match=r"w\.steps|Steps"):
        list(lane(replace(request_, settings={"w.steps": -1})))
    with pytest.raises(LaneError, match="cannot run"):
        list(lane(replace(request_, method="psp", settings={})))
    with pytest.raises(UserError, match="no model"):
        lane.answer(UnavailableRequest("none"))
    assert lane.answer(UnavailableRequest(request_.model)).methods  # and the lane goes on


def test_a_tuned_generator_is_sent_once(lanes: dict[str, Lane], request_: Request) -> None:
    settings = {"wplus.steps": 2, "pti.steps": 2}
    answers = []
    for lane in lanes.values():
        last = finished(list(lane(replace(request_, method="pti", settings=settings))))
        result = Inverted(last.code, last.weights, {})
        answers += [lane.answer(MixRequest(request_.model, result, result, 1)) for _ in range(2)]
    assert all(np.array_equal(answers[0], one) for one in answers)


def test_a_killed_process_ends_its_runs(lanes: dict[str, Lane], request_: Request) -> None:
    lane = lanes["process"]
    assert isinstance(lane, ProcessLane)
    long = replace(request_, settings={"w.steps": 1000}, seed=9)
    first, second = lane(long), lane(replace(long, seed=10))
    next(first), next(second)
    before = lane.pid
    assert before is not None
    os.kill(before, getattr(signal, "SIGKILL", signal.SIGTERM))
    for events in (first, second):
        with pytest.raises(LaneLost, match="has ended"):
            list(events)
    assert lane.pid is None
    lane.tidy()  # starts none
    assert lane.pid is None


def test_a_job_outlives_the_process_that_computes_it(
    lanes: dict[str, Lane], opened: Callable[..., Session], request_: Request
) -> None:
    lane = lanes["process"]
    assert isinstance(lane, ProcessLane)
    session = opened(lane)
    long = replace(request_, settings={"w.steps": 5000}, seed=11)
    key = session.submit([replace(request_, seed=12), long])

    def kill() -> None:
        until(lambda: session.snapshot(key).runs[1].step > 0)
        assert lane.pid is not None
        os.kill(lane.pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    kill()
    until(lambda: session.snapshot(key).runs[1].message == RESTARTED)
    kill()
    until(lambda: session.snapshot(key).over)
    first, second = session.snapshot(key).runs
    assert first.state == "done" and first.image is not None
    assert second.state == "failed" and "has ended" in second.message


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
