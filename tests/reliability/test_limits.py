"""What one visitor may take: rates, shares of the queue, memory and time of a step, decoders, downloads."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from helpers.lanes import PICTURE, StubLane, TickingLane, finish, stub_request
from helpers.photos import many_scans
from helpers.reports import report
from helpers.waiting import until
from PIL import Image

import app
from inversion import images
from inversion.checkpoints.downloads import Downloads
from inversion.common.echo import LONGEST_ECHO, LogFormatter, without_echo
from inversion.images import BadImage
from inversion.serving import host
from inversion.serving.limits import MB, PROFILES, Limits, WebLimits, check_demand
from inversion.serving.runs import LaneError, Request
from inversion.serving.session import Busy, Session
from ui import shutdown
from ui.guard import Guard
from ui.parts.arguments import short

Opened = Callable[..., Session]


class Asked:
    """A guard with a clock of its own, and the statuses of requests to it."""

    def __init__(self, limits: WebLimits, **options: Any) -> None:  # noqa: ANN401 - as of Guard
        self.now = 0.0
        self.hold: asyncio.Event | None = None
        self.guard = Guard(self.page, limits, clock=lambda: self.now, **options)

    async def page(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - of ASGI
        if self.hold is not None:
            await self.hold.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(self, path: str, address: str = "10.0.0.1", method: str = "POST", **headers: str) -> tuple[int, str]:
        sent: list[Any] = []

        async def send(message: Any) -> None:  # noqa: ANN401 - of ASGI
            sent.append(message)

        given = {"host": "localhost", "content-length": "9", **headers}
        raw = [(key.encode(), value.encode()) for key, value in given.items()]
        scope = {"type": "http", "method": method, "path": path, "headers": raw, "client": (address, 1)}
        await self.guard(scope, None, send)  # type: ignore[arg-type]
        return sent[0]["status"], sent[1]["body"].decode()

    def statuses(self, count: int, path: str, **options: str) -> list[int]:
        """Of the same request, several times."""

        async def all_of_them() -> list[int]:
            return [(await self.ask(path, **options))[0] for _ in range(count)]

        return asyncio.run(all_of_them())


def test_an_address_has_a_rate_of_requests_and_others_are_not_slowed() -> None:
    asked = Asked(WebLimits(posts_each=2.0, burst_each=10))
    first = asked.statuses(15, "/gradio_api/cancel")
    assert asked.statuses(1, "/gradio_api/cancel", address="10.0.0.2") == [200]
    words = json.loads(asyncio.run(asked.ask("/gradio_api/cancel"))[1])["detail"]
    asked.now = 2.0
    later = asked.statuses(5, "/gradio_api/cancel")
    networks = [asked.statuses(10, "/gradio_api/cancel", address=f"2001:db8::{i}")[-1] for i in range(2)]
    report(
        "15 requests at once at 2 a second, 10 at once", f"{first.count(200)} taken, then {words!r}; IPv6 {networks}"
    )
    assert first == [200] * 10 + [429] * 5 and later == [200] * 4 + [429] and networks == [200, 429]


def test_an_address_has_few_open_requests() -> None:
    asked = Asked(WebLimits(open_each=3))

    async def several() -> list[int]:
        asked.hold = asyncio.Event()
        tasks = [asyncio.create_task(asked.ask("/gradio_api/queue/data", method="GET")) for _ in range(5)]
        await asyncio.sleep(0.05)
        asked.hold.set()
        return [(await task)[0] for task in tasks]

    statuses = asyncio.run(several())
    report("5 open streams with room for 3", statuses)
    assert statuses == [200] * 3 + [429] * 2 and asked.statuses(1, "/", method="GET") == [200]


def test_names_of_the_host_are_those_of_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_HOST", "me-hub.hf.space")
    monkeypatch.setenv("SPACE_ID", "me/hub")
    names = host.served_names(["Hub.example.org", ""], share=True)
    asked = Asked(WebLimits(), hosts=names, framed=host.on_space())
    hosts = ("hub.example.org", "hub.example.org:443", "me-hub.hf.space", "x.gradio.live", "example.org", "hf.space")
    served = {name: asked.statuses(1, "/", method="GET", host=name)[0] for name in hosts}
    policy = asked.guard.headers["content-security-policy"]
    report(f"{len(hosts)} names", served)
    assert list(served.values()) == [200] * 4 + [403] * 2
    assert "frame-ancestors 'self' https://huggingface.co" in policy


@pytest.mark.parametrize(
    ("method", "settings", "words"),
    [
        ("clone", {"clone.batch": 64}, "One step of Clone would take about 3.5 GB of memory, the limit is 2.0 GB."),
        ("clone", {"clone.batch": 16}, "One step of Clone would take about [0-9]+ s, the limit is 6 s."),
        ("mganprior", {"multicode.codes": 64}, "One step of Multi-code would take about [0-9]+ s"),
        ("pti", {}, ""),
        ("clone", {}, ""),
        ("w", {"w.steps": 10_000}, ""),
    ],
)
def test_a_step_that_is_too_large_is_refused_with_the_number(
    method: str, settings: dict[str, float], words: str
) -> None:
    request = Request("reconstruct", method, PICTURE, settings=settings)
    began = time.monotonic()
    limits = PROFILES["public"].session()
    if words:
        with pytest.raises(LaneError, match=words) as raised:
            check_demand(request, limits, 8192 * MB, 1.0)
        report(f"{method} with {settings}", f"{raised.value} in {1000 * (time.monotonic() - began):.1f} ms")
    else:
        check_demand(request, limits, 8192 * MB, 1.0)


def test_a_step_longer_than_the_budget_is_refused() -> None:
    request = Request("reconstruct", "clone", PICTURE, settings={"clone.batch": 64}, budget=5.0)
    with pytest.raises(LaneError, match="the limit is 5 s"):
        check_demand(request, Limits(), 1e15, 0.2)


def test_a_visitor_has_a_share_of_the_queue_and_reads_the_expected_wait(opened: Opened) -> None:
    lane = TickingLane()
    session = opened(lane, limits=Limits(waiting=6, waiting_each=3), clock=lane.clock)
    lane.warm = lambda model: 0.25  # type: ignore[method-assign, assignment, return-value]
    session.warm(stub_request().model)
    until(lambda: session.expected(stub_request().model, {"w": {}}))

    def submit(address: str) -> str:
        session.address = lambda: address
        return session.submit([stub_request(steps=12)])

    keys = [submit("10.0.0.1")]
    until(lambda: lane.order)
    keys += [submit("10.0.0.1") for _ in range(3)]
    with pytest.raises(Busy, match=r"3 jobs of yours are waiting already. Please try again in about \d+ s") as own:
        submit("10.0.0.1")
    keys += [submit(f"10.0.0.{i}") for i in (2, 3, 4)]
    with pytest.raises(Busy, match="6 jobs are waiting already. Please try again in about"):
        submit("10.0.0.5")
    report("8 jobs of one visitor with a share of 3 of 6 places", own.value)
    assert lane.gate is not None
    lane.gate.set()
    assert all(finish(session, key).runs[0].state == "done" for key in keys)


def test_only_the_operator_downloads_if_visitors_may_not(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    session = opened(StubLane(), downloads=PROFILES["public"].downloads)
    started: list[str] = []
    monkeypatch.setattr(Downloads, "missing", lambda self, name: True)
    monkeypatch.setattr(Downloads, "start", lambda self, name, visitor: started.append(name))
    for refused in (lambda: session.files.download("x", host.SERVER), lambda: session.submit([stub_request()])):
        with pytest.raises(LaneError, match="only the operator"):
            refused()
    session.files.download("x", host.SERVER, operator=True)
    report("2 downloads by visitors, 1 by the operator", f"{len(started)} started")
    assert started == ["x"]


def test_few_pictures_are_decoded_at_a_time_and_bombs_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb, took = many_scans(4096, 4096, 1000), []
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(BadImage, match="scans"):
            images.read(bomb)
        took.append(time.monotonic() - began)
    decoding = sys.modules["inversion.images.decode"]
    real, now, most, lock = decoding.pixels, [0], [0], threading.Lock()

    def counted(source: bytes) -> tuple[Image.Image, list[str]]:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        try:
            return real(source)
        finally:
            with lock:
                now[0] -= 1

    monkeypatch.setattr(decoding, "pixels", counted)
    small = many_scans(64, 64, 2)
    threads = [threading.Thread(target=images.read, args=(small,)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report("a JPEG of 1,000 scans; 12 pictures", f"refused in {1000 * min(took):.0f} ms; {most[0]} at a time")
    assert min(took) < 0.05 and most[0] == 2


def test_errors_and_logs_repeat_few_characters_of_their_input() -> None:
    inputs = ["x" * 5000, "/a/" + "y" * 300, "a b " * 500, "\x1b[31m" * 200, "é\n" * 300]
    errors = [short(f"There is no method {value!r}. Choose one of: w.") for value in inputs]
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "%s failed", (repr("secret" * 50_000),), None)
    logged = LogFormatter("%(message)s").format(record)
    report(
        f"{len(inputs)} long inputs", f"errors of {[len(error) for error in errors]}, a log of {len(logged)} characters"
    )
    assert all(max(map(len, error.split("'")[1::2])) <= LONGEST_ECHO and error.isprintable() for error in errors)
    assert len(logged) < 100 and without_echo("short words 'stay'") == "short words 'stay'"


def test_the_public_profile_is_narrower_in_everything() -> None:
    private, public = PROFILES["private"], PROFILES["public"]
    assert public.budget < private.budget and private.downloads and not public.downloads
    assert public.session().waiting_each < private.session().waiting_each
    assert public.session().runs < private.session().runs
    for name in ("uploads_each", "events_each"):
        assert getattr(public.web, name) < getattr(private.web, name)
    assert public.web.posts_each and public.web.open_each


def test_the_public_profile_is_one_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    class Page:
        def launch(self, **options: Any) -> None:  # noqa: ANN401 - as of Gradio
            seen.update(options)

        def close(self) -> None:
            pass

    monkeypatch.setattr(
        "ui.build", lambda session, model, limits: seen.update(session=session, limits=limits) or Page()
    )
    monkeypatch.setattr(host, "preload", lambda session, names: None)
    monkeypatch.setattr(app, "prepare", lambda: None)
    monkeypatch.setattr(shutdown, "until_stopped", lambda: None)
    assert app.main(["--public", "--host-name", "hub.example.org", "--device", "cpu"]) == 0
    [guard] = [one for one in seen["app_kwargs"]["middleware"] if one.cls is Guard]
    session = seen["session"]
    report("--public", f"budget {session.budget}, {session.limits}")
    assert (
        guard.kwargs["limits"] == seen["limits"] == PROFILES["public"].web
        and "hub.example.org" in guard.kwargs["hosts"]
    )
    assert session.limits == PROFILES["public"].session() and not session.files.open and not session.additions.allowed
    assert not seen["share"] and "server_name" not in seen and not seen["enable_monitoring"]
    session.close()
