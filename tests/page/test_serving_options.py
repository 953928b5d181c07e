"""What is served besides the page: health, compression, options of `python app.py`."""

from __future__ import annotations

import asyncio
import gzip
import urllib.request
from typing import Any

import pytest
from helpers.page import answer
from helpers.serving import Served
from starlette.types import Receive, Scope, Send

import app
from ui.health import Health


def test_health_and_readiness_are_answered(site: Served) -> None:
    assert answer(f"{site.url}healthz") == answer(f"{site.url}readyz") == 200


def test_a_server_whose_model_is_not_loaded_is_not_ready() -> None:
    sent: list[Any] = []

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        sent.append("page")

    async def receive() -> Any:  # noqa: ANN401
        return {"type": "http.request"}

    async def send(message: Any) -> None:  # noqa: ANN401
        sent.append(message.get("status"))

    health = Health(page, lambda: False)
    for path in ("/healthz", "/readyz", "/"):
        asyncio.run(health({"type": "http", "method": "GET", "path": path, "headers": []}, receive, send))
    assert [one for one in sent if one] == [200, 503, "page"]


def test_the_page_goes_out_compressed(site: Served) -> None:
    request = urllib.request.Request(site.url, headers={"Accept-Encoding": "gzip"})  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        body = response.read()
    assert response.headers["Content-Encoding"] == "gzip" and len(body) < 300_000
    assert b"Inversion Hub" in gzip.decompress(body)


@pytest.mark.parametrize("arguments", [["--auth", "anna"], ["--auth", ":x"], ["--model", "nope"]])
def test_wrong_options_are_refused_before_anything_starts(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(arguments) == 2
    message = capsys.readouterr().err
    assert "colon" in message or "Choose one of: synthetic-faces" in message
