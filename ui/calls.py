"""Checks the form of a call before Gradio reads it, and makes every error answer one short line of JSON."""

from __future__ import annotations

import errno
import json
import logging
import re
from collections.abc import Mapping
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inversion.common.echo import brief
from ui.parts.arguments import short
from ui.parts.values import Value

LONGEST_BODY = 2**20  # bytes of a call; files come by uploads
DEEPEST = 32  # levels of lists and objects in a call
CALLS = re.compile(r"/gradio_api/(?P<kind>queue/join|call/v2|call|run|api|cancel|reset)(/(?P<name>.*?))?/?$")
REQUIRED = {"cancel": ("session_hash", "fn_index", "event_id"), "reset": ("event_id",)}
SENTENCES = {  # status -> what an answer says whose own text is not for users
    400: "The server could not read this request.",
    401: "Log in first.",
    404: "There is nothing at this address.",
    405: "This address does not take requests of this kind.",
    413: "The request is too large.",
    503: "The server is busy. Try again later.",
}
UNEXPECTED = "Something went wrong on the server. Check the request and try again."
DISK_FULL = "The disk of the server is full. Try again later, or tell its operator."


class Refusal(Exception):
    """A call that does not have the form of one: status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Target(NamedTuple):
    """What a call may address. parameters: of each public endpoint. events: numbers of those that run on the server."""

    parameters: Mapping[str, list[str]]
    events: frozenset[int]


class Calls:
    """ASGI middleware. Refuses calls whose form is wrong; other errors get a sentence, and no stack or echo."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        explained = _Explained(send)
        try:
            found = CALLS.search(scope["path"]) if scope["method"] == "POST" else None
            if found is not None:
                body = await _read(receive)
                page = scope["app"].get_blocks()
                parameters = {one.name: list(one.inputs) for one in page.endpoints}
                events = frozenset(number for number, event in page.fns.items() if event.fn is not None)
                check_call(found, Headers(scope=scope), body, Target(parameters, events))
                receive = _replayed(body, receive)
            await self.app(scope, receive, explained.send)
        except Refusal as refusal:
            await JSONResponse({"detail": short(str(refusal))}, refusal.status)(scope, receive, send)
        except Exception as error:
            # The client has left; or Gradio ends the stream of an unknown session.
            if not isinstance(error, ClientDisconnect) and not isinstance(error.__cause__, HTTPException):
                logging.getLogger(__name__).exception("%s %s", scope["method"], short(scope["path"]))
            if explained.over:  # a task after the answer has failed
                return
            if explained.started:
                await send({"type": "http.response.body", "body": b""})
            else:
                full = disk_is_full(error)
                await JSONResponse({"detail": DISK_FULL if full else UNEXPECTED}, 507 if full else 500)(
                    scope, receive, send
                )


def disk_is_full(error: BaseException) -> bool:
    """Whether an error says so."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def check_call(found: re.Match[str], headers: Mapping[str, str], body: bytes, target: Target) -> None:
    """Raises Refusal if the call at the address `found` by CALLS cannot be meant for the target."""
    kind, name = found["kind"], found["name"] or ""
    known = ", ".join(target.parameters)
    if kind.startswith("call") and name not in target.parameters:
        raise Refusal(404, f"There is no endpoint {brief(name)}. Choose one of: {known}.")
    if "json" not in headers.get("content-type", ""):
        raise Refusal(415, "Send JSON, with the header Content-Type: application/json.")
    call = _parsed(body)
    if kind == "call/v2":
        _check_names(call, target.parameters[name])
        return
    _check_fields(call, target.events)
    missing = [field for field in REQUIRED.get(kind, ()) if call.get(field) is None]
    if missing:
        raise Refusal(400, f"{missing[0]} is missing.")
    if kind in ("run", "api") and call.get("fn_index") is None and name not in target.parameters:
        raise Refusal(404, f"There is no endpoint {brief(name)}. Choose one of: {known}.")
    if kind not in ("cancel", "reset") and "data" not in call:
        raise Refusal(400, "data is missing. It must be the list of the arguments.")


def _parsed(body: bytes) -> dict[str, Value]:
    """The JSON object of a call."""
    if len(body) > LONGEST_BODY:
        raise Refusal(413, f"A call may have at most {LONGEST_BODY // 2**20} MB. Upload files first.")
    try:
        call = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "The body of the request is not JSON.") from None
    if not isinstance(call, dict):
        raise Refusal(400, f"The body of the request must be an object, not {brief(call)}.")
    level: list[Value] = [call]
    for _ in range(DEEPEST):
        level = [part for one in level for part in _parts(one)]
    if level:
        raise Refusal(400, f"The arguments may have at most {DEEPEST} levels of lists and objects.")
    return call


def _parts(value: Value) -> list[Value]:
    """The lists and objects directly inside a list or an object."""
    inside = value.values() if isinstance(value, dict) else value
    return [one for one in inside if isinstance(one, dict | list)]


def _check_names(call: Mapping[str, Value], names: list[str]) -> None:
    unknown = [name for name in call if name not in names]
    if unknown:
        raise Refusal(400, f"There is no parameter {brief(unknown[0])}. Choose from: {', '.join(names)}.")
    if names[0] not in call:
        raise Refusal(400, f"{names[0]} is missing.")


def _check_fields(call: Mapping[str, Value], events: frozenset[int]) -> None:
    """Fields of Gradio's calls that are not arguments. None stands for a missing field."""
    for name in ("session_hash", "event_id"):
        value = call.get(name)
        if value is not None and not (isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()):
            raise Refusal(400, f"{name} must be text of 1 to 200 printable characters, not {brief(value)}.")
    for name in ("fn_index", "trigger_id"):
        value = call.get(name)
        if value is not None and (type(value) is not int or (name == "fn_index" and value not in events)):
            raise Refusal(400, f"{name} must be the number of an event of the page, not {brief(value)}.")
    for name in ("simple_format", "batched"):
        value = call.get(name)
        if value not in (None, False, True):
            raise Refusal(400, f"{name} must be true or false, not {brief(value)}.")
    if "data" in call and not isinstance(call["data"], list):
        raise Refusal(400, f"data must be the list of the arguments, not {brief(call['data'])}.")


async def _read(receive: Receive) -> bytes:
    """The body, cut after LONGEST_BODY + 1 bytes. The rest is read, too: a client that still sends sees no answer."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        del body[LONGEST_BODY + 1 :]
        if not message.get("more_body"):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` with the body that has been read."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


class _Explained:
    """`send`, with a sentence in place of an error answer that is long or has another form."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""
        self.started = self.over = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._start = message
        elif self._start is None:
            self.started = True
            self.over = message["type"] == "http.response.body" and not message.get("more_body")
            await self._send(message)
        else:
            self._body = (self._body + message.get("body", b""))[: 4 * 2**10]
            if not message.get("more_body"):
                await self._answer(self._start)

    async def _answer(self, start: Message) -> None:
        status = 400 if start["status"] == 422 else start["status"]  # clients expect fields in the text of a 422
        body = json.dumps({"detail": _sentence(status, self._body)}).encode()
        headers = [(key, value) for key, value in start["headers"] if key not in (b"content-length", b"content-type")]
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        self.started = self.over = True
        await self._send({**start, "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _sentence(status: int, body: bytes) -> str:
    """The text of an error answer if it is one sentence, else one for its status."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, TypeError, KeyError, RecursionError):
        detail = None
    if isinstance(detail, str) and " " in detail and status < 500 or status == 503 and isinstance(detail, str):
        return short(detail)
    return SENTENCES.get(status, UNEXPECTED if status >= 500 else SENTENCES[400])
