"""Ctrl-C and SIGTERM end a run with its best result so far, and the command with its row and its own status."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.lanes import signalled

from inversion import images
from inversion.__main__ import main
from inversion.checkpoints import hub
from inversion.cli.interrupt import StopRequest
from inversion.model import Model
from inversion.serving.lane import Lane
from inversion.synthetic import DOMAINS

WAIT = 90.0  # seconds
SLEEPER = """
import sys, time
from inversion.cli.interrupt import StopRequest
with StopRequest() as stop, stop.postponed():
    print("ready", flush=True)
    while stop.signal is None:
        time.sleep(0.01)
    print("noted", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "face.png"
    images.write_png(path, images.to_array(DOMAINS["synthetic-faces"].draw([1_000_000]).picture))
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_the_best_so_far(
    number: signal.Signals,
    model: Model,
    picture: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    handlers = [signal.getsignal(number), signal.getsignal(signal.SIGINT)]

    monkeypatch.setattr(hub, "load", lambda name, **_: model)
    monkeypatch.setattr(Lane, "__call__", signalled(number))
    words = ["compare", picture, picture, picture.with_name("absent.png"), "--methods", "wplus,w", "--json"]
    status = main([*map(str, words), "--set", "wplus.steps=50", "--out", str(picture.parent / "out")])
    (row,) = json.loads(capsys.readouterr().out)  # neither the second method nor the second picture
    assert (
        status == 128 + number and row["interrupted"] and row["steps"] == 4 and "best picture so far" in row["message"]
    )
    assert images.read(row["image"]).size == (32, 32)
    assert json.loads((picture.parent / "out" / "face_reconstruct.json").read_text()) == [row]
    assert [signal.getsignal(number), signal.getsignal(signal.SIGINT)] == handlers


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_before_a_run_a_signal_ends_the_command(
    number: signal.Signals,
    model: Model,
    picture: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load(name: str, **_: object) -> Model:
        signal.raise_signal(number)
        return model

    monkeypatch.setattr(hub, "load", load)
    try:
        status: object = main(["invert", str(picture)])
    except SystemExit as stop:
        status = stop.code
    assert status == 128 + number and "Traceback" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as on POSIX")
def test_a_second_signal_ends_at_once() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "noted\n"
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT)
    assert process.returncode == -signal.SIGINT and time.monotonic() - begun < 5
    assert "Press Ctrl-C again to end at once." in errors and "Traceback" not in errors


@pytest.mark.weights
@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as on POSIX")
def test_ctrl_c_in_a_real_run(picture: Path, tmp_path: Path) -> None:
    words = ["invert", str(picture), "--set", "wplus.steps=5000", "--out", str(tmp_path / "best.png")]
    errors = tmp_path / "errors"
    with errors.open("w") as file:
        process = subprocess.Popen([sys.executable, "-m", "inversion", *words], stdout=subprocess.PIPE, stderr=file)
    end = time.monotonic() + WAIT
    while "/5000" not in errors.read_text() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.5)  # for some steps
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=WAIT)
    (row,) = json.loads((tmp_path / "best.json").read_text())
    assert process.returncode == 130 and "Traceback" not in errors.read_text() and b"best picture so far" in out
    assert row["interrupted"] and images.read(tmp_path / "best.png").size == (128, 128)


def test_outside_of_the_main_thread_signals_stay_as_they_are() -> None:
    from concurrent.futures import ThreadPoolExecutor

    def enter() -> int:
        with StopRequest() as stop, stop.postponed():
            return stop.status

    with ThreadPoolExecutor() as pool:
        assert pool.submit(enter).result() == 0
