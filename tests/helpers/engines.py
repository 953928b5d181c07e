"""The engines for the tests of their contract. Each starts at its first use."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inversion.serving import engines
from inversion.serving.lane import Lane

ROOT = Path(__file__).parent.parent.parent
LANES = {"here": 1, "processes": 2, "replicas": 2}  # their number by engine


def started(name: str) -> list[Lane]:
    """The lanes of an engine. Skips the test if its package is missing."""
    if name == "here":
        return engines.lanes("local", "cpu", "float32")
    if name == "processes":
        return engines.lanes("local", "cpu", "float32", LANES[name])
    start_ray(LANES[name])
    return engines.lanes("ray", "cpu", "float32", LANES[name])


def start_ray(replicas: int) -> None:
    """A cluster on this machine with the application. Skips the test if Ray is not installed."""
    ray = pytest.importorskip("ray")
    from ray import serve

    from inversion.serving.engines.deployment import build

    os.environ["PYTHONPATH"] = str(ROOT)  # for the processes of the cluster
    ray.init(num_cpus=replicas, include_dashboard=False, log_to_driver=False, object_store_memory=10**8)
    arguments = {"device": "cpu", "dtype": "float32", "replicas": str(replicas)}
    serve.run(build(arguments), name="inversion", route_prefix=None)


def stop_ray() -> None:
    """End the cluster, if there is one."""
    try:
        import ray
        from ray import serve
    except ImportError:
        return
    if ray.is_initialized():
        serve.shutdown()
        ray.shutdown()


@pytest.fixture(scope="module")
def engine() -> Iterator[Callable[[str], list[Lane]]]:
    """The lanes of an engine by its name."""
    known: dict[str, list[Lane]] = {}

    def get(name: str) -> list[Lane]:
        if name not in known:
            known[name] = started(name)
        return known[name]

    yield get
    for lanes in known.values():
        for lane in lanes:
            lane.close()
    stop_ray()


def send(lane: Lane, number: str = "SIGKILL") -> None:
    """Send a signal to the process of a lane."""
    os.kill(int(lane.place().split()[-1]), getattr(signal, number, signal.SIGTERM))
