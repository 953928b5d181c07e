"""Health checks for the operator of the server: whether it is running, and whether its model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class Health:
    """ASGI middleware: /healthz is answered 200, /readyz 200 or, until `ready`, 503. Neither needs a login.

    lanes: the states of the lanes, which /readyz lists.
    """

    def __init__(
        self, app: ASGIApp, ready: Callable[[], bool], lanes: Callable[[], Sequence[str]] = lambda: ()
    ) -> None:
        self.app, self.ready, self.lanes = app, ready, lanes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path not in ("/healthz", "/readyz"):
            await self.app(scope, receive, send)
            return
        good = path == "/healthz" or self.ready()
        lines = ["ok" if good else "loading"]
        if path == "/readyz":
            lines += [f"lane {number}: {state}" for number, state in enumerate(self.lanes())]
        await PlainTextResponse("\n".join(lines), 200 if good else 503)(scope, receive, send)
