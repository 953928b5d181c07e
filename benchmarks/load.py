"""Many users at once on the running page, over HTTP: throughput, waiting time, fairness, memory, errors.

``python -m benchmarks.load --users 24 --seconds 300 --lanes 2`` starts the page with these lanes and loads it;
``--url`` loads a page that runs already. Each user runs W+ again and again on a picture of its own, from an address of
its own. ``--kills 10`` ends a process that computes so many times. The memory is that of the page and its child
processes. Returns 1 if a job ended with an error, or did not end.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
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
from benchmarks.peaks import pss_tree, tree
from inversion.common.commands import UsageError, guarded, positive
from inversion.serving.engines import ENGINES

START = 180.0  # seconds until the page is ready
PATIENCE = 900.0  # seconds until a job counts as hung
SAMPLE = 2.0  # seconds between two measurements of memory
CHILD, REPLICA = "inversion.serving.engines.child", "ServeReplica:inversion"  # in command lines


@dataclass(frozen=True)
class Job:
    """A job of a user. wait: seconds to its first step, None if it made none. error: "" if there is none."""

    user: int
    wait: float | None
    seconds: float
    computed: float
    error: str = ""


@dataclass
class Load:
    """What happened. memory: (seconds, MB). kills: of processes."""

    jobs: list[Job] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    kills: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class LoadRow:
    """The figures. Times are seconds. fairness: mean time of a job of the slowest user by that of the median user.

    memory, drift: MB; drift is from the second to the last fifth of the time. load: of the machine before the start.
    """

    engine: str
    users: int
    jobs: int
    errors: int
    per_minute: float
    wait_p50: float
    wait_p95: float
    job_p50: float
    fairness: float
    memory: float
    drift: float
    kills: int
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
        return int(row.errors > 0)

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
    watch = threading.Thread(target=_watch, args=(pid, args, load, began, stop), daemon=True)
    for thread in (*users, watch):
        thread.start()
    for thread in users:
        thread.join(args.seconds + 2 * PATIENCE)
    load.seconds = time.monotonic() - began
    stop.set()
    watch.join()
    return load


def _use(url: str, number: int, args: argparse.Namespace, load: Load, until: float) -> None:
    """One user, who begins a job when the last one has ended."""
    transport = httpx.HTTPTransport(local_address=f"127.0.{number // 250}.{number % 250 + 1}")
    with httpx.Client(base_url=url, transport=transport, timeout=httpx.Timeout(PATIENCE)) as http:
        path = ""
        for turn in itertools.count():
            if time.monotonic() > until:
                return
            began = time.monotonic()
            try:
                path = path or upload(http, number)
                wait, row = run_job(http, path, args.steps, number * 1000 + turn)
                error = "" if row.get("state") == "done" else str(row.get("message") or "it has no result")
            except (httpx.HTTPError, ValueError, KeyError, IndexError) as problem:
                wait, row, error = None, {}, f"{type(problem).__name__}: {problem}"
            seconds = time.monotonic() - began
            load.jobs.append(Job(number, wait, seconds, float(row.get("seconds") or 0.0), error))
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


def run_job(http: httpx.Client, path: str, steps: int, seed: int) -> tuple[float | None, dict[str, Any]]:
    """Run W+ on an uploaded picture: seconds to its first step, and its row. Raises httpx.HTTPError, ValueError."""
    began, wait, row = time.monotonic(), None, {}
    picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = {"picture": picture, "methods": ["wplus"], "settings": {"wplus.steps": steps}, "seed": seed}
    answer = http.post("/gradio_api/call/v2/reconstruct", json=body).raise_for_status()
    with http.stream("GET", f"/gradio_api/call/reconstruct/{answer.json()['event_id']}") as lines:
        for line in lines.iter_lines():
            if line.startswith("event: error"):
                raise ValueError("the event ended with an error")
            if line.startswith("data: ["):
                row = json.loads(line.removeprefix("data: "))[0][0]
                wait = time.monotonic() - began if wait is None and row.get("steps") else wait
    return wait, row


def _watch(pid: int | None, args: argparse.Namespace, load: Load, began: float, stop: threading.Event) -> None:
    """Measure the memory of the page's processes, and end some of those that compute."""
    while not stop.wait(SAMPLE):
        now = time.monotonic() - began
        if pid is not None:
            load.memory.append((now, pss_tree(pid)))
        if load.kills < args.kills and now > args.seconds * (load.kills + 1) / (args.kills + 1):
            load.kills += kill_one(pid, load.kills)


def kill_one(pid: int | None, turn: int) -> bool:
    """End one of the page's child processes, in turns; of a page on Ray, a replica. Returns whether there was one."""
    among = [] if pid is None else tree(pid)[1:]
    found = [one for one in among if CHILD in _command(one)]
    if pid is not None and not found:
        everything = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
        found = [one for one in sorted(everything) if REPLICA in _command(one)]
    if found:
        with suppress(ProcessLookupError):
            os.kill(found[turn % len(found)], signal.SIGKILL)
    return bool(found)


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
    waits = [job.wait for job in good if job.wait is not None]
    means = [mean(job.seconds for job in good if job.user == user) for user in {job.user for job in good}]
    end = load.memory[-1][0] if load.memory else 0.0
    early = [size for at, size in load.memory if end / 5 <= at <= 2 * end / 5]
    late = [size for at, size in load.memory if at >= 4 * end / 5]
    name = args.url or f"{args.engine}, {args.lanes or 'default'} lanes"
    return LoadRow(
        engine=name,
        users=args.users,
        jobs=len(good),
        errors=len(load.jobs) - len(good) + hung,
        per_minute=60 * len(good) / load.seconds,
        wait_p50=percentile(waits, 50),
        wait_p95=percentile(waits, 95),
        job_p50=percentile([job.seconds for job in good], 50),
        fairness=max(means) / median(means) if means else 0.0,
        memory=max((size for _, size in load.memory), default=0.0),
        drift=median(late) - median(early) if early and late else 0.0,
        kills=load.kills,
        load=before,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """A percentile of values, 0 if there are none."""
    return float(np.percentile(values, percent)) if values else 0.0


def _short(value: object) -> object:
    return f"{value:.2f}" if isinstance(value, float) else value


if __name__ == "__main__":
    sys.exit(main())
