"""Servers that are killed (kill -9) while they compute, and what is left of their runs in the folder of results."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from inversion.checkpoints import hub
from inversion.checkpoints.registry import DEFAULT
from inversion.common.commands import UsageError
from inversion.images import read
from inversion.serving.archive.archive import Archive
from inversion.serving.jobs import UnknownJob
from inversion.serving.limits import Limits
from inversion.serving.runs import Request
from inversion.serving.session import Session

ROOT = Path(__file__).resolve().parents[2]
SHORT, LONG = 5, 400  # steps of runs
LIFE = (0.0, 4.0)  # seconds of a server after its first result


@dataclass
class Kills:
    """What became of the runs. finished, lost: whose result was shown, and of these, those that are not as it was.

    interrupted: runs that are listed as such and can begin again. forgotten: running ones that are not listed.
    """

    kills: int
    finished: int = 0
    lost: int = 0
    interrupted: int = 0
    forgotten: int = 0
    problems: list[str] = field(default_factory=list)


def killed_servers(count: int, seed: int) -> Kills:
    """Start and kill `count` servers on one folder, and look at their runs after each. Raises UsageError."""
    if not hasattr(os, "fork"):
        raise UsageError("--kills needs a system with fork, such as Linux")
    torch.set_num_threads(1)  # threads do not survive a fork
    hub.load(DEFAULT, "cpu", "float32")  # for all servers
    rng, kills = random.Random(seed), Kills(count)  # noqa: S311 - repeatable
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        for number in range(count):
            said = list(_life(Path(folder), f"owner {number}", rng.uniform(*LIFE)))
            _look(Path(folder), said, kills)
    return kills


def _life(folder: Path, owner: str, seconds: float) -> Iterator[list[str]]:
    """The words of a server until it is killed, so many seconds after its first result."""
    source, sink = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            _serve(folder, owner, sink)
        finally:
            os._exit(1)
    os.close(sink)
    with os.fdopen(source, "rb") as pipe:
        first = [pipe.readline(), pipe.readline()]  # a run has begun and ended
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for line in [*first, *pipe.read().splitlines()]:
            yield line.decode().split()


def _serve(folder: Path, owner: str, sink: int) -> None:
    """In the fork: compute runs, short and long ones, and say which have begun and ended."""
    session = Session("cpu", "float32", 60.0, archive=Archive(folder, Limits()))
    picture = np.asarray(read(ROOT / "ui" / "examples" / "face-1000000.png"))
    number = 0
    while True:
        number += 1
        steps = {"w.steps": LONG if number % 4 == 0 else SHORT}
        key = session.submit([Request("reconstruct", "w", picture, settings=steps, seed=number)], owner=owner)
        os.write(sink, f"begun {key}\n".encode())
        *_, view = session.follow(key, every=0.01)
        os.write(sink, f"ended {key} {_digest(view.runs[0].image)}\n".encode())


def _look(folder: Path, said: list[list[str]], kills: Kills) -> None:
    """Compare what a server has said with what the folder holds."""
    archive = Archive(folder, Limits())
    ended = {words[1]: words[2] for words in said if words[0] == "ended" and len(words) == 3}
    begun = [words[1] for words in said if words[0] == "begun" and len(words) == 2 and words[1] not in ended]
    for key, digest in ended.items():
        kills.finished += 1
        try:
            found = _digest(archive.job(key).runs[0].image)
            archive.result(key, 0)
        except UnknownJob as error:
            found = str(error)
        if found != digest:
            kills.lost += 1
            kills.problems.append(f"a finished run is lost: {found}")
    for key in begun:
        try:
            job = archive.job(key)
            again = archive.requests(key)
        except UnknownJob:
            kills.forgotten += 1
            continue
        if not job.view().interrupted or not again:
            kills.problems.append("a run that was interrupted is not marked as such")
        kills.interrupted += 1
    archive.close()


def _digest(image: np.ndarray | None) -> str:
    return "none" if image is None else hashlib.sha256(image.tobytes()).hexdigest()
