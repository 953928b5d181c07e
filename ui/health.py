"""What the server knows about itself: whether its model is loaded, and whether somebody has opened the page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

EXPECTED = 1.0  # seconds within which a visitor comes who waited for the server
OPENING = 2.0  # seconds that the page needs in a browser


@dataclass
class State:
    """What the app and the health checks share.

    lanes: the states of the lanes, which /readyz lists. ready: the models are loaded. visited: a request came.
    """

    lanes: Callable[[], Sequence[str]] = tuple
    ready: threading.Event = field(default_factory=threading.Event)
    visited: threading.Event = field(default_factory=threading.Event)

    def let_the_page_open(self) -> None:
        """Wait for a first visitor, if one comes at once, until the page is open.

        Loading a model meanwhile would take the processor from the server and from a browser on the same machine. The
        open page asks for its model by itself, so such a visitor does not wait for the end of this.
        """
        if self.visited.wait(EXPECTED):
            time.sleep(OPENING)


class Health:
    """ASGI middleware: /healthz is answered 200, /readyz 200 or, until the state is ready, 503. Neither needs a login.

    Every other request is a visit.
    """

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app, self.state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path not in ("/healthz", "/readyz"):
            if path:
                self.state.visited.set()
            await self.app(scope, receive, send)
            return
        good = path == "/healthz" or self.state.ready.is_set()
        lines = ["ok" if good else "loading"]
        if path == "/readyz":
            lines += [f"lane {number}: {state}" for number, state in enumerate(self.state.lanes())]
        await PlainTextResponse("\n".join(lines), 200 if good else 503)(scope, receive, send)
