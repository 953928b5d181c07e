"""Killed processes, a clock that goes back, SIGTERM: leftovers are removed, and runs end in words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import pytest
from helpers.lanes import StubLane, stub_request
from helpers.reports import report
from helpers.waiting import until

from inversion.checkpoints import leftovers
from inversion.checkpoints.places import VARIABLE
from inversion.checkpoints.registry import registry
from inversion.checkpoints.store import file_lock
from inversion.checkpoints.transfer import blobs_of, lock_of
from inversion.cli.records import add_rows
from inversion.common import temporary
from inversion.serving.session import Busy, Session
from ui import shutdown

Opened = Callable[..., Session]
ROOT = Path(__file__).resolve().parents[2]
OWNER = """
import sys, tempfile, time
from pathlib import Path
from inversion.common.temporary import use_private_folder
folder = use_private_folder(Path(sys.argv[1]))
Path(tempfile.mkdtemp(), "upload.png").write_text("x")
print(folder, flush=True)
time.sleep(60)
"""
LONG_AGO = (1_000_000_000.0, 1_000_000_000.0)


def owner(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process with a temporary folder of its own, and the folder."""
    command = [sys.executable, "-c", OWNER, str(parent)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_folder_of_a_killed_server_is_removed_at_the_next_start_and_no_other(tmp_path: Path) -> None:
    (killed, left), (running, kept), (ended, gone) = (owner(tmp_path) for _ in range(3))
    outside = tmp_path / "somebody"
    outside.mkdir()
    (outside / "file").write_text("x")
    (tmp_path / f"{temporary.PREFIX}link").symlink_to(outside)
    (tmp_path / f"{temporary.PREFIX}file").write_text("x")
    (tmp_path / f"{temporary.PREFIX}new").mkdir()  # without its lock yet
    old = tmp_path / f"{temporary.PREFIX}old"  # killed before it made its lock
    old.mkdir()
    os.utime(old, LONG_AGO)
    try:
        killed.kill()
        killed.wait()
        ended.send_signal(signal.SIGINT)
        ended.wait()
        assert list(left.rglob("upload.png")) and not gone.exists()
        removed = temporary.sweep(tmp_path)
        stay = {path.name.removeprefix(temporary.PREFIX) for path in tmp_path.iterdir()}
        report("folders of a killed and a running process, a link, a file, a new folder", f"{removed} removed; {stay}")
        assert removed == 2 and stay == {kept.name.removeprefix(temporary.PREFIX), "somebody", "link", "file", "new"}
        assert list(kept.rglob("upload.png")) and (outside / "file").exists()
    finally:
        running.kill()
        running.communicate()


def test_half_downloads_are_removed_and_those_of_other_processes_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "derived"))
    blobs = blobs_of(next(entry for entry in registry().values() if entry.repo_id is not None))
    foreign = tmp_path / "hub" / "models--somebody--else" / "blobs"
    half, copy = "a.0123abcd.incomplete", f".{'0' * 64}.safetensors.x"
    paths = [blobs / half, blobs / "held.0123abcd.incomplete", blobs / "a", foreign / half]
    paths += [tmp_path / "derived" / name for name in (f"own.yaml.{half}", "own.yaml", f"{copy}/converted")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        os.utime(path, LONG_AGO)
        os.utime(path.parent, LONG_AGO)
    (blobs / "young.0123abcd.incomplete").write_text("x")
    with file_lock(lock_of(blobs / "held")):
        removed = leftovers.sweep()
    stay = sorted(path.name for path in paths if path.exists())
    report("half files: 3 left, 1 held by a lock, 1 young, 1 foreign", f"{removed} removed; {stay} stay")
    assert removed == 3 and stay == sorted([half, "held.0123abcd.incomplete", "a", "own.yaml"])
    assert (blobs / "young.0123abcd.incomplete").exists() and leftovers.sweep() == 1


def test_sigterm_ends_runs_with_their_best_picture_and_refuses_new_ones(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "LAST_VIEWS", 0)
    session = opened(StubLane(steps=10**6))
    with gr.Blocks() as page:
        pass
    keys = [session.submit([stub_request(seed)]) for seed in range(2)]
    until(lambda: session.snapshot(keys[0]).runs[0].step > 0)
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
    shutdown.until_stopped()
    handler = signal.getsignal(signal.SIGTERM)
    began = time.monotonic()
    shutdown.close(page, session)
    running, waiting = (session.snapshot(key).runs[0] for key in keys)
    report("SIGTERM, one job running and one waiting", f"{running.message} / {waiting.message}")
    assert handler is signal.SIG_DFL and signal.getsignal(signal.SIGINT) is not signal.SIG_DFL
    assert running.over and running.image is not None and waiting.over and time.monotonic() - began < 5
    with pytest.raises(Busy, match="being stopped"):
        session.submit([stub_request()])


def test_a_clock_that_was_set_back_stops_nothing(tmp_path: Path) -> None:
    lock = tmp_path / "rows.json.lock"
    lock.write_text("")
    ahead = time.time() + 10**6
    os.utime(lock, (ahead, ahead))  # of a process that was killed before the clock went back
    began = time.monotonic()
    add_rows(tmp_path / "rows.json", [{"picture": "x.png"}])
    seconds = time.monotonic() - began
    words = [path.name for path in (ROOT / "inversion" / "serving").rglob("*.py") if "time.time(" in path.read_text()]
    words += [path.name for path in (ROOT / "ui").rglob("*.py") if "time.time(" in path.read_text()]
    report("a lock from the future", f"rows are written after {seconds:.2f} s; time.time() in the server: {words}")
    assert seconds < 1 and not words
