"""The store of results respects each of its limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.lanes import PICTURE, stub_request

from inversion.align import Crop
from inversion.serving.jobs import Job, RunView, UnknownJob
from inversion.serving.limits import Limits
from inversion.serving.runs import Finished
from inversion.serving.store import Store

QUAD = ((0.0, 0.0), (0.0, 15.0), (15.0, 15.0), (15.0, 0.0))


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-6  # two accesses are never at the same time
        return self.now


def job(key: str, runs: int = 1, crop: Crop | None = None) -> Job:
    """A job that has begun."""
    request = replace(stub_request(), crop=crop or Crop())
    return Job(key, (request,) * runs, [RunView("w", "W") for _ in range(runs)])


def finished(tuned: bool = False) -> Finished:
    """The last event of a run."""
    return Finished(PICTURE, {"seconds": 1.0}, {}, {"kind": "w"}, {} if tuned else None)


def run(store: Store, job: Job, tuned: bool = False) -> None:
    """Add a job, give every run a result, and release the job."""
    store.add(job)
    for index in range(len(job.runs)):
        event = finished(tuned)
        job.take(index, event)
        store.keep(job, index, event, 0)
    store.release(job)


def known(store: Store, keys: str) -> str:
    """The keys whose jobs are stored. It does not count as an access."""
    return "".join(job.key for job in store.jobs() if job.key in keys)


def kept(store: Store, keys: str) -> str:
    """The keys whose first results are stored. It counts as an access, in this order."""
    found = ""
    for key in keys:
        try:
            store.result(key, 0)
            found += key
        except UnknownJob:
            pass
    return found


def test_finished_jobs_are_limited_and_the_least_recently_used_goes_first() -> None:
    store = Store(Limits(finished=3), Clock())
    for key in "abc":
        run(store, job(key))
    store.find("a")
    run(store, job("d"))
    store.prune()
    assert known(store, "abcd") == "acd"
    with pytest.raises(UnknownJob, match="Run it again"):
        store.find("b")


def test_jobs_that_are_not_over_are_never_forgotten() -> None:
    clock = Clock()
    store = Store(Limits(finished=1, expiry=10.0), clock)
    for key in "abc":
        store.add(job(key))
    clock.now = 1000.0
    store.prune()
    assert known(store, "abc") == "abc"


def test_results_are_limited() -> None:
    store = Store(Limits(finished=3), Clock())
    run(store, job("a", runs=2))
    store.result("a", 0)
    run(store, job("b", runs=2))
    with pytest.raises(UnknownJob, match="no longer kept"):
        store.result("a", 1)
    assert kept(store, "ab") == "ab"


def test_tuned_results_are_limited_by_job_and_go_together() -> None:
    store = Store(Limits(tuned=2), Clock())
    run(store, job("p"))  # without tuned weights
    for key in "abc":
        run(store, job(key, runs=3), tuned=True)
    assert kept(store, "pabc") == "pbc"
    store.result("b", 2)  # the whole job counts as used
    run(store, job("d"), tuned=True)
    assert kept(store, "pbcd") == "pbd" and store.result("b", 1).weights is not None


def test_photos_are_limited_and_only_kept_if_a_result_fits_into_them() -> None:
    store = Store(Limits(photos=2), Clock())
    crop = Crop("hand", QUAD)
    run(store, job("w"))  # without a crop
    for key in "abc":
        run(store, job(key, crop=crop))
    failed = job("f", crop=crop)
    store.add(failed)
    failed.fail(0, "no")
    store.release(failed)
    for key in "waf":
        with pytest.raises(UnknownJob, match="cut from"):
            store.photo(key)
    assert all(np.array_equal(store.photo(key), PICTURE) for key in "bc")


def test_a_job_expires_with_all_that_it_left_unless_somebody_asks() -> None:
    clock = Clock()
    store = Store(Limits(expiry=100.0), clock)
    for key in "ab":
        run(store, job(key, crop=Crop("hand", QUAD)))
    clock.now = 90.0
    store.find("b")
    clock.now = 110.0
    store.prune()
    assert known(store, "ab") == "b" and kept(store, "ab") == "b"
    with pytest.raises(UnknownJob):
        store.photo("a")
    assert store.photo("b") is not None


def test_uploads_are_forgotten_when_a_job_is_over() -> None:
    store, over = Store(Limits(), Clock()), job("a", runs=2)
    run(store, over)
    assert over.released and over.requests == ()
