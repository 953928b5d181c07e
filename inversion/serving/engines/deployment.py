"""The deployment of Ray Serve: each replica holds a lane. Needs `ray`; `inversion.serving.engines.ray_lanes` calls it.

A front opens a lease of a replica, then calls it by the lease. A run is a stream of events. The replica computes no
more than AHEAD unseen events, so that a run which waits for its turn uses no device.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar

from ray import serve
from ray.serve.config import RequestRouterConfig
from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from inversion.common.memory import keep_freed_memory
from inversion.serving.engines.child import Answer, Calls
from inversion.serving.engines.transfer import Codec
from inversion.serving.lane import Lane
from inversion.serving.runs import Finished

AHEAD = 4  # events of a run that its front has not seen
EXPIRY = 3600.0  # seconds without a call after which a lease ends; its front may have crashed
CHECKED = {"health_check_period_s": 1.0, "health_check_timeout_s": 2.0}  # Serve replaces a replica after 3 failures


class Flow:
    """How many events of a run its front has seen, and whether it wants the best picture so far."""

    def __init__(self) -> None:
        self.seen, self.stop = 0, False
        self._changed = asyncio.Event()

    def note(self, seen: int, stop: bool) -> None:
        """Record what the front says. Later words may arrive first."""
        self.seen, self.stop = max(seen, self.seen), stop or self.stop
        self._changed.set()

    async def wait(self, made: int) -> None:
        """Wait until the front has seen all but AHEAD of the events."""
        while made - self.seen > AHEAD and not self.stop:
            self._changed.clear()
            await self._changed.wait()


class Lease:
    """Calls of one front."""

    def __init__(self, lane: Lane) -> None:
        self.calls, self.codec = Calls(lane), Codec(keeps=True)
        self.flows: dict[int, Flow] = {}
        self.used = time.monotonic()


class Replica:
    """A lane of Ray Serve. device, dtype: as in `Lane`. model: loaded before the first call, "" for none.

    Data are messages of a `Codec`. A call with an unknown lease, such as one of a replica that was replaced, gets
    nothing.
    """

    def __init__(self, device: str = "auto", dtype: str = "auto", model: str = "") -> None:
        keep_freed_memory()
        self._lane = Lane(device, dtype)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lane")  # a lane is not thread-safe
        self._leases: dict[str, Lease] = {}
        if model:
            self._thread.submit(self._lane.warm, model).result()

    async def open(self) -> tuple[str, str]:
        """The key of a new lease, and where the replica is, in words."""
        now = time.monotonic()
        self._leases = {key: one for key, one in self._leases.items() if now - one.used < EXPIRY}
        key = secrets.token_hex(8)
        self._leases[key] = Lease(self._lane)
        return key, f"replica on {platform.node()}, process {os.getpid()}"

    async def call(self, key: str, data: bytes) -> bytes | None:
        """The answer and the error of a method of `child.Calls`, for its name and arguments."""
        lease = self._find(key)
        if lease is None:
            return None
        answer = await asyncio.wrap_future(self._compute(lease, *lease.codec.decode(data)))
        return bytes(lease.codec.encode(answer))

    async def run(self, key: str, data: bytes) -> AsyncIterator[bytes]:
        """The events of a run, each with None, or None with the error that ends it; for its number and request."""
        lease = self._find(key)
        if lease is None:
            return
        number, request = lease.codec.decode(data)
        flow = lease.flows[number] = Flow()
        made = 0
        try:
            await asyncio.wrap_future(self._compute(lease, "begin", (number, request)))
            step = self._compute(lease, "step", (number, None))
            while True:
                event, error = answer = await asyncio.wrap_future(step)
                over = error is not None or isinstance(event, Finished)
                if not over:
                    made += 1
                    await flow.wait(made)
                    step = self._compute(lease, "step", (number, flow.stop or None))  # while the event is being sent
                yield bytes(lease.codec.encode(answer))
                if over:
                    return
        finally:  # also if the front has cancelled the stream
            del lease.flows[number]
            self._compute(lease, "end", (number,))

    async def note(self, key: str, number: int, seen: int, stop: bool) -> None:
        """How many events of a run the front has seen. stop: it wants the best picture so far."""
        lease = self._find(key)
        if lease is not None and number in lease.flows:
            lease.flows[number].note(seen, stop)

    async def check_health(self) -> None:
        """Serve calls this: a process that does not answer is replaced."""

    def _find(self, key: str) -> Lease | None:
        lease = self._leases.get(key)
        if lease is not None:
            lease.used = time.monotonic()
        return lease

    def _compute(self, lease: Lease, name: str, arguments: tuple[Any, ...]) -> Future[Answer]:
        return self._thread.submit(lease.calls.answer, name, arguments)


class LaneRouter(RequestRouter):
    """Gives each session, which is a lane of a front, a replica of its own for as long as the replica lives.

    A session that finds no free replica waits, which makes Serve add one if its autoscaling allows that.
    bound: replica by session, of this process. Who closes a session removes it.
    """

    bound: ClassVar[dict[str, str]] = {}

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> Sequence[list[RunningReplica]]:
        """As in the base class."""
        by_id = {replica.replica_id.unique_id: replica for replica in candidate_replicas}
        if pending_request is None:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True  # if there is no replica
        session = pending_request.metadata.session_id
        if self.bound.get(session) not in by_id:
            taken = {replica for other, replica in self.bound.items() if other != session}
            free = next((key for key in by_id if key not in taken), None)
            if free is None:
                return []
            self.bound[session] = free
        return [[by_id[self.bound[session]]]]


def build(args: dict[str, str]) -> serve.Application:
    """The application, for `serve run`. args: those of `Replica`; replicas: their number, if no file configures it."""
    args, replicas = dict(args), args.get("replicas")
    args.pop("replicas", None)
    options: dict[str, Any] = {**CHECKED, "max_ongoing_requests": 64, "graceful_shutdown_timeout_s": 1.0}
    options["logging_config"] = {"enable_access_log": False}  # a line for each call
    options |= {} if replicas is None else {"num_replicas": int(replicas)}
    router = RequestRouterConfig(request_router_class=LaneRouter)
    return serve.deployment(name="Lane", request_router_config=router, **options)(Replica).bind(**args)
