"""What a lane costs, and what several gain: a run on the lanes of each engine, and a comparison on one lane and on two.

``python -m benchmarks.lanes --json lanes.json`` runs W+ with previews on a lane of every kind, and the quick presets of
five methods, each alone and as one comparison. All of them take turns, `--repeats` times, on a picture that no lane has
seen. With OMP_NUM_THREADS=1, all lanes have one thread, unless their name says otherwise. ``--kinds`` with "replica"
needs a running application of Ray Serve.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks.common import benchmark_parser, table, write_rows
from benchmarks.presets import METHODS as COMPARED
from benchmarks.whole import target
from inversion import images
from inversion.checkpoints import hub, registry
from inversion.common.commands import UsageError, guarded, positive
from inversion.methods import METHODS
from inversion.serving import engines
from inversion.serving.engines.process import ProcessLane
from inversion.serving.lane import Lane
from inversion.serving.runs import Request
from inversion.serving.session import Session

COSTS, GAIN = "cost", "gain"
PARTS = (COSTS, GAIN)
# Kind of a lane -> one such lane.
KINDS: Mapping[str, Callable[[], Lane]] = {
    "this process": lambda: Lane("cpu"),
    "process": lambda: ProcessLane("cpu", threads=1),
    "replica": lambda: engines.lanes("ray", "cpu", "auto", 1)[0],
}
# Lanes of a page; the first are those that others are compared with.
PAGES: Mapping[str, Callable[[], list[Lane]]] = {
    "1 lane": lambda: [ProcessLane("cpu", threads=1)],
    "1 lane with 2 threads": lambda: [ProcessLane("cpu", threads=2)],
    "2 lanes": lambda: [ProcessLane("cpu", threads=1) for _ in range(2)],
}
EVERY = 0.01  # seconds between two looks at a job


@dataclass(frozen=True)
class LaneRow:
    """Seconds of one thing on some lanes, in every turn. ratio: of the median to that of the first lanes.

    processor: median of the seconds of processors that this process and those of the lanes used.
    """

    name: str
    lanes: str
    seconds: tuple[float, ...]
    median: float
    ratio: float
    processor: float


class Hub:
    """A session on lanes, each of which has done all of some runs before, with one step."""

    def __init__(self, lanes: Sequence[Lane], requests: Sequence[Request]) -> None:
        self.lanes, self._turns = lanes, count(1)
        for lane in lanes:
            for request in requests:
                steps = {f"{one.key}.steps": 1 for one in METHODS[request.method].stages if hasattr(one, "steps")}
                for _ in lane(replace(request, settings={**request.settings, **steps})):
                    pass
        self._session = Session("cpu", lanes=lanes)

    def run(self, requests: Sequence[Request]) -> tuple[float, float]:
        """Seconds, and those of processors, of a job on a picture that is new to all lanes. Raises UsageError."""
        picture = requests[0].picture.copy()
        picture[0, 0, :2] = divmod(next(self._turns), 256)
        made = [replace(request, picture=picture) for request in requests]
        began, spent = time.perf_counter(), self._spent()
        *_, view = self._session.follow(self._session.submit(made), every=EVERY)
        failed = [run.message for run in view.runs if run.state != "done"]
        if failed:
            raise UsageError(failed[0])
        return time.perf_counter() - began, self._spent() - spent

    def close(self) -> None:
        """End the lanes."""
        self._session.close()

    def _spent(self) -> float:
        """Seconds of processors that this process and those of the lanes have used, on Linux."""
        pids = {int(words[-1]) for lane in self.lanes if (words := lane.place().split()) and words[-1].isdigit()}
        return time.process_time() + sum(map(processor_time, pids - {os.getpid()}))


def processor_time(pid: int) -> float:
    """Seconds of processors that a process has used, on Linux; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def hubs(lanes: Mapping[str, Sequence[Lane]], requests: Sequence[Request]) -> Iterator[dict[str, Hub]]:
    """A hub for each of the lanes."""
    made: dict[str, Hub] = {}
    try:
        for name, some in lanes.items():
            made[name] = Hub(some, requests)
        yield made
    finally:
        for one in made.values():
            one.close()


def costs(kinds: Sequence[str], request: Request, repeats: int) -> list[LaneRow]:
    """The run on a lane of each kind, in turns."""
    with hubs({kind: [KINDS[kind]()] for kind in kinds}, [request]) as made:
        turns = [{kind: one.run([request]) for kind, one in made.items()} for _ in range(repeats)]
    return list(rows(f"{request.method}, {request.settings[f'{request.method}.steps']} steps", turns))


def gains(requests: Sequence[Request], repeats: int) -> list[LaneRow]:
    """The runs each alone, where there is one lane, and as one comparison, in turns."""
    alone, together = [], []
    with hubs({name: lanes() for name, lanes in PAGES.items()}, requests) as made:
        for _ in range(repeats):
            alone.append({name: _sum(one, requests) for name, one in made.items() if len(one.lanes) == 1})
            together.append({name: one.run(requests) for name, one in made.items()})
    return [*rows("each alone", alone), *rows("together", together)]


def _sum(one: Hub, requests: Sequence[Request]) -> tuple[float, float]:
    """Seconds, and those of processors, of all runs one after the other."""
    seconds, processor = zip(*(one.run([request]) for request in requests), strict=True)
    return sum(seconds), sum(processor)


def rows(name: str, turns: Sequence[Mapping[str, tuple[float, float]]]) -> Iterator[LaneRow]:
    """A row for each of the lanes of the turns, which hold seconds and those of processors."""
    first = next(iter(turns[0]))
    base = median(turn[first][0] for turn in turns)
    for lanes in turns[0]:
        seconds, processor = zip(*(turn[lanes] for turn in turns), strict=True)
        yield LaneRow(name, lanes, seconds, median(seconds), median(seconds) / base, median(processor))


def main(argv: Sequence[str] | None = None) -> int:
    """Time the runs and write a row for each thing and its lanes."""
    parser = benchmark_parser("lanes", __doc__, require_json=False)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="the kinds of lanes, several lanes")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS)[:2])
    parser.add_argument("--steps", type=positive, default=100, help="of W+, on the kinds of lanes")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=COMPARED, help="of the comparison")
    parser.add_argument("--repeats", type=positive, default=3)
    args = parser.parse_args(argv)
    picture = images.to_array(target(hub.load(registry.DEFAULT, "cpu")))
    found: list[LaneRow] = []
    if COSTS in args.parts:
        request = Request("reconstruct", "wplus", picture, settings={"wplus.steps": args.steps})
        found += costs(args.kinds, request, args.repeats)
    if GAIN in args.parts:
        quick = [Request("reconstruct", key, picture, settings=METHODS[key].preset("quick")) for key in args.methods]
        found += gains(quick, args.repeats)
    columns = ("what", "lanes", "seconds", "median", "ratio", "processor")
    sys.stdout.write(table(columns, map(cells, found)) + "\n")
    write_rows(args.json, [asdict(row) for row in found])
    return 0


def cells(row: LaneRow) -> list[str]:
    """The cells of a row of the printed table."""
    times = ", ".join(f"{value:.1f}" for value in row.seconds)
    return [row.name, row.lanes, times, f"{row.median:.2f}", f"{row.ratio:.2f}", f"{row.processor:.1f}"]


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.lanes", main))
