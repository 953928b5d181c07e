"""Runs of a command on several lanes at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from inversion.cli.interrupt import StopRequest
from inversion.cli.runs import follow
from inversion.common.commands import Parser, positive
from inversion.serving.engines import ENGINES
from inversion.serving.lane import Lane
from inversion.serving.requests import Quick
from inversion.serving.runs import Finished, LaneLost, Ready, Request

T = TypeVar("T")
Outcome = tuple[Ready, Finished]


def add_engine(parser: Parser) -> None:
    """Add --engine and --lanes."""
    parser.add_argument(
        "--engine",
        choices=[name for name in ENGINES if name != "zero"],
        default="local",
        help="where runs compute: on this machine, or on replicas of Ray Serve; default: local",
    )
    parser.add_argument(
        "--lanes", type=positive, metavar="N", help="runs at once, each in a process or on a replica; default: 1"
    )


def lanes_of(args: argparse.Namespace) -> list[Lane]:
    """The lanes of --engine and --lanes: by default, one in this process. Raises UserError."""
    if args.engine == "local" and args.lanes is None:
        return [Lane(args.device, args.dtype)]
    from inversion.serving import engines

    return engines.lanes(args.engine, args.device, args.dtype, args.lanes or 1)


class LanePool:
    """Does runs on lanes, as many at once as there are lanes, in the order of their requests.

    stop: ends the runs early if it has a signal. show: called with the notes of each run, from any thread.
    """

    def __init__(self, lanes: Sequence[Lane], stop: StopRequest, show: Callable[[Sequence[str]], object]) -> None:
        self._lanes, self._stop, self._show = lanes, stop, show
        self._free: SimpleQueue[Lane] = SimpleQueue()
        for lane in lanes:
            self._free.put(lane)
        self._threads = ThreadPoolExecutor(len(lanes), thread_name_prefix="lane")

    def begin(self, request: Request) -> Future[Outcome]:
        """Queue a run. Its result raises UserError."""
        return self._threads.submit(self._run, request)

    def answer(self, request: Quick[T]) -> T:
        """The answer of a quick request, by the next lane that is free. Raises UserError."""
        lane = self._free.get()
        try:
            return lane.answer(request)
        finally:
            self._free.put(lane)

    def close(self) -> None:
        """Drop the runs that wait, and end those that go on."""
        for lane in self._lanes:
            lane.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _run(self, request: Request) -> Outcome:
        lane = self._free.get()
        try:
            try:
                return follow(lane, request, self._stop, self._show, bars=False)
            except LaneLost:  # its process has ended; a new one starts
                return follow(lane, request, self._stop, self._show, bars=False)
        finally:
            self._free.put(lane)
