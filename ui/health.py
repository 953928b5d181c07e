"""Health checks for the operator of the server: whether it is running, and whether its model is loaded."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class Health:
    """ASGI middleware: /healthz is answered 200, /readyz 200 or, until `ready`, 503. Neither needs a login."""

    def __init__(self, app: ASGIApp, ready: Callable[[], bool]) -> None:
        self.app, self.ready = app, ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path not in ("/healthz", "/readyz"):
            await self.app(scope, receive, send)
            return
        good = path == "/healthz" or self.ready()
        await PlainTextResponse("ok" if good else "loading", 200 if good else 503)(scope, receive, send)
