"""Lanes on replicas of Ray Serve, see `deployment`. Needs `ray`, see requirements-ray.txt."""

from __future__ import annotations

import itertools
import os
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from inversion.serving.engines.remote import RemoteLane
from inversion.serving.engines.transfer import Codec
from inversion.serving.lane import Lane
from inversion.serving.runs import Event, Finished, LaneError, LaneLost, Request

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

APPLICATION = "inversion"  # as in ray.yaml
LANES = 8  # of a front; those without a replica only wait
DEPLOYED = 120.0  # seconds for an application to be imported
START = 60.0  # seconds for a replica to become free
PATIENCE = 600.0  # seconds for the answer of a call; Serve ends a replica that hangs earlier
NO_REPLICA = "No replica of Ray Serve is free. Please try again in a minute."
LOST = "The replica that computes has ended. Please try again."
SEEN_EVERY = 3  # events after which a replica is told that they were seen


def lanes(device: str, dtype: str, count: int | None = None) -> list[Lane]:
    """Lanes on the replicas of a running application, which knows device and dtype. Raises LaneError.

    count: at most so many replicas are used.
    """
    try:
        import ray
        from ray.serve.exceptions import RayServeException
    except ImportError:
        raise LaneError("--engine ray needs Ray. Install it with: pip install -r requirements-ray.txt") from None
    try:
        if not ray.is_initialized():
            address = os.environ.get("RAY_ADDRESS", "auto")
            ray.init(address, namespace="inversion", logging_level="WARNING", log_to_driver=False)
        handle = _application()
    except ConnectionError:
        raise LaneError("There is no Ray cluster. Start one with: ray start --head") from None
    except RayServeException:
        raise LaneError(f"Ray Serve has no application {APPLICATION}. Start it with: serve run ray.yaml") from None
    opening, front = threading.Lock(), uuid.uuid4().hex
    return [RayLane(handle, f"{front}-{number}", opening) for number in range(count or LANES)]


def _application() -> DeploymentHandle:
    """The application; `serve run --non-blocking` returns while it is being deployed. Raises RayServeException."""
    from ray import serve
    from ray.serve.exceptions import RayServeException

    end = time.monotonic() + DEPLOYED
    while True:
        try:
            return serve.get_app_handle(APPLICATION)
        except RayServeException:
            found = serve.status().applications.get(APPLICATION)
            if found is None or found.status not in ("NOT_STARTED", "DEPLOYING") or time.monotonic() > end:
                raise
        time.sleep(0.2)


class RayLane(RemoteLane):
    """A lane on a replica. session: a name of this lane, to which the replica is bound.

    opening: a lock of all lanes of this front, so that Serve is asked for one more replica at a time.
    """

    def __init__(self, handle: DeploymentHandle, session: str, opening: threading.Lock) -> None:
        super().__init__("cpu")
        self._handle, self._session = handle.options(session_id=session), session
        self._opening = opening
        self._lease: str | None = None
        self._place = ""
        self._asked: Any = None  # the response that `open` waits for
        self._codec = Codec(keeps=False)
        self._runs = itertools.count()

    @property
    def opened(self) -> bool:
        """Whether it has a replica, as far as is known."""
        return self._lease is not None

    @property
    def warms(self) -> bool:
        """Replicas load their models when they start."""
        return False

    def place(self) -> str:
        """The machine and the process of the replica, in words."""
        return "no replica" if self._lease is None else self._place

    def open(self) -> None:
        """Wait for a replica that is free. Raises LaneLost."""
        if self._lease is not None:
            return
        with self._opening:
            self._asked = response = self._handle.open.remote()
            try:
                (self._lease, self._place), self._codec = response.result(timeout_s=START), Codec(keeps=False)
            except Exception:  # of many classes: no replica in time, or it ended
                response.cancel()
                raise LaneLost(NO_REPLICA) from None
            finally:
                self._asked = None

    def close(self) -> None:
        """Forget the replica, which ends the lease later. A call of `open` in another thread ends."""
        from inversion.serving.engines.deployment import LaneRouter

        LaneRouter.bound.pop(self._session, None)
        self._lease, asked = None, self._asked
        if asked is not None:
            asked.cancel()

    def __call__(self, request: Request) -> Generator[Event, bool | None, None]:
        """As in `Lane`. Raises UserError and LaneLost."""
        self.open()
        lease, run, seen = self._lease, next(self._runs), 0
        data = bytes(self._codec.encode((run, request)))
        stream = self._handle.options(stream=True, method_name="run").remote(lease, data)
        try:
            while True:
                if self._lease != lease:  # it was lost in another run, and this run with it
                    raise LaneLost(LOST, blameless=True)
                event = self._next(stream)
                seen += 1
                stop = yield event
                if isinstance(event, Finished):
                    return
                if stop or seen % SEEN_EVERY == 0:
                    self._handle.note.remote(lease, run, seen, bool(stop))
        finally:
            with suppress(Exception):  # the replica, or Ray, has ended
                stream.cancel()

    def _next(self, stream: Any) -> Event:  # noqa: ANN401 - a DeploymentResponseGenerator
        """The next event of a run. Raises its error, or LaneLost."""
        try:
            data = next(stream)
        except Exception:  # of many classes: the replica ended, or does not know the lease
            self._lose()
        event, error = self._codec.decode(data)
        if error is not None:
            raise error
        return event

    def _call(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - as in `RemoteLane`
        self.open()
        data = bytes(self._codec.encode((name, arguments)))
        try:
            packed = self._handle.call.remote(self._lease, data).result(timeout_s=PATIENCE)
        except Exception:  # of many classes: the replica ended
            self._lose()
        if packed is None:
            self._lose()
        answer, error = self._codec.decode(packed)
        if error is not None:
            raise error
        return answer

    def _lose(self) -> NoReturn:
        """Forget the replica. Raises LaneLost."""
        self._lease = None
        raise LaneLost(LOST) from None
