"""Many users at once on the running page, over HTTP: throughput, waiting time, fairness, memory, errors.

``python -m benchmarks.load --users 24 --seconds 300 --lanes 2`` starts the page with these lanes and loads it;
``--url`` loads a page that runs already. ``--engine ray`` needs an application that runs already. Each user runs W+
again and again on a picture of its own, from an address of its own. ``--kills 10`` ends a process that computes so many
times. The page is asked all the time whether it lives. The memory is that of the page and of the processes that
compute. Returns 1 if a job ended with an error or did not end, if a result is lost, or if the page did not answer.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

import httpx
import numpy as np
from PIL import Image

from benchmarks.common import benchmark_parser, table, write_rows
from benchmarks.peaks import pss, tree
from inversion.common.commands import UsageError, guarded, positive
from inversion.serving.engines import ENGINES
from inversion.serving.jobs import RESTARTED

START = 180.0  # seconds until the page is ready
PATIENCE = 900.0  # seconds until a job counts as hung
SAMPLE = 2.0  # seconds between two measurements of memory
LOOK, DOWN = 0.25, 5.0  # seconds between two questions to the page, and for its answer
SLACK = 1.3  # of the bound of a wait
CHILD, REPLICA = "inversion.serving.engines.child", "ServeReplica:inversion"  # in command lines


@dataclass
class Seen:
    """What a user has seen of a job. wait: seconds to its first step, None if it made none. row: the last one.

    picture: address of its result, "" if there is none. again: moments at which it was said that it began again.
    """

    wait: float | None = None
    row: dict[str, Any] = field(default_factory=dict)
    picture: str = ""
    again: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """A job of a user that took so many seconds until a moment. error: "" if there is none."""

    user: int
    seen: Seen
    seconds: float
    ended: float
    error: str = ""

    @property
    def told(self) -> list[float]:
        """The moments at which the user read that its process was lost, or of another error."""
        return [*self.seen.again, *([self.ended] if self.error else [])]


@dataclass
class Load:
    """What happened. memory: (seconds, MB). looks: seconds of the page's answers, infinite if none came.

    kills: moments at which a process was ended. lost: results that were shown and are not there any more. Moments are
    those of `time.monotonic`.
    """

    jobs: list[Job] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    lost: int = 0
    seconds: float = 0.0

    def told(self) -> list[float]:
        """For each kill that met a run: seconds until its user read that it begins again, or why it does not."""
        moments = sorted(moment for job in self.jobs for moment in job.told)
        pairs = itertools.pairwise([*self.kills, math.inf])
        found = [next((one - kill for one in moments if kill <= one < later), None) for kill, later in pairs]
        return [one for one in found if one is not None]


@dataclass(frozen=True)
class LoadRow:
    """The figures. Times are seconds. fairness: mean time of a job of the slowest user by that of the median user.

    wait_bound: SLACK x users x time of a job / lanes, which is the time in which as many jobs as users end. memory,
    drift: MB; drift is from the second to the last fifth of the time. page: its slowest answer. down: how often none
    came. kills: processes that were ended. told: of each that had a run, the time until a user read of it. load: of the
    machine before the start.
    """

    engine: str
    users: int
    jobs: int
    errors: int
    lost: int
    per_minute: float
    wait_p50: float
    wait_p95: float
    wait_bound: float
    job_p50: float
    fairness: float
    memory: float
    drift: float
    page: float
    down: int
    kills: int
    told: tuple[float, ...]
    load: float


def main(argv: list[str] | None = None) -> int:
    """Load the page and print the figures. Returns the exit status."""
    parser = benchmark_parser("load", __doc__, require_json=False)
    parser.add_argument("--url", help="address of a page that runs; default: start one")
    parser.add_argument("--engine", choices=tuple(ENGINES), default="local")
    parser.add_argument("--lanes", type=positive, default=None, help="see python app.py --help")
    parser.add_argument("--users", type=positive, default=24)
    parser.add_argument("--seconds", type=positive, default=300, help="time in which users begin jobs")
    parser.add_argument("--steps", type=positive, default=30, help="of W+")
    parser.add_argument("--kills", type=int, default=0, help="how many processes to end while they compute")
    args = parser.parse_args(argv)

    def run() -> int:
        row = measured(args)
        write_rows(args.json, [row])
        sys.stdout.write(table(list(asdict(row)), [[_short(value) for value in asdict(row).values()]]) + "\n")
        return int(row.errors + row.lost + row.down > 0)

    return guarded(parser.prog, run)


def measured(args: argparse.Namespace) -> LoadRow:
    """The figures of a load. Raises UsageError if the page does not start."""
    before = os.getloadavg()[0]
    with ExitStack() as stack:
        url, pid = (args.url, None) if args.url else stack.enter_context(page(args.engine, args.lanes))
        load = run_users(url, args, pid)
    return summary(load, args, before)


@contextmanager
def page(engine: str, lanes: int | None, path: str = "/readyz") -> Iterator[tuple[str, int]]:
    """The address and the process of a page that runs until the end of the block. Raises UsageError.

    The block begins when `path` answers; /readyz does so as soon as the models are loaded.
    """
    port = 7900 + os.getpid() % 90
    flags = ["--port", str(port), "--device", "cpu", "--engine", engine, *(["--lanes", str(lanes)] if lanes else [])]
    root = Path(__file__).parent.parent
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([sys.executable, "app.py", *flags], cwd=root, stdout=log, stderr=log)  # noqa: S603
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until_ready(url + path, process)
            yield url, process.pid
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the address answers. Raises UsageError."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.HTTPError):
            if httpx.get(url).status_code == 200:
                return
        time.sleep(0.2)
    raise UsageError("The page did not start. Run python app.py with the same flags to see why.")


def run_users(url: str, args: argparse.Namespace, pid: int | None) -> Load:
    """All users at once. Returns when the last job has ended."""
    load, began, stop = Load(), time.monotonic(), threading.Event()
    users = [
        threading.Thread(target=_use, args=(url, number, args, load, began + args.seconds), daemon=True)
        for number in range(args.users)
    ]
    watches = [
        threading.Thread(target=_watch, args=(pid, args, load, began, stop), daemon=True),
        threading.Thread(target=_look, args=(url, load, stop), daemon=True),
    ]
    for thread in (*users, *watches):
        thread.start()
    for thread in users:
        thread.join(args.seconds + 2 * PATIENCE)
    load.seconds = time.monotonic() - began
    stop.set()
    for thread in watches:
        thread.join()
    with httpx.Client(base_url=url) as http:
        load.lost = sum(http.get(job.seen.picture).status_code != 200 for job in load.jobs if not job.error)
    return load


def _use(url: str, number: int, args: argparse.Namespace, load: Load, until: float) -> None:
    """One user, who begins a job when the last one has ended."""
    transport = httpx.HTTPTransport(local_address=f"127.0.{number // 250}.{number % 250 + 1}")
    with httpx.Client(base_url=url, transport=transport, timeout=httpx.Timeout(PATIENCE)) as http:
        path = ""
        for turn in itertools.count():
            began = time.monotonic()
            if began > until:
                return
            seen = Seen()
            try:
                path = path or upload(http, number)
                run_job(http, path, args.steps, number * 1000 + turn, seen)
                error = "" if seen.row.get("state") == "done" else str(seen.row.get("message") or "it has no result")
            except (httpx.HTTPError, ValueError, KeyError, IndexError) as problem:
                error = f"{type(problem).__name__}: {problem}"
            ended = time.monotonic()
            load.jobs.append(Job(number, seen, ended - began, ended, error))
            if error:
                sys.stderr.write(f"user {number}: {error}\n")
                time.sleep(1.0)


def upload(http: httpx.Client, number: int) -> str:
    """Upload the picture of a user. Returns its path on the server. Raises httpx.HTTPError."""
    pixels = np.random.default_rng(number).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    answer = http.post("/gradio_api/upload", files={"files": ("picture.png", file.getvalue(), "image/png")})
    return str(answer.raise_for_status().json()[0])


def run_job(http: httpx.Client, path: str, steps: int, seed: int, seen: Seen) -> None:
    """Run W+ on an uploaded picture, and note what its user sees. Raises httpx.HTTPError, ValueError."""
    began = time.monotonic()
    picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = {"picture": picture, "methods": ["wplus"], "settings": {"wplus.steps": steps}, "seed": seed}
    answer = http.post("/gradio_api/call/v2/reconstruct", json=body).raise_for_status()
    with http.stream("GET", f"/gradio_api/call/reconstruct/{answer.json()['event_id']}") as lines:
        for line in lines.iter_lines():
            if line.startswith("event: error"):
                raise ValueError("the event ended with an error")
            if line.startswith("data: ["):
                now, ([row, *_], pictures, *_) = time.monotonic(), json.loads(line.removeprefix("data: "))
                seen.wait = now - began if seen.wait is None and row.get("steps") else seen.wait
                back = row.get("state") == "queued" and seen.row.get("state") == "running"
                told = back or row.get("message") == RESTARTED != seen.row.get("message")
                seen.again += [now] if told else []
                seen.row, seen.picture = row, pictures[0]["image"]["url"] if pictures else ""


def _watch(pid: int | None, args: argparse.Namespace, load: Load, began: float, stop: threading.Event) -> None:
    """Measure the memory of the page and of the processes that compute, and end some of these."""
    while not stop.wait(SAMPLE):
        now = time.monotonic() - began
        if pid is None:
            continue
        load.memory.append((now, pss({*tree(pid), *computing(pid)})))
        kills = len(load.kills)
        if kills < args.kills and now > args.seconds * (kills + 1) / (args.kills + 1) and (found := computing(pid)):
            load.kills.append(time.monotonic())
            with suppress(ProcessLookupError):
                os.kill(found[kills % len(found)], signal.SIGKILL)


def _look(url: str, load: Load, stop: threading.Event) -> None:
    """Ask all the time whether the page lives."""
    with httpx.Client(base_url=url, timeout=httpx.Timeout(DOWN)) as http:
        while not stop.wait(LOOK):
            began, good = time.monotonic(), False
            with suppress(httpx.HTTPError):
                good = http.get("/healthz").status_code == 200
            load.looks.append(time.monotonic() - began if good else math.inf)


def computing(pid: int) -> list[int]:
    """The processes that compute for a page: its children that are lanes, else the replicas on this machine."""
    children = [one for one in tree(pid)[1:] if CHILD in _command(one)]
    everything = [] if children else sorted(int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return children or [one for one in everything if REPLICA in _command(one)]


def _command(pid: int) -> str:
    """The command line of a process, "" if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def summary(load: Load, args: argparse.Namespace, before: float) -> LoadRow:
    """The figures of what happened. Users whose job never ended count as an error each."""
    good = [job for job in load.jobs if not job.error]
    hung = args.users - len({job.user for job in load.jobs})
    waits = [job.seen.wait for job in good if job.seen.wait is not None]
    means = [mean(job.seconds for job in good if job.user == user) for user in {job.user for job in good}]
    end = load.memory[-1][0] if load.memory else 0.0
    early = [size for at, size in load.memory if end / 5 <= at <= 2 * end / 5]
    late = [size for at, size in load.memory if at >= 4 * end / 5]
    name = args.url or f"{args.engine}, {args.lanes or 'default'} lanes"
    answered = [seconds for seconds in load.looks if math.isfinite(seconds)]
    return LoadRow(
        engine=name,
        users=args.users,
        jobs=len(good),
        errors=len(load.jobs) - len(good) + hung,
        lost=load.lost,
        per_minute=60 * len(good) / load.seconds,
        wait_p50=percentile(waits, 50),
        wait_p95=percentile(waits, 95),
        wait_bound=SLACK * args.users * load.seconds / max(1, len(good)),
        job_p50=percentile([job.seconds for job in good], 50),
        fairness=max(means) / median(means) if means else 0.0,
        memory=max((size for _, size in load.memory), default=0.0),
        drift=median(late) - median(early) if early and late else 0.0,
        page=max(answered, default=0.0),
        down=len(load.looks) - len(answered),
        kills=len(load.kills),
        told=tuple(load.told()),
        load=before,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """A percentile of values, 0 if there are none."""
    return float(np.percentile(values, percent)) if values else 0.0


def _short(value: object) -> object:
    if isinstance(value, tuple):
        return ", ".join(f"{one:.1f}" for one in value) or "-"
    return f"{value:.2f}" if isinstance(value, float) else value


if __name__ == "__main__":
    sys.exit(main())
