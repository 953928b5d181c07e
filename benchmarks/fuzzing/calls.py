"""Calls of the page's API with wrong types and values, and how the server answers them.

An answer in words is one sentence of at most 300 characters without a stack or the name of a class. The same seed makes
the same calls.
"""

from __future__ import annotations

import json
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from benchmarks.common import table

RUN = 60.0  # seconds for the result of a good call, which runs a method
LONGEST_TEXT = 300  # characters of an error
LONGEST = 4096  # bytes of an answer with an error
CODE = re.compile(r"Traceback|File \"|<class|\b[A-Z]\w+(Error|Exception)\b|/site-packages/|\.py\b")
KINDS = ("result", "words", "no words", "no answer")
Values = dict[str, Any]  # arguments by the name of the parameter


@dataclass(frozen=True)
class Call:
    """One request. body: bytes, or what JSON stands for."""

    path: str
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """How a call was answered. kind: of KINDS. size: bytes of an error, 0 for a result. text: of the error."""

    path: str
    kind: str
    seconds: float
    size: int
    text: str
    sent: str


def nested(depth: int) -> list[Any]:
    """Lists inside lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def wrong_value(rng: random.Random) -> Any:  # noqa: ANN401 - of any type
    """A value that few parameters take."""
    number = rng.choice([-1, 0, 1, 1.5, 1e308, -1e308, 2**31, 2**64, 10**400, float("nan"), float("inf")])
    text = rng.choice(["", "3", "nan", "../../x", "/etc/passwd", "http://127.0.0.1/x.png", "w+w+w", "<b>x</b>", "\x00"])
    odd = rng.choice(["\ud800", "\x1b[31m", "é" * 300, "x" * 100_000, "data:image/png;base64,iVBORw0KGgo="])
    file = {"path": rng.choice([text, odd, None, 5]), "meta": {"_type": "gradio.FileData"}}
    deep = nested(rng.choice([5, 60, 200]))
    many = ["w"] * rng.choice([3, 100, 10_000])
    row: Values = {rng.choice([text, odd, "w.steps"]): rng.choice([number, text, None, {}, [], deep])}
    simple = rng.choice([None, True, False])
    return rng.choice([number, number, text, odd, file, deep, many, row, simple, [], {}, [number], [row], [None]])


class Caller:
    """Makes calls for a page at an address, whose endpoints it reads from the page's own description."""

    def __init__(self, url: str, seed: int) -> None:
        self.http = httpx.Client(base_url=url, timeout=RUN)
        self.rng = random.Random(seed)  # noqa: S311 - repeatable
        named = self.http.get("gradio_api/info").json()["named_endpoints"]
        self.defaults: dict[str, Values] = {
            name.strip("/"): {one["parameter_name"]: one.get("parameter_default") for one in info["parameters"]}
            for name, info in named.items()
        }
        self.events = [one["id"] for one in self.http.get("config").json()["dependencies"]]
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(file.name)
            path = self.http.post("gradio_api/upload", files={"files": Path(file.name).read_bytes()}).json()[0]
        self.picture = {"path": path, "meta": {"_type": "gradio.FileData"}}

    def good(self, name: str) -> Values:
        """Arguments with which the endpoint runs, briefly."""
        given = {**self.defaults[name], "picture": self.picture}
        short = {"methods": ["w"], "settings": {"w.steps": 2}, "budget": 5, "hole": "centre", "moves": {"yaw": 1}}
        return {**given, **{key: value for key, value in short.items() if key in given}}

    def calls(self, count: int) -> Iterator[Call]:
        """Random calls: seven of ten to endpoints, most of them with wrong arguments."""
        makers = [self.endpoint] * 7 + [self.event, self.named, self.malformed]
        for _ in range(count):
            yield self.rng.choice(makers)()

    def wrong(self, name: str) -> Values:
        """Arguments of an endpoint, up to three of them wrong."""
        given = self.good(name)
        for key in self.rng.sample(list(given), self.rng.choice([0, 1, 1, 1, 1, 2, 2, 3])):
            given[key] = wrong_value(self.rng)
        return given

    def endpoint(self) -> Call:
        """An endpoint by position, sometimes with more or fewer arguments."""
        name = self.rng.choice(list(self.defaults))
        data = list(self.wrong(name).values())
        extra = self.rng.choice([0] * 8 + [-1, 1])
        data = data[:extra] if extra < 0 else data + [None] * extra
        return _call(f"call/{name}", {"data": data})

    def named(self) -> Call:
        """An endpoint by the names of its parameters."""
        name = self.rng.choice(list(self.defaults))
        given = self.wrong(name)
        if self.rng.random() < 0.3:
            given[self.rng.choice(["steps", "", "\ud800", "x" * 1000])] = 1
        return _call(f"call/v2/{name}", given)

    def event(self) -> Call:
        """An event of the page with values that its controls do not have."""
        data = [wrong_value(self.rng) for _ in range(self.rng.randint(0, 12))]
        number = self.rng.choice(self.events)
        return _call("queue/join", {"data": data, "fn_index": number, "session_hash": self.session()})

    def session(self) -> str:
        """A name that no other call has."""
        return f"fuzz{self.rng.randrange(10**9)}"

    def malformed(self) -> Call:
        """A request that is no call."""
        rng, value = self.rng, wrong_value(self.rng)
        name = rng.choice(["call/reconstruct", "call/v2/reconstruct", "queue/join", "run/predict", "cancel", "reset"])
        unknown = rng.choice(["call/_private", "call/absent", "run/_private", "call/v2/absent", "call/", "api/x"])
        body = {"data": [], "fn_index": self.events[0], "session_hash": self.session()}
        field = rng.choice([*body, "trigger_id", "event_id", "batched", "simple_format"])
        large = b'{"data": ["' + b"x" * 10 * 2**20 + b'"]}'
        return rng.choice(
            [
                _call(unknown, {"data": []}),
                _call(name, {**body, field: value}),
                _call(name, value),
                _call(name, rng.choice([b"", b"{", b"\xff\xfe", b"NaN", b"[" * 5000, b"9" * 5000, large])),
                Call(f"gradio_api/{name}", b'{"data": []}', {"Content-Type": rng.choice(["", "text/plain", "a/b"])}),
            ]
        )

    def answered(self, call: Call) -> Outcome:
        """Send a call, and wait for its answer."""
        content = call.body if isinstance(call.body, bytes) else json.dumps(call.body).encode()
        began = time.perf_counter()
        try:
            answer = self.http.post(call.path, content=content, headers=dict(call.headers))
            kind, text, size = self._judged(call, answer, began + RUN)
        except httpx.HTTPError as error:
            kind, text, size = "no answer", type(error).__name__, 0
        return Outcome(
            call.path, kind, time.perf_counter() - began, size, text[:LONGEST], content[:2000].decode("latin-1")
        )

    def _judged(self, call: Call, answer: httpx.Response, deadline: float) -> tuple[str, str, int]:
        """Kind, text and size of an answer, and of the events that follow it."""
        if answer.is_error:
            return _kind(_field(answer.text, "detail")), answer.text, len(answer.content)
        event = answer.json().get("event_id") if answer.content.startswith(b"{") else None
        if event is None:
            return "result", "", 0
        joined = call.path.endswith("queue/join")
        path = f"queue/data?session_hash={call.body['session_hash']}" if joined else f"call/x/{event}"
        with self.http.stream("GET", f"gradio_api/{path}") as stream:
            name = ""
            for line in stream.iter_lines():
                if time.perf_counter() > deadline:
                    break
                name = line.removeprefix("event: ") if line.startswith("event: ") else name
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else None
                if joined and isinstance(message, dict):
                    name = _name(message)
                    message = message.get("output")
                if name == "complete" and message is not None:
                    return "result", "", 0
                if name == "error" and line.startswith("data: "):
                    text = message if isinstance(message, str) else _field(message, "error")
                    return _kind(text), line, len(line.encode())
        return "no answer", "", 0


