"""Runs on disk: they survive a restart and any crash, and stay within their limits."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.lanes import PICTURE, stub_request

from inversion.align import Crop
from inversion.checkpoints.codes import SavedCode
from inversion.common.errors import UserError
from inversion.serving.archive import files
from inversion.serving.archive.archive import Archive
from inversion.serving.archive.index import ArchiveError
from inversion.serving.jobs import Job, RunView, UnknownJob
from inversion.serving.limits import Limits
from inversion.serving.runs import CroppedPicture, Finished, Request

QUAD = ((0.1, 0.2), (0.1, 15.0 + 1 / 3), (15.0, 15.0), (15.0, 0.7))
CODE = {"kind": "wplus", "rows": torch.arange(6.0).reshape(1, 2, 3), "noise": (torch.ones(1, 1, 4, 4),)}
WEIGHTS = {"conv.weight": torch.rand(2, 3), "conv.bias": torch.rand(2)}
RESULT = np.ascontiguousarray(PICTURE[::-1])


def request(seed: int = 0) -> Request:
    """A request with everything that a request may have."""
    mask = np.zeros((16, 16), np.uint8)
    mask[:4] = 255
    inputs = {"mask": mask, "second": CroppedPicture(RESULT, Crop("hand", QUAD)), "factor": 4}
    start = SavedCode("wplus", torch.rand(1, 2, 3), noise=(torch.rand(1, 1, 4, 4),), model="m", name="my.npz")
    crop = Crop("face", QUAD, "two faces", (QUAD, QUAD), 2)
    given = replace(stub_request(seed, steps=3), inputs=inputs, start=start, crop=crop, notes=("a note",), name="a.png")
    return replace(given, options={"cls": 3})


def submitted(archive: Archive, key: str, *requests: Request, owner: str = "me") -> Job:
    """A job that the archive has noted, of which no run has begun."""
    given = requests or (request(), request(1))
    job = Job(key, given, [RunView(one.method, one.method.upper()) for one in given], owner=owner, place="page inpaint")
    archive.add(job)
    return job


def run(archive: Archive, job: Job, index: int) -> None:
    """Give a run of the job its result."""
    job.truth, job.measured = PICTURE, RESULT
    event = Finished(RESULT, {"psnr": 30.0 + index, "seconds": 2.0}, {"w.loss": [1.0, float("nan")]}, CODE, WEIGHTS)
    job.take(index, event)
    archive.keep(job, index, event)


def finished(archive: Archive, key: str, owner: str = "me") -> Job:
    """A job of one run that is over."""
    job = submitted(archive, key, stub_request(), owner=owner)
    run(archive, job, 0)
    archive.release(job)
    archive.flush()
    return job


def keys(archive: Archive, owner: str = "me") -> set[str]:
    """The jobs of an owner."""
    return {entry.key for entry in archive.entries(owner, 99)}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., Archive]]:
    """Opens the archive in one folder, again and again: the one before is closed."""
    opened: list[Archive] = []

    def open_archive(limits: Limits | None = None, **options: Callable[[], float]) -> Archive:
        for one in opened:
            one.close()
        opened[:] = [Archive(tmp_path / "kept", limits or Limits(), **options)]
        return opened[0]

    yield open_archive
    for one in opened:
        one.close()


def equal(a: object, b: object) -> bool:
    """Whether two values are equal to the bit, tensors and arrays included."""
    if isinstance(a, np.ndarray | torch.Tensor):
        return type(a) is type(b) and a.dtype == b.dtype and bool((a == b).all()) and a.shape == b.shape  # type: ignore[attr-defined, union-attr]
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(equal(a[name], b[name]) for name in a)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, CroppedPicture | SavedCode | Request):
        return type(a) is type(b) and equal(vars(a), vars(b))
    return a == b


def test_a_restart_finds_everything_to_the_bit(made: Callable[..., Archive]) -> None:
    archive = made()
    job = submitted(archive, "a")
    given = job.requests
    for index in (0, 1):
        run(archive, job, index)
    archive.release(job)
    archive = made()
    view = archive.job("a").view()
    assert view.over and view.tab == "inpaint" and view.crop == job.crop and not view.interrupted
    for old, new in zip(job.runs, view.runs, strict=True):
        assert equal(old.image, new.image) and equal(old.row, new.row) and old.track == new.track
        assert (old.label, old.state, old.seconds) == (new.label, new.state, new.seconds)
    assert equal(view.truth, PICTURE) and equal(view.measured, RESULT)
    result = archive.result("a", 1)
    assert equal(result.code, CODE) and equal(result.weights, WEIGHTS) and equal(result.image, RESULT)
    assert equal(archive.requests("a"), given) and archive.requests("a")[0].crop.faces == (QUAD, QUAD)
    [entry] = archive.entries("me", 9)
    assert [*entry.thumbnails] == ["input", "run-0", "run-1"] and entry.record["runs"][1]["row"]["psnr"] == 31.0


def test_a_run_without_an_end_is_interrupted_after_a_restart(made: Callable[..., Archive]) -> None:
    archive = made()
    job = submitted(archive, "a")
    run(archive, job, 0)
    archive.flush()
    with pytest.raises(UnknownJob):
        archive.job("a")  # it still runs
    archive = made()
    view = archive.job("a").view()
    assert view.interrupted and [one.state for one in view.runs] == ["done", "cancelled"]
    assert "server stopped" in view.runs[1].message and len(archive.requests("a")) == 2


def test_only_the_owner_lists_a_job_and_scripts_leave_none(made: Callable[..., Archive], tmp_path: Path) -> None:
    archive = made()
    finished(archive, "a")
    finished(archive, "b", owner="you")
    finished(archive, "c", owner="")
    assert keys(archive) == {"a"} and keys(archive, "you") == {"b"} and keys(archive, "") == set()
    assert archive.owns("me", "a") and not archive.owns("you", "a") and not archive.owns("", "c")
    assert b"you" not in (tmp_path / "kept" / "index.sqlite").read_bytes()  # secrets of browsers are hashed
    for key in ("c", "../a", "x' OR '1"):
        with pytest.raises(UnknownJob):
            archive.job(key)


STEPS = ("mkdir", "fsync", "replace", "unlink", "rmdir", "execute", "executemany")  # that change the disk


def killed(step: int, work: Callable[[], None]) -> bool:
    """Do the work in a fork that is killed before number `step` of its STEPS; whether it came that far."""
    child = os.fork()
    if child == 0:
        left = [step]

        def count(frame: object, event: str, argument: object) -> None:
            left[0] -= event == "c_call" and argument.__name__ in STEPS  # type: ignore[attr-defined]
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        threading.setprofile(count)  # of the thread that writes
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
def test_a_kill_between_any_two_steps_of_a_write_leaves_the_state_before(
    made: Callable[..., Archive], tmp_path: Path
) -> None:
    finished(made(), "old")
    made().close()
    folder, before = tmp_path / "kept", tmp_path / "before"
    shutil.copytree(folder, before)

    def write() -> None:
        archive = Archive(folder, Limits())
        job = finished(archive, "new")
        archive.forget([job.key])
        archive.close()

    outcomes, step, alive = set(), 0, True
    while alive:
        alive = killed(step, write)
        archive = made()
        assert "old" in keys(archive)
        for key in keys(archive):
            view = archive.job(key).view()
            assert len(archive.requests(key)) == 1
            if view.runs[0].state == "done":
                assert equal(archive.result(key, 0).weights, WEIGHTS) and equal(view.runs[0].image, RESULT)
            outcomes.add((key, view.runs[0].state))
        named = {(key, name) for key in keys(archive) for name in archive.entries("me", 9)[0].files}
        there = {(one.parent.name, one.name) for one in (folder / "runs").glob("*/*")}
        assert {key for key, _ in there} <= {key for key, _ in named}
        assert not [name for _, name in there if name.endswith(files.PART)]
        archive.close()
        shutil.rmtree(folder)
        shutil.copytree(before, folder)
        step += 2  # every second one, for the time
    assert step > 30 and outcomes == {("new", "done"), ("new", "cancelled"), ("old", "done")}


def test_bytes_are_bounded_and_the_largest_share_pays(made: Callable[..., Archive]) -> None:
    archive = made()
    finished(archive, "a")
    one = sum(archive.entries("me", 1)[0].files.values())
    archive.limits.kept_bytes = int(3.5 * one)
    finished(archive, "z", owner="you")
    for key in "bcd":
        finished(archive, key)
    assert keys(archive) == {"c", "d"} and keys(archive, "you") == {"z"}
    for owner in ("x", "y"):
        finished(archive, owner, owner=owner)
    assert sum(map(len, (keys(archive, owner) for owner in ("me", "you", "x", "y")))) == 3


def test_age_and_number_are_bounded_and_use_counts(made: Callable[..., Archive], tmp_path: Path) -> None:
    now = [1000.0]
    archive = made(Limits(kept_age=100.0, kept_each=3), clock=lambda: now[0])
    for key in "abc":
        job = finished(archive, key)
        assert job.made > 0
    archive.prune()
    assert keys(archive) == {"a", "b", "c"}
    archive.job("a")  # counts as a use
    finished(archive, "d")
    assert len(keys(archive)) == 3
    assert {one.name for one in (tmp_path / "kept" / "runs").iterdir()} == keys(archive)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_is_one_message_and_nothing_is_left(
    made: Callable[..., Archive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    archive = made()
    finished(archive, "a")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda number_of_file: (_ for _ in ()).throw(OSError(number, os.strerror(number))))
        finished(archive, "b")
        assert "not kept on the disk" in archive.problem and ("full" in archive.problem) == (number == errno.ENOSPC)
        assert keys(archive) == {"a"}
    assert not [*(tmp_path / "kept" / "runs").glob("b/*")]
    finished(archive, "c")
    assert archive.problem == "" and keys(archive) == {"a", "c"}


def test_damaged_files_are_refused_in_words(made: Callable[..., Archive], tmp_path: Path) -> None:
    archive = made()
    finished(archive, "a")
    (tmp_path / "kept" / "runs" / "a" / "run-0.png").write_bytes(b"cut")
    with pytest.raises(UnknownJob, match="damaged"):
        archive.job("a")
    archive.forget(["a"])
    assert not keys(archive) and not [*(tmp_path / "kept" / "runs").iterdir()]


def test_a_folder_that_cannot_be_used_is_refused_in_words(made: Callable[..., Archive], tmp_path: Path) -> None:
    made()
    with pytest.raises(ArchiveError, match="another server uses it"):
        Archive(tmp_path / "kept", Limits())
    (tmp_path / "file").write_text("x")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "index.sqlite").write_bytes(b"no database" * 999)
    for name in ("file", "broken"):
        with pytest.raises(UserError, match=name):
            Archive(tmp_path / name, Limits())
