"""The load on the page: what a user reads of a job, and the figures of all users."""

from __future__ import annotations

import argparse
import json
import math

import httpx
import pytest

from benchmarks.load import Job, Load, Seen, run_job, summary
from inversion.serving.jobs import RESTARTED

ARGS = argparse.Namespace(url=None, engine="local", lanes=2, users=3)


def test_figures_of_users() -> None:
    jobs = [Job(user, Seen(1.0 + turn), 4.0 + 2 * user, 9.0) for user in range(2) for turn in range(3)]
    memory = [(float(at), 100.0 + at) for at in range(101)]
    row = summary(Load([*jobs, Job(1, Seen(), 9.0, 9.0, "failed")], memory, seconds=60.0), ARGS, 0.5)
    assert (row.jobs, row.errors, row.per_minute) == (6, 2, 6.0), "one failed, one user's never ended"
    assert row.wait_p50 == 2.0 and row.fairness == pytest.approx(6 / 5) and row.wait_bound == pytest.approx(1.3 * 30)
    assert row.memory == 200.0 and row.drift == pytest.approx(60.0)


def test_every_kill_is_followed_by_the_first_word_on_it() -> None:
    begun_again = Job(0, Seen(again=[11.0, 32.0]), 60.0, 60.0)
    failed = Job(1, Seen(again=[10.5]), 35.0, 31.5, "lost again")
    load = Load([begun_again, failed], looks=[0.01, 0.2, math.inf], kills=[10.0, 20.0, 30.0], seconds=60.0)
    assert load.told() == [0.5, 1.5], "the second one met no run"
    row = summary(load, ARGS, 0.5)
    assert (row.kills, row.told, row.page, row.down) == (3, (0.5, 1.5), 0.2, 1)


def test_a_job_is_read_from_its_events() -> None:
    again, done = {"state": "queued", "message": RESTARTED}, {"state": "done", "steps": 3, "seconds": 2.5}
    rows = [{"state": "queued"}, {"state": "running", "steps": 1}, again, again, {"state": "running"}, done]
    picture = [{"image": {"url": "http://page/result.png"}}]
    answers = [[[row], picture if row is done else [], None] for row in rows]
    lines = "".join(f"event: generating\ndata: {json.dumps(one)}\n\n" for one in answers)

    def answer(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(200, json={"event_id": "x"}) if request.method == "POST" else httpx.Response(200, text=lines)
        )

    with httpx.Client(base_url="http://page", transport=httpx.MockTransport(answer)) as http:
        run_job(http, "a.png", 3, 0, seen := Seen())
        assert seen.wait is not None and seen.row == done and seen.picture == "http://page/result.png"
        assert len(seen.again) == 1, "it is told twice"
        lines = "event: error\ndata: null\n\n"
        with pytest.raises(ValueError, match="error"):
            run_job(http, "a.png", 3, 0, Seen())
