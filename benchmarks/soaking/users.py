"""Users of a running hub: they run methods, cancel, close their tabs, and upload damaged files."""

from __future__ import annotations

import json
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.fuzzing import seeds
from benchmarks.fuzzing.calls import is_one_sentence
from benchmarks.fuzzing.mutations import mutated
from benchmarks.soaking.server import ROOT

HUNG = 180.0  # seconds without an end, after which a job counts as hung
LATE = 20.0  # seconds from a cancel to the end of its event
THINK = 1.0  # longest pause of a user, in seconds
STEPS = {"w.steps": 20}
RUNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("reconstruct", {"methods": ["w"], "settings": STEPS}),
    ("reconstruct", {"methods": ["psp", "e4e"]}),
    ("superres", {"methods": ["w"], "settings": STEPS, "factor": 4}),
    ("inpaint", {"methods": ["w"], "settings": STEPS, "hole": "centre"}),
    ("colorize", {"methods": ["psp"]}),
    ("edit", {"methods": ["psp"], "moves": {"yaw": 1}}),
)


@dataclass(frozen=True)
class Wait:
    """A run that ended. queue: open jobs while it was, at most and itself included. alone: its seconds alone."""

    seconds: float
    queue: int
    alone: float

    @property
    def ratio(self) -> float:
        """The wait in units of the queue times the time of the job alone."""
        return self.seconds / (self.queue * self.alone)


