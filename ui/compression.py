"""Compression of static files, once, and of event streams, as they are sent."""

from __future__ import annotations

import gzip
import zlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.answers import answer_of, body_of
from ui.frontend import corrected

FOLDERS = ("/assets/", "/static/")  # of Gradio's files, which do not change while the server runs
KEEP = "public, max-age=31536000, immutable"  # names under /assets/ hold a hash of the file
MEMORY = 32 * 2**20  # bytes of compressed files that are kept


class CompressedFiles:
    """ASGI middleware: Gradio's own files are compressed at their first request, and then come from memory."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._kept: dict[str, tuple[Message, bytes]] = {}
        self._size = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" and scope["method"] == "GET" else ""
        other = not any(folder in path for folder in FOLDERS) or not _takes_gzip(scope)
        if other or "range" in Headers(scope=scope):
            await self.app(scope, receive, send)
            return
        if path not in self._kept:
            messages = await answer_of(self.app, _plain(scope), receive)
            start, body = messages[0], body_of(messages)
            if start["status"] != 200 or self._size + len(body) > MEMORY:
                for message in messages:
                    await send(message)
                return
            self._keep(path, start, corrected(path, body))
        start, body = self._kept[path]
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def _keep(self, path: str, start: Message, body: bytes) -> None:
        headers = MutableHeaders(raw=list(start["headers"]))
        packed = gzip.compress(body, 9, mtime=0)
        if len(packed) < len(body):
            headers["content-encoding"], body = "gzip", packed
        if "/assets/" in path:
            headers["cache-control"] = KEEP
        headers["vary"], headers["content-length"] = "Accept-Encoding", str(len(body))
        self._kept[path] = ({**start, "headers": headers.raw}, body)
        self._size += len(body)


class CompressedEvents:
    """ASGI middleware: event streams are compressed, and flushed after every event."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listens = scope["type"] == "http" and _takes_gzip(scope)
        await self.app(scope, receive, _packed(send) if listens else send)


def _packed(send: Send) -> Send:
    """`send`, compressing the body if it is an event stream."""
    packer = None

    async def pack(message: Message) -> None:
        nonlocal packer
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message["headers"]))
            if headers.get("content-type", "").startswith("text/event-stream"):
                packer = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
                headers["content-encoding"], headers["vary"] = "gzip", "Accept-Encoding"
                message = {**message, "headers": headers.raw}
        elif message["type"] == "http.response.body" and packer is not None:
            body = packer.compress(message.get("body", b""))
            body += packer.flush(zlib.Z_SYNC_FLUSH if message.get("more_body") else zlib.Z_FINISH)
            message = {**message, "body": body}
        await send(message)

    return pack


def _takes_gzip(scope: Scope) -> bool:
    return "gzip" in Headers(scope=scope).get("accept-encoding", "")


def _plain(scope: Scope) -> Scope:
    """The request without conditions, so that the answer is the whole file, as it is."""
    dropped = (b"if-none-match", b"if-modified-since", b"accept-encoding")
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name not in dropped]}
