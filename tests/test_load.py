"""The load on the page: what a user reads of a job, and the figures of all users."""

from __future__ import annotations

import argparse
import json

import httpx
import pytest

from benchmarks.load import Job, Load, run_job, summary

ARGS = argparse.Namespace(url=None, engine="local", lanes=2, users=3)


def test_figures_of_users(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [Job(user, wait=1.0 + turn, seconds=4.0 + 2 * user, computed=2.0) for user in range(2) for turn in range(3)]
    memory = [(float(at), 100.0 + at) for at in range(101)]
    row = summary(Load([*jobs, Job(1, None, 9.0, 0.0, "failed")], memory, seconds=60.0), ARGS, 0.5)
    assert (row.jobs, row.errors, row.per_minute) == (6, 2, 6.0), "one failed, one user's never ended"
    assert row.wait_p50 == 2.0 and row.fairness == pytest.approx(6 / 5)
    assert row.memory == 200.0 and row.drift == pytest.approx(60.0)


def test_a_job_is_read_from_its_events() -> None:
    rows = [{"state": "queued"}, {"state": "running", "steps": 1}, {"state": "done", "steps": 3, "seconds": 2.5}]
    lines = "".join(f"event: generating\ndata: {json.dumps([[row], [], None])}\n\n" for row in rows)

    def answer(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(200, json={"event_id": "x"}) if request.method == "POST" else httpx.Response(200, text=lines)
        )

    with httpx.Client(base_url="http://page", transport=httpx.MockTransport(answer)) as http:
        wait, row = run_job(http, "a.png", 3, 0)
        assert wait is not None and row["seconds"] == 2.5
        lines = "event: error\ndata: null\n\n"
        with pytest.raises(ValueError, match="error"):
            run_job(http, "a.png", 3, 0)
