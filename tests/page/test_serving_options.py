"""Services besides the page: health, compression, options of `python app.py`."""

from __future__ import annotations

import asyncio
import gzip
import re
import urllib.request
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio
import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from helpers.page import answer
from helpers.serving import Served
from starlette.types import Receive, Scope, Send

import app
from ui import health
from ui.compression import CompressedEvents, CompressedFiles
from ui.frontend import CORRECTIONS, corrected
from ui.health import Health, State

LOCKED = (Path(__file__).parents[2] / "requirements.lock").read_text(encoding="utf-8")


def test_health_and_readiness_are_answered(site: Served) -> None:
    assert answer(f"{site.url}healthz") == answer(f"{site.url}readyz") == 200


def test_only_files_that_are_there_are_kept_by_the_browser(site: Served, picture: Path) -> None:
    with httpx.Client(base_url=site.url) as http:
        [path] = http.post("gradio_api/upload", files={"files": picture.read_bytes()}).json()
        for headers in ({}, {"range": "bytes=0-9"}):
            answer = http.get(f"gradio_api/file={path}", headers=headers)
            assert answer.is_success and answer.headers["cache-control"].startswith("private")
        for other in (f"gradio_api/file={path}x", "gradio_api/file=/etc/passwd", "config", ""):
            assert "immutable" not in http.get(other).headers.get("cache-control", "")


def test_a_server_whose_model_is_not_loaded_is_not_ready() -> None:
    sent: list[Any] = []
    bodies: list[bytes] = []

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        sent.append("page")

    async def receive() -> Any:  # noqa: ANN401
        return {"type": "http.request"}

    async def send(message: Any) -> None:  # noqa: ANN401
        sent.append(message.get("status"))
        bodies.append(message.get("body", b""))

    state = State(lambda: ["free", "running, replaced 2 times"])
    checks = Health(page, state)
    for path in ("/healthz", "/readyz", "/"):
        assert not state.visited.is_set(), "a health check is no visit"
        asyncio.run(checks({"type": "http", "method": "GET", "path": path, "headers": []}, receive, send))
    assert state.visited.is_set()
    assert [one for one in sent if one] == [200, 503, "page"]
    assert b"".join(bodies) == b"ok" + b"loading\nlane 0: free\nlane 1: running, replaced 2 times"


def test_a_first_visitor_gets_the_page_before_models_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr(health, "time", SimpleNamespace(sleep=rests.append))  # other threads sleep, too
    monkeypatch.setattr(health, "EXPECTED", 0.0)
    state = State()
    state.let_the_page_open()
    assert not rests, "nobody came"
    state.visited.set()
    state.let_the_page_open()
    assert rests == [health.OPENING]


def test_the_page_goes_out_compressed(site: Served) -> None:
    request = urllib.request.Request(site.url, headers={"Accept-Encoding": "gzip"})  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        body = response.read()
    assert response.headers["Content-Encoding"] == "gzip" and len(body) < 300_000
    assert b"Inversion Hub" in gzip.decompress(body)


def test_a_call_describes_no_components_and_makes_no_statistics(site: Served, client: Client) -> None:
    with pytest.raises(AppError):
        client.predict(picture=None, api_name="/reconstruct")
    visitors = list(site.page.state_holder.session_data.values())
    assert visitors and not any(component for one in visitors for component in one.components)
    assert site.page._queue.cached_event_analytics_summary == {"functions": {}}
    assert len(site.page._queue.event_analytics) <= 1


@pytest.mark.skipif(f"gradio=={gradio.__version__} " not in LOCKED, reason="another Gradio than the locked one")
def test_every_correction_is_found_once_in_the_scripts_of_gradio() -> None:
    assets = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"
    for start, old, _ in CORRECTIONS:
        [file] = [one for one in assets.glob(f"{start}*.js") if re.search(old, one.read_text(encoding="utf-8"))]
        body = file.read_bytes()
        assert len(re.findall(old, body.decode())) == 1 and corrected(f"/assets/{file.name}", body) != body
    assert corrected("/assets/other.js", b"\xff") == b"\xff"


def test_files_are_compressed_once_and_streams_event_by_event() -> None:
    asked: list[str] = []

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        assert scope["path"] == "/events" or not dict(scope["headers"]), "the whole file, as it is"
        kind = b"text/event-stream" if scope["path"] == "/events" else b"text/javascript"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        for more in (True, False):
            await send({"type": "http.response.body", "body": b"x" * 999, "more_body": more})

    async def get(path: str, *headers: tuple[bytes, bytes]) -> tuple[dict[bytes, bytes], list[bytes]]:
        sent: list[Any] = []

        async def send(message: Any) -> None:  # noqa: ANN401
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": path, "headers": list(headers)}
        await served(scope, None, send)  # type: ignore[arg-type]
        return dict(sent[0]["headers"]), [message["body"] for message in sent[1:]]

    served = CompressedFiles(CompressedEvents(page))
    gzips = (b"accept-encoding", b"gzip, br")
    for _ in range(2):
        headers, [body] = asyncio.run(get("/assets/a.js", gzips, (b"if-none-match", b"x")))
        assert gzip.decompress(body) == b"x" * 1998 and int(headers[b"content-length"]) == len(body) < 99
        assert headers[b"content-encoding"] == b"gzip" and b"immutable" in headers[b"cache-control"]
    assert asked == ["/assets/a.js"]
    assert b"".join(asyncio.run(get("/assets/b.js"))[1]) == b"x" * 1998
    headers, [first, last] = asyncio.run(get("/events", gzips))
    assert headers[b"content-encoding"] == b"gzip"
    assert zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(first) == b"x" * 999, (
        "an event is readable when it is sent"
    )
    assert gzip.decompress(first + last) == b"x" * 1998


@pytest.mark.parametrize("arguments", [["--auth", "anna"], ["--auth", ":x"], ["--model", "nope"]])
def test_wrong_options_are_refused_before_anything_starts(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(arguments) == 2
    message = capsys.readouterr().err
    assert "colon" in message or "Choose one of: synthetic-faces" in message
