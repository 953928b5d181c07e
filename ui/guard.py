"""Lets through what the page sends, and nothing else: by name of the host, address, origin, length, rate and time.

Gradio's CORS layer only withholds a response header; this stops the request itself.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import math
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inversion.serving.limits import HOUR, MB, WebLimits

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
API = "/gradio_api"
# All that the page and its clients ask for. Gradio offers more: schemas, monitoring, a proxy, other people's addresses.
READS = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|pwa_icon(/\d+)?|logout|healthz|readyz)/?"
    r"|/(catalogue|agents\.md|languages/\w+\.js)"
    r"|/(assets|static)/.*"
    rf"|{API}/(info|user|token|login_check|app_id|startup-events|theme\.css|queue/data|queue/status|upload_progress)/?"
    rf"|{API}/heartbeat/[\w-]+|{API}/call/(v2/)?\w+/\w+"
    rf"|{API}/file=(/(?!/)|[A-Za-z]:[/\\]).*"
)
WRITES = re.compile(
    rf"/login/?|{API}/(upload|queue/join|cancel|reset|component_server)/?|{API}/call/(v2/)?[^/]+/?|{API}/run/predict/?"
)
TOOLS = re.compile(rf"{API}/mcp(/.*)?")  # if the page offers tools
SOURCES = "'self' data: blob:"
# Gradio's page holds scripts and makes functions of text, so these two are allowed; other sites are not.
POLICY = (
    f"default-src {SOURCES}; script-src {SOURCES} 'unsafe-inline' 'unsafe-eval'; style-src {SOURCES} 'unsafe-inline'; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
FRAMES = "https://huggingface.co https://*.huggingface.co https://*.hf.space"  # sites that show a Space in a frame
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(self), geolocation=(), microphone=()",
}
FILE_POLICY = "sandbox; default-src 'none'; frame-ancestors 'self'"  # of uploads and results: no script runs
# Addresses of files that hold a hash of the content: the same picture is sent to a browser once.
NAMED = re.compile(rf"^{API}/file=.*[/\\][0-9a-f]{{64}}[/\\]")
FILE_KEPT = "private, max-age=3600, immutable"
KNOWN = 4096  # addresses that are remembered
Refusal = tuple[int, str]  # HTTP status and sentence


class Guard:
    """ASGI middleware. hosts: names under which the page is served, "*.x" for all names below x.

    Addresses of networks are always allowed: no other site can make a browser send them as the name of the host.
    uploads: bytes of one upload if that is another limit. framed: sites of Hugging Face may show the page in a frame.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: WebLimits,
        hosts: Collection[str] = (),
        uploads: int | None = None,
        framed: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app, self.limits, self.clock = app, limits, clock
        self.hosts = frozenset({"localhost", "*.localhost", *hosts})
        self.longest_upload = limits.body if uploads is None else uploads
        self.headers = {**HEADERS, "content-security-policy": POLICY + (f" {FRAMES}" if framed else "")}
        self.visitors: OrderedDict[str, Visitor] = OrderedDict()  # by address, the most recent one last
        self.uploaded = Sum(limits.uploads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/")) or "/"
        visitor = self._visitor(scope)
        answer = Answer(send, {**self.headers, **(_of_file() if path.startswith(f"{API}/file=") else {})})
        answer.kept = NAMED.search(path) is not None
        tools = TOOLS.fullmatch(path) is not None and _offers_tools(scope)
        method = scope["method"]
        refusal = self.refusal(method, path, headers, tools) or self.overload(method, path, headers, visitor)
        if refusal is not None:
            await answer.refuse(*refusal)
            return
        visitor.open += 1
        try:
            length = int(headers["content-length"]) if scope["method"] not in SAFE else 0
            await self.app(scope, self._body(receive, length, answer), answer.send)
        finally:
            visitor.open -= 1

    def refusal(self, method: str, path: str, headers: Mapping[str, str], tools: bool) -> Refusal | None:
        """Why the request has no form that the page sends; None for one that may pass. tools: it is meant for them."""
        host = headers.get("host", "")
        if not self.serves(host):
            return 403, f"This server is not known as {host[:80]!r}. Start it with --host-name and this name."
        if not (tools or (READS if method in SAFE else WRITES).fullmatch(path)):
            called = path.startswith((f"{API}/run/", f"{API}/api/"))
            return 404, f"Join the queue, by {API}/call/." if called else "There is nothing at this address."
        if method in SAFE:
            return None
        origin = headers.get("origin")
        # Names of the host that the browser meant. A foreign page cannot set them without our consent (CORS preflight).
        if origin is not None and urlsplit(origin).netloc not in {host, headers.get("x-forwarded-host", "")} - {""}:
            return 403, "This request comes from another site."
        length = headers.get("content-length")
        if length is None or not (length.isascii() and length.isdigit()):
            return 411, "The length of the request is missing."
        limit = self.longest_upload if _uploads(path) else self.limits.body
        return (413, f"The request is larger than {limit // MB} MB.") if int(length) > limit else None

    def overload(self, method: str, path: str, headers: Mapping[str, str], visitor: Visitor) -> Refusal | None:
        """Why the request comes at a wrong time; None for one that may pass, which is then counted."""
        limits, now = self.limits, self.clock()
        if limits.open_each is not None and visitor.open >= limits.open_each:
            return 429, "Too many requests of your address are open. Close some windows of this page."
        if method in SAFE:
            return None
        wait = visitor.pace.wait(now)
        if wait > 0:
            return 429, f"Too many requests from your address. Try again in {math.ceil(wait)} s."
        if _uploads(path):
            size = int(headers["content-length"])
            for total in (visitor.uploaded, self.uploaded):
                if not total.fits(size, now):
                    whose = "your address" if total is visitor.uploaded else "all visitors"
                    return 429, f"The uploads of {whose} exceed {total.limit // MB} MB in an hour. Try again later."
            visitor.uploaded.add(size, now)
            self.uploaded.add(size, now)
        return None

    def serves(self, host: str) -> bool:
        """Whether the page is served under this name; a port may stand behind it."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        parts = name.split(".")
        below = {f"*.{'.'.join(parts[i:])}" for i in range(1, len(parts))}
        return _network(name) is not None or not self.hosts.isdisjoint({name, "*", *below})

    def _visitor(self, scope: Scope) -> Visitor:
        """What is known of the address of a request."""
        address = str(scope.get("client", ("",))[0])
        address = _network(address) or address
        visitor = self.visitors.pop(address, None) or Visitor(self.limits)
        self.visitors[address] = visitor
        while len(self.visitors) > KNOWN:
            self.visitors.popitem(last=False)
        return visitor

    def _body(self, receive: Receive, length: int, answer: Answer) -> Receive:
        """The body of the request: cut off after `length` bytes, so that a false length cannot exceed the limit; and
        given up if it is slow."""
        left, end = length, self.clock() + self.limits.seconds + length / self.limits.slowest

        async def counted() -> Message:
            nonlocal left
            if left <= 0:  # the body has ended: only the end of the connection is still awaited
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, end - self.clock()))
            except TimeoutError:
                answer.instead = (408, "The request was sent too slowly. Try again.")
                return {"type": "http.disconnect"}
            left -= len(message.get("body", b""))
            return message if left >= 0 else {"type": "http.disconnect"}

        return counted


class Answer:
    """The answer to one request, with the headers that every answer has.

    instead: what to answer in its place. kept: the browser may keep it, if it is a whole file or a part of one.
    """

    def __init__(self, send: Send, headers: Mapping[str, str]) -> None:
        self._send = send
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self.instead: Refusal | None = None
        self.kept = False
        self._started = self._over = False

    async def send(self, message: Message) -> None:
        """As of ASGI."""
        if self.instead is not None and not self._started:
            await self.refuse(*self.instead)
        if self._over:
            return
        if message["type"] == "http.response.start":
            self._started = True
            own = {name for name, _ in self._headers}
            others = [(name, value) for name, value in message["headers"] if name.lower() not in own]
            found = self.kept and message["status"] in (200, 206)
            kept = [(b"cache-control", FILE_KEPT.encode())] if found else []
            message = {**message, "headers": [*others, *self._headers, *kept]}
        await self._send(message)

    async def refuse(self, status: int, sentence: str) -> None:
        """Answer with a sentence."""
        self._started = self._over = True
        body = json.dumps({"detail": sentence}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += [(b"connection", b"close")] if status == 408 else []
        start = {"type": "http.response.start", "status": status, "headers": [*headers, *self._headers]}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


class Visitor:
    """What one address has used."""

    def __init__(self, limits: WebLimits) -> None:
        self.open = 0  # requests that are being answered
        self.pace = Pace(limits.posts_each, limits.burst_each)
        self.uploaded = Sum(limits.uploads_each)


class Pace:
    """A rate per second with bursts (a token bucket). None: no limit."""

    def __init__(self, rate: float | None, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self._left, self._at = float(burst), -math.inf

    def wait(self, now: float) -> float:
        """Count one request. Seconds until it would be allowed, 0 if it is allowed now."""
        if self.rate is None:
            return 0.0
        self._left = min(float(self.burst), self._left + self.rate * (now - self._at))
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self.rate
        self._left -= 1
        return 0.0


class Sum:
    """Bytes within the last hour, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit, self._total = limit, 0
        self._parts: deque[tuple[float, int]] = deque()  # (time, bytes)

    def fits(self, size: int, now: float) -> bool:
        """Whether so many more bytes stay below the limit."""
        while self._parts and self._parts[0][0] <= now - HOUR:
            self._total -= self._parts.popleft()[1]
        return self._total + size <= self.limit

    def add(self, size: int, now: float) -> None:
        """Count bytes."""
        self._parts.append((now, size))
        self._total += size


def _network(address: str) -> str | None:
    """The address of one visitor: all of IPv4, the network of IPv6, of which anybody has many. None: no address."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return None
    return str(ipaddress.ip_network((known, 32 if known.version == 4 else 64), strict=False))


def _offers_tools(scope: Scope) -> bool:
    page = getattr(scope.get("app"), "blocks", None)
    return bool(getattr(page, "mcp_server", False))


def _uploads(path: str) -> bool:
    return path.rstrip("/") == f"{API}/upload"


def _of_file() -> dict[str, str]:
    return {"content-security-policy": FILE_POLICY}