def _call(path: str, body: Any) -> Call:  # noqa: ANN401 - what JSON stands for
    return Call(f"gradio_api/{path}", body, {"Content-Type": "application/json"})


def _name(message: Mapping[str, Any]) -> str:
    """The event of a message of the queue, as the simple calls name it."""
    if message.get("msg") in ("unexpected_error", "close_stream"):
        return "error"
    over = message.get("msg") == "process_completed"
    return ("complete" if message.get("success") else "error") if over else ""


def _field(answer: Any, name: str) -> str | None:  # noqa: ANN401 - JSON or its text
    """A text in an answer, None if it is missing."""
    try:
        found = json.loads(answer)[name] if isinstance(answer, str) else answer[name]
    except (ValueError, TypeError, KeyError):
        return None
    return found if isinstance(found, str) else None


def _kind(text: str | None) -> str:
    return "words" if text is not None and is_one_sentence(text) else "no words"


def is_one_sentence(text: str, longest: int = LONGEST_TEXT) -> bool:
    """Whether an error has the form of one for users: a short printable line of words, without code."""
    return " " in text and len(text) <= longest and text.isprintable() and not CODE.search(text)


def warm(url: str, seed: int = 0) -> list[Outcome]:
    """Call every endpoint of the page at the address once as it is meant, which loads the models that runs need."""
    caller = Caller(url, seed)
    return [caller.answered(_call(f"call/v2/{name}", caller.good(name))) for name in caller.defaults]


def attack(url: str, count: int, seed: int = 0, users: int = 1) -> list[Outcome]:
    """Make `count` calls to the page at the address, `users` at a time."""
    caller = Caller(url, seed)
    with ThreadPoolExecutor(users) as pool:
        return list(pool.map(caller.answered, caller.calls(count)))


def summary(outcomes: Sequence[Outcome]) -> str:
    """The figures as a Markdown table, and an example of each kind of answer without words."""
    counts = Counter(one.kind for one in outcomes)
    figures: list[tuple[str, object]] = [("calls", len(outcomes)), *((kind, counts[kind]) for kind in KINDS)]
    figures.append(("largest error, bytes", max((one.size for one in outcomes), default=0)))
    for label, kinds in (("error", KINDS[1:3]), ("result", KINDS[:1])):
        slowest = max((one.seconds for one in outcomes if one.kind in kinds), default=0)
        figures.append((f"slowest {label}, seconds", f"{slowest:.2f}"))
    bad = {(one.path, one.text[:60]): one for one in outcomes if one.kind in ("no words", "no answer")}
    lines = [f"{one.kind}: {one.path} {one.text[:200]!r} after {one.sent[:300]!r}" for one in bad.values()]
    return "\n".join([table(("figure", "value"), figures), *lines])
