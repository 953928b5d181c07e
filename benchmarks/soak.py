"""Users against the running hub: runs, cancels, closed tabs and hostile uploads over HTTP, for a given time.

``python -m benchmarks.soak --minutes 30`` starts `app.py` on the built-in model, lets 4 users use it, and prints
crashes, hung jobs, the drift of its memory, and the waits. The bound of a wait is 1.2 x the length of the queue x the
time of the job alone. ``--kills 20`` also kills as many servers (kill -9) while they compute, and counts what is lost.
Returns 1 if anything crashed, hung or was lost.
"""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.common import benchmark_parser, table, write_rows
from benchmarks.soaking.kills import killed_servers
from benchmarks.soaking.server import Server, running
from benchmarks.soaking.users import Figures, User
from inversion.common.commands import guarded, positive
from inversion.common.rows import RowView

SAMPLE = 2.0  # seconds between two looks at the memory
SETTLE = 720.0  # seconds after which the drift of the memory is measured: what is kept for 10 minutes is full then
FACTOR = 1.2  # of the bound of a wait
PERCENTILE = 95


def watched(server: Server, end: float) -> list[tuple[float, float]]:
    """(seconds, MB) of the server until `end` or its death."""
    began, found = time.monotonic(), []
    while time.monotonic() < end and server.alive:
        found.append((time.monotonic() - began, server.memory()))
        time.sleep(SAMPLE)
    return found


def drift(samples: Sequence[tuple[float, float]]) -> float:
    """MB an hour, by a straight line through the samples after SETTLE seconds, or through the second half of few."""
    late = [(seconds, size) for seconds, size in samples if seconds > min(SETTLE, samples[-1][0] / 2)]
    if len(late) < 3:
        return 0.0
    slope = statistics.linear_regression(*zip(*late, strict=True)).slope
    return slope * 3600


def percentile(values: Sequence[float]) -> float:
    """The PERCENTILE of the values, 0 if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * PERCENTILE // 100)] if ordered else 0.0


def soak(minutes: float, users: int, seed: int) -> tuple[dict[str, object], list[str]]:
    """The figures of a soak, and every problem."""
    with running() as server:
        figures = Figures()
        first = User(server.url, seed, figures, 0.0)
        first.calibrate()
        end = time.monotonic() + 60 * minutes
        people = [User(server.url, seed + 1 + number, figures, end) for number in range(users)]
        threads = [threading.Thread(target=user.use, daemon=True) for user in people]
        for thread in threads:
            thread.start()
        samples = watched(server, end)
        for thread in threads:
            thread.join()
        if server.alive:
            first.run()  # a last one, alone: nothing may hang
        crashed = not server.alive
    problems = [*figures.problems, *server.tracebacks()]
    ratios = [wait.ratio for wait in figures.waits]
    sizes = [size for _, size in samples]
    return {
        "minutes": minutes,
        "users": users,
        **figures.counts,
        "crashes": int(crashed),
        "hung": figures.counts["hung"],
        "tracebacks": len(server.tracebacks()),
        "memory, MB": f"{sizes[0]:.0f} -> {sizes[-1]:.0f}, at most {max(sizes):.0f}",
        "drift, MB an hour": round(drift(samples), 1),
        "p95 wait, s": round(percentile([wait.seconds for wait in figures.waits]), 2),
        "p95 wait / (queue x time alone)": round(percentile(ratios), 2),
        "waits over the bound": sum(ratio > FACTOR for ratio in ratios),
        "load of the machine": round(os.getloadavg()[2], 2),
    }, problems


def main(argv: Sequence[str] | None = None) -> int:
    """Soak, kill, and print the figures. Returns 1 if anything crashed, hung or was lost."""
    parser = benchmark_parser("soak", __doc__, require_json=False)
    parser.add_argument("--minutes", type=float, default=30.0, help="of the soak; 0 for none")
    parser.add_argument("--users", type=positive, default=4, help="at the same time")
    parser.add_argument("--kills", type=int, default=0, help="servers to kill while they compute")
    parser.add_argument("--seed", type=int, default=0, help="of what users do")
    args = parser.parse_args(argv)
    rows: list[RowView] = []
    problems: list[str] = []
    if args.minutes > 0:
        figures, problems = soak(args.minutes, args.users, args.seed)
        rows.append(figures)
        sys.stdout.write(table(("figure", "value"), list(figures.items())) + "\n")
    if args.kills > 0:
        kills = killed_servers(args.kills, args.seed)
        rows.append(asdict(kills))
        sys.stdout.write(table(("figure", "value"), list(asdict(kills).items())) + "\n")
        problems += kills.problems
    sys.stdout.write("\n".join(problems) + ("\n" if problems else ""))
    write_rows(args.json, rows)
    return int(bool(problems))


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.soak", main))
