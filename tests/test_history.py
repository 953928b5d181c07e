"""The runs of a browser: listed, opened, run again and deleted, from memory and, with an archive, after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.lanes import PICTURE, TickingLane, finish, stub_request
from helpers.waiting import until

from inversion.align import Crop
from inversion.serving.archive.archive import Archive
from inversion.serving.jobs import SessionError, UnknownJob
from inversion.serving.limits import Limits
from inversion.serving.session import Session

QUAD = ((0.0, 0.0), (0.0, 9.0), (9.0, 9.0), (9.0, 0.0))


class Server:
    """A session that can be restarted on the same folder; `disk` says whether it has one."""

    def __init__(self, folder: Path, disk: bool) -> None:
        self.folder, self.disk = folder, disk
        self.start()

    def start(self) -> None:
        self.lane, limits = TickingLane(), Limits()
        self.archive = Archive(self.folder, limits) if self.disk else None
        self.session = Session(lanes=[self.lane], limits=limits, clock=self.lane.clock, archive=self.archive)
        self.gate.set()

    @property
    def gate(self) -> object:
        assert self.lane.gate is not None
        return self.lane.gate

    def stop(self) -> None:
        if self.archive is not None:
            self.archive.close()
        self.gate.set()
        self.session.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def flush(self) -> None:
        if self.archive is not None:
            self.archive.flush()

    def run(self, seed: int = 1, owner: str = "me", tab: str = "edit") -> str:
        """Run a job to its end; returns its key."""
        given = replace(stub_request(seed), crop=Crop("hand", QUAD))
        key = self.session.submit([given, stub_request(seed + 1)], owner=owner, place=f"page {tab}")
        finish(self.session, key)
        self.flush()
        return key

    def keys(self, owner: str = "me") -> list[str]:
        """The keys of an owner's entries."""
        return [entry.key for entry in self.session.history.entries(owner)]


@pytest.fixture(params=[False, True], ids=["memory", "disk"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server with and without a folder for results."""
    made = Server(tmp_path / "kept", request.param)
    yield made
    made.stop()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Server]:
    """A server with a folder for results."""
    made = Server(tmp_path / "kept", True)
    yield made
    made.stop()


def test_runs_are_listed_newest_first_for_their_browser_alone(server: Server) -> None:
    first, second = server.run(), server.run(seed=5, tab="inpaint")
    server.run(owner="you")
    server.run(owner="")
    newest, oldest = server.session.history.entries("me")
    assert (newest.key, oldest.key) == (second, first)
    assert (newest.tab, newest.state, newest.labels) == ("inpaint", "done", ("W", "W"))
    assert len(newest.thumbnails) == 3 and newest.made >= oldest.made and len(newest.rows) == 2
    assert server.keys("") == []


def test_a_run_again_has_the_same_requests(server: Server) -> None:
    key = server.run(seed=3)
    again = server.session.run_again(key, owner="me", place="page edit")
    finish(server.session, again)
    assert server.lane.order == [3, 4, 3, 4] and server.keys() == [again, key]
    requests = server.session.history.requests(again)
    assert np.array_equal(requests[0].picture, PICTURE) and requests[0].crop == Crop("hand", QUAD)


def test_a_deleted_run_is_gone_and_only_its_browser_deletes_it(server: Server) -> None:
    key, other = server.run(), server.run()
    with pytest.raises(SessionError, match="Only the browser"):
        server.session.history.forget("you", [key])
    server.session.history.forget("me", [key])
    assert server.keys() == [other]
    for use in (server.session.snapshot, server.session.history.requests):
        with pytest.raises(UnknownJob):
            use(key)
    server.session.history.forget("me", server.keys())
    assert server.keys() == []


def test_a_running_job_is_listed_and_is_cancelled_by_its_browser_alone(server: Server) -> None:
    server.gate.clear()  # type: ignore[attr-defined]
    key = server.session.submit([stub_request(1, steps=5)], owner="me", place="page edit")
    until(lambda: server.lane.order)
    [entry] = server.session.history.entries("me")
    assert entry.state == "running"
    with pytest.raises(SessionError, match="Cancel the run first"):
        server.session.history.forget("me", [key])
    with pytest.raises(SessionError, match="Only the browser"):
        server.session.cancel(key, owner="you")
    server.session.submit([stub_request(2)], owner="you", place="other edit", replaces=key)
    assert not server.session.snapshot(key).over
    server.session.cancel(key, owner="me")
    server.gate.set()  # type: ignore[attr-defined]
    assert finish(server.session, key).runs[0].state == "cancelled"


def test_after_a_restart_everything_opens_again(kept: Server) -> None:
    key = kept.run()
    before = kept.session.snapshot(key)
    kept.restart()
    assert kept.keys() == [key]
    view = kept.session.snapshot(key)
    assert view.over and [run.row for run in view.runs] == [run.row for run in before.runs]
    assert np.array_equal(view.runs[0].image, before.runs[0].image)
    assert kept.session.stored_result(key, 1).code == {"z": 1}
    assert kept.session.pasted(key, 0).shape == PICTURE.shape
    assert [one.over for one in kept.session.follow(key)] == [True]
    finish(kept.session, kept.session.run_again(key, owner="me"))
    assert kept.lane.order == [1, 2]


def test_an_interrupted_run_is_offered_again(kept: Server) -> None:
    done = kept.run()
    at_step: Callable[[int], object] = lambda made: kept.gate.clear()  # type: ignore[attr-defined]  # noqa: E731
    kept.lane.at_step = at_step
    key = kept.session.submit([stub_request(7, steps=9), stub_request(8)], owner="me")
    until(lambda: 7 in kept.lane.log)
    kept.restart()
    newest, oldest = kept.session.history.entries("me")
    assert (newest.key, newest.state, oldest.key, oldest.state) == (key, "interrupted", done, "done")
    assert kept.session.snapshot(key).interrupted
    again = kept.session.run_again(key, owner="me")
    assert [run.state for run in finish(kept.session, again).runs] == ["done", "done"]


def test_the_page_learns_when_things_end(server: Server) -> None:
    assert ("restarts" in server.session.history.ends) != server.disk
    assert ("30 days" in server.session.history.ends) == server.disk
