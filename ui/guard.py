"""Refuses requests that the page never sends: from foreign origins, without a length, or too large."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware. Gradio's CORS layer only withholds a response header; this one stops the request itself.

    limit: bytes of one request, with all its files. uploads: of an upload, if that is another limit.
    """

    def __init__(self, app: ASGIApp, limit: int, uploads: int | None = None) -> None:
        self.app, self.limit, self.uploads = app, limit, limit if uploads is None else uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE:
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        limit = self.uploads if scope["path"].endswith("/upload") else self.limit
        refusal = self.refusal(headers, limit)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        await self.app(scope, _counted(receive, int(headers.get("content-length", 0))), send)

    @staticmethod
    def refusal(headers: dict[str, str], limit: int) -> tuple[int, str] | None:
        """Status and reason, or None for a request that may pass."""
        origin = headers.get("origin")
        # Names of the host that the browser meant. A foreign page cannot set them without our consent (CORS preflight).
        own = {headers.get("host", ""), headers.get("x-forwarded-host", "")} - {""}
        if origin is not None and urlsplit(origin).netloc not in own:
            return 403, "This request comes from another site."
        length = headers.get("content-length")
        if length is None or not length.isdigit():
            return 411, "The length of the request is missing."
        if int(length) > limit:
            return 413, f"The request is larger than {limit // 2**20} MB."
        return None


def _counted(receive: Receive, length: int) -> Receive:
    """The body of the request, cut off after `length` bytes, so that a false length cannot exceed the limit."""
    left = length

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return message if left >= 0 else {"type": "http.disconnect"}

    return counted


async def _answer(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"detail": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