@dataclass
class Figures:
    """What happened. open: jobs that the server has now. overhead: seconds of a job beside its computing."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    counts: Counter[str] = field(default_factory=Counter)
    waits: list[Wait] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    open: int = 0
    overhead: float = 0.5

    def note(self, name: str, problem: str = "") -> None:
        """Count something. problem: what is wrong with it."""
        with self.lock:
            self.counts[name] += 1
            if problem:
                self.problems.append(f"{name}: {problem[:300]}")

    @contextmanager
    def job(self) -> Iterator[None]:
        """A context in which one more job is open."""
        with self.lock:
            self.open += 1
        try:
            yield
        finally:
            with self.lock:
                self.open -= 1

    def abandon(self, seconds: float) -> None:
        """One more job is open for about so many seconds, and nobody follows it."""

        def wait() -> None:
            with self.job():
                time.sleep(seconds)

        threading.Thread(target=wait, daemon=True).start()


class User:
    """Someone who uses the endpoints of the page, until the time is over."""

    def __init__(self, url: str, seed: int, figures: Figures, end: float) -> None:
        self.http = httpx.Client(base_url=url, timeout=HUNG)
        self.rng = random.Random(seed)  # noqa: S311 - repeatable
        self.figures, self.end = figures, end
        self.pictures = [path.read_bytes() for path in sorted((ROOT / "ui" / "examples").glob("face-1*.png"))]
        self.damaged = [*seeds.pictures(), *seeds.codes()]
        self.actions = {self.run: 0.75, self.cancel: 0.10, self.close_tab: 0.10, self.attack: 0.05}
        config = self.http.get("config").json()["dependencies"]
        self.events = {one["api_name"]: one["id"] for one in config if one["api_name"]}
        info = self.http.get("gradio_api/info").json()["named_endpoints"]
        self.parameters = {
            name.strip("/"): {one["parameter_name"]: one.get("parameter_default") for one in found["parameters"]}
            for name, found in info.items()
        }

    def use(self) -> None:
        """Do one thing after the other."""
        while time.monotonic() < self.end:
            action = self.rng.choices(list(self.actions), list(self.actions.values()))[0]
            try:
                action()
            except httpx.HTTPError as error:
                self.figures.note("no answer", f"{action.__name__}: {type(error).__name__} {error}")
                time.sleep(1)
            time.sleep(self.rng.uniform(0, THINK))

    def calibrate(self) -> None:
        """Run everything twice, alone, and learn how long a job takes beside its computing."""
        for name, given in (*RUNS, *RUNS):
            self._follow(name, given)
        waits, self.figures.waits = self.figures.waits[len(RUNS) :], []
        self.figures.overhead += statistics.median(wait.seconds - wait.alone for wait in waits)
        self.figures.counts.clear()

    def run(self) -> None:
        """Run methods on a picture, and wait for the result."""
        self._follow(*self.rng.choice(RUNS))

    def cancel(self) -> None:
        """Begin a run as the page does, and cancel it after a moment: its stream has to end."""
        name, session = "reconstruct", f"soak{self.rng.randrange(10**12)}"
        data = self._arguments(name, {"methods": ["w"], "settings": {"w.steps": 1000}})
        body = {"data": list(data.values()), "fn_index": self.events[name], "session_hash": session}
        event = self._joined("queue/join", body)
        if event is None:
            return
        began, told = time.monotonic(), False
        wait = self.rng.uniform(0, 3)
        with self.figures.job(), self.http.stream("GET", f"gradio_api/queue/data?session_hash={session}") as stream:
            for line in stream.iter_lines():
                if not told and time.monotonic() - began > wait:
                    told, began = True, time.monotonic()
                    ids = {"session_hash": session, "fn_index": self.events[name], "event_id": event}
                    self.http.post("gradio_api/cancel", json=ids).raise_for_status()
                if "process_completed" in line or "close_stream" in line:
                    break
        seconds = time.monotonic() - began
        self.figures.note("cancelled", f"after {seconds:.0f} s" if told and seconds > LATE else "")

    def close_tab(self) -> None:
        """Begin a run and leave: at once, or while it runs."""
        name, given = self.rng.choice(RUNS)
        event = self._joined(f"call/v2/{name}", self._arguments(name, given))
        if event is None:
            return
        if self.rng.random() < 0.5:
            self.figures.abandon(2 * self.figures.overhead * max(1, self.figures.open))
        else:
            until = time.monotonic() + self.rng.uniform(0, 2)
            with self.figures.job(), self.http.stream("GET", f"gradio_api/call/{name}/{event}") as stream:
                for _ in stream.iter_lines():
                    if time.monotonic() > until:
                        break
        self.figures.note("closed tabs")

    def attack(self) -> None:
        """Upload a damaged file, and use it as the picture: a result or an error in words."""
        data = mutated(self.rng, self.rng.choice(self.damaged), self.damaged)
        given = {"methods": ["psp"], "picture": self._uploaded(data)}
        event = self._joined("call/v2/reconstruct", self._arguments("reconstruct", given))
        if event is None:
            return
        with self.figures.job():
            name, text = self._end("reconstruct", event)
        error = "" if name == "complete" or is_one_sentence(_error(text)) else text or "no end"
        self.figures.note("hostile uploads", error)

    def _follow(self, name: str, given: dict[str, Any]) -> None:
        """Run, wait for the result, and note how long it took."""
        began = time.monotonic()
        event = self._joined(f"call/v2/{name}", self._arguments(name, given))
        if event is None:
            return
        with self.figures.job():
            most = [self.figures.open]
            ended, text = self._end(name, event, most)
        if ended == "complete":
            seconds = sum(row.get("seconds") or 0.0 for row in json.loads(text)[0])
            wait = Wait(time.monotonic() - began, max(most), seconds + self.figures.overhead)
            self.figures.note("results")
            with self.figures.lock:
                self.figures.waits.append(wait)
        else:
            self.figures.note("failed" if ended else "hung", f"{name}: {text}")

    def _end(self, name: str, event: str, most: list[int] | None = None) -> tuple[str, str]:
        """How a call ended, complete or error, with its data; "" if it did not. most: gets the numbers of open jobs."""
        began, kind = time.monotonic(), ""
        with self.http.stream("GET", f"gradio_api/call/{name}/{event}") as stream:
            for line in stream.iter_lines():
                if most is not None:
                    most.append(self.figures.open)
                kind = line.removeprefix("event: ") if line.startswith("event: ") else kind
                if line.startswith("data: ") and kind in ("complete", "error"):
                    return kind, line.removeprefix("data: ")
                if time.monotonic() - began > HUNG:
                    break
        return "", f"no end after {time.monotonic() - began:.0f} s"

    def _joined(self, path: str, body: dict[str, Any]) -> str | None:
        """The id of a new event; None if the server refused it."""
        answer = self.http.post(f"gradio_api/{path}", json=body)
        if answer.is_success:
            return str(answer.json()["event_id"])
        self.figures.note("refused", answer.text if answer.status_code not in (429, 503) else "")
        return None

    def _arguments(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """All arguments of an endpoint, on an example unless a picture is given."""
        picture = given.get("picture") or self._uploaded(self.rng.choice(self.pictures))
        return {**self.parameters[name], "seed": self.rng.randrange(1000), **given, "picture": picture}

    def _uploaded(self, data: bytes) -> dict[str, Any]:
        path = self.http.post("gradio_api/upload", files={"files": ("picture.png", data)}).json()[0]
        return {"path": path, "meta": {"_type": "gradio.FileData"}}


def _error(text: str) -> str:
    """The words of an error of a call."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return str(found.get("error")) if isinstance(found, dict) else str(found)
