"""Every wrong argument of every endpoint gets one line of words, before anything else reads it."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from itertools import product
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.state_holder import SessionState
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from helpers.page import ENDPOINTS, W, call
from helpers.serving import Served

from benchmarks import fuzz
from benchmarks.fuzzing.calls import LONGEST, is_one_sentence, nested
from inversion.common.errors import UserError
from ui.api import Page
from ui.calls import DEEPEST, LONGEST_BODY
from ui.parts.endpoint import Endpoint

URL = {"path": "http://127.0.0.1/x.png", "meta": {"_type": "gradio.FileData"}}
STRANGE = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
ADDRESS = {"path": None, "url": "http://169.254.169.254/x.png", "meta": {"_type": "gradio.FileData"}}
TEXTS: list[Any] = ["", "nan", "/etc/passwd", "http://127.0.0.1/x.png", "data:image/png;base64,iVBO", "\ud800\x1b[31m"]
NUMBERS: list[Any] = [float("nan"), float("inf"), -float("inf"), -(10**400), 10**400]
PARTS: list[Any] = [{"a": 1}, [1], nested(60), ["w"] * 10_000, [None], STRANGE, URL, ADDRESS]
LARGE: list[Any] = ["x" * 100_000, "é" * 1000]
# Kind of a parameter -> values of other kinds, and values of its kind that none of its parameters takes.
WRONG: dict[str, list[Any]] = {
    "integer": [*TEXTS, *NUMBERS, *PARTS, *LARGE, True, 1.5, -(2**40), 2**40],
    "number": [*TEXTS, *NUMBERS, *PARTS, *LARGE, True, -(2**40)],
    "boolean": [*TEXTS, *NUMBERS, *PARTS, *LARGE, 0, 1],
    "string": [*NUMBERS, *PARTS, *LARGE, True, 1],
    "choice": [*TEXTS, *NUMBERS, *PARTS, *LARGE, True, 1],
    "array": [*TEXTS, *NUMBERS, *LARGE, True, 1, {"a": 1}, [1], [None], [["w"]], nested(60), ["w"] * 10_000],
    "object": [*TEXTS, *NUMBERS, *LARGE, True, 1, [1], nested(60), {"a": nested(60)}, {"a": None}, {"a": {"b": 1}}],
    "file": [*TEXTS, *NUMBERS, *PARTS, *LARGE, True, 1],
}
OPTIONAL = {"picture", "second", "mask", "start", "mix_layers"}  # None stands for "not given", or gets words of its own


def kind_of(parameter: dict[str, Any]) -> str:
    """The kind of a parameter in the API's description."""
    schema = parameter["type"]
    if parameter["parameter_name"] in ("picture", "second", "mask", "start"):
        return "file"
    return "choice" if "enum" in schema else str(schema["type"])


def endpoints(site: Served) -> dict[str, Endpoint]:
    """The endpoints by their API names."""
    assert isinstance(site.page, Page)
    return {f"/{one.name}": one for one in site.page.endpoints}


def refusals(endpoint: Endpoint, info: dict[str, Any]) -> Iterator[tuple[str, object, str]]:
    """Each parameter with each wrong value, and the text of the refusal."""
    good = [one.get("parameter_default") for one in info["parameters"]]
    for i, parameter in enumerate(info["parameters"]):
        name = parameter["parameter_name"]
        for value in [*WRONG[kind_of(parameter)], *([] if name in OPTIONAL else [None])]:
            try:
                endpoint.checked([*good[:i], value, *good[i + 1 :]])
            except UserError as error:
                yield name, value, str(error)
            else:
                yield name, value, ""


def test_each_wrong_value_of_each_parameter_gets_words(site: Served, client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    began, count = time.monotonic(), 0
    for api_name, endpoint in endpoints(site).items():
        for name, value, text in refusals(endpoint, named[api_name]):
            assert text.startswith(name) and "must be" in text, (api_name, name, str(value)[:80], text)
            assert is_one_sentence(text), (api_name, name, text)
            count += 1
    assert count > 20 * sum(map(len, ENDPOINTS.values())) and time.monotonic() < began + 10


@pytest.mark.parametrize("api_name", ENDPOINTS)
def test_a_wrong_number_of_arguments_gets_words(api_name: str, site: Served) -> None:
    endpoint = endpoints(site)[api_name]
    for count in (0, len(ENDPOINTS[api_name]) - 1, len(ENDPOINTS[api_name]) + 1):
        with pytest.raises(UserError, match=f"takes {len(ENDPOINTS[api_name])} arguments, not {count}"):
            endpoint.checked([None] * count)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("picture", {"path": "/etc/passwd"}, "picture must be an uploaded file"),
        ("picture", "/etc/passwd", "picture must be an uploaded file"),
        ("picture", {"a": 1}, "picture must be an uploaded file"),
        ("seed", "text", "seed must be a whole number from 0 to 2147483647, not 'text'"),
        ("budget", -1, "budget must be a number from 1 to 60, not -1"),
        ("methods", {"w": 1}, r"methods must be a list of at most \d+ names"),
        ("methods", ["w", 5], r"methods\[1\] must be text"),
        ("settings", {"w.steps": {"a": 1}}, r"settings\['w.steps'\] must be a number"),
        ("align", "\x1b[31m", r"align must be one of auto, face, centre, not .\\x1b\[31m"),
    ],
)
def test_a_script_sees_the_words(name: str, value: object, text: str, client: Client, picture: Path) -> None:
    with pytest.raises(AppError, match=text):
        client.predict(**{"picture": handle_file(picture), name: value}, api_name="/reconstruct")


def posted(site: Served, path: str, body: bytes, kind: str = "application/json") -> tuple[int, str]:
    """Status and words of a raw request."""
    answer = httpx.post(f"{site.url}gradio_api/{path}", content=body, headers={"Content-Type": kind}, timeout=10)
    assert len(answer.content) < LONGEST and is_one_sentence(answer.json()["detail"]), answer.text
    return answer.status_code, answer.json()["detail"]


def joined(**fields: Any) -> bytes:  # noqa: ANN401 - as JSON takes them
    """The body of a call to the queue."""
    return json.dumps({"data": [], "fn_index": 0, "session_hash": "x", **fields}).encode()


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("call/reconstruct", b"\xff\xfe", 400, "not JSON"),
        ("call/reconstruct", b"[" * 5000, 400, "not JSON"),
        ("call/reconstruct", b"[1]", 400, r"must be an object, not \[1\]"),
        ("call/reconstruct", b"{}", 400, "data is missing"),
        ("call/reconstruct", b'{"data": "x"}', 400, "data must be the list"),
        ("call/reconstruct", json.dumps({"data": nested(200)}).encode(), 400, f"at most {DEEPEST} levels"),
        ("call/reconstruct", b'{"data": ["' + b"x" * 10 * LONGEST_BODY + b'"]}', 413, "Upload files first"),
        ("call/absent", b'{"data": []}', 404, "no endpoint 'absent'. Choose one of: reconstruct"),
        ("call/_private", b'{"data": []}', 404, "no endpoint '_private'"),
        ("run/_private", b'{"data": []}', 404, "Join the queue"),
        ("run/reconstruct", b'{"data": []}', 404, "Join the queue"),
        ("call/v2/absent", b"{}", 404, "no endpoint 'absent'"),
        ("call/v2/reconstruct", b'{"steps": 1}', 400, "no parameter 'steps'. Choose from: picture"),
        ("call/v2/reconstruct", b"{}", 400, "picture is missing"),
        ("queue/join", joined(session_hash=5), 400, "session_hash must be text"),
        ("queue/join", joined(session_hash=""), 400, "session_hash must be text"),
        ("queue/join", joined(session_hash={"a": 1}), 400, "session_hash must be text"),
        ("queue/join", joined(fn_index=10**6), 400, "fn_index must be the number of an event"),
        ("queue/join", joined(fn_index="x"), 400, "fn_index must be the number of an event"),
        ("queue/join", joined(fn_index=None), 400, "No function index"),
        ("cancel", b'{"data": [Infinity]}', 400, "session_hash is missing"),
        ("reset", b'{"data": [NaN]}', 400, "event_id is missing"),
        ("component_server", b"{}", 400, "Invalid JSON body"),
    ],
)
def test_a_malformed_call_gets_words(path: str, body: bytes, status: int, text: str, site: Served) -> None:
    found, detail = posted(site, path, body)
    assert found == status and re.search(text, detail), detail


def test_a_call_that_is_not_sent_as_json_gets_words(site: Served) -> None:
    assert posted(site, "call/reconstruct", joined(), "text/plain")[0] == 415


@pytest.mark.parametrize("path", ["queue/data?session_hash=absent", "call/reconstruct/absent"])
def test_the_stream_of_an_unknown_call_ends_with_words(path: str, site: Served) -> None:
    answer = httpx.get(f"{site.url}gradio_api/{path}", timeout=10)
    assert answer.status_code == 200 and "Not Found" in answer.text and len(answer.content) < LONGEST


def has_known_type(part: object) -> bool:
    """Whether the page knows the type of a component's value: menus, strips of pictures, keys that a browser keeps."""
    if isinstance(part, gr.BrowserState):
        return part.default_value is None
    return isinstance(part, gr.Dataset | gr.Dropdown | gr.Radio)


def test_every_private_event_refuses_wrong_choices_and_takes_empty_event_data(
    site: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask(number: int, inputs: list[Any]) -> None:
        await site.page.process_api(number, inputs, state, event_data=gr.EventData(None, None), request=gr.Request())

    state, wrong = SessionState(site.page), ({}, [[]], [{}])  # a menu with several choices takes a list
    private = [one for one in site.page.fns.items() if str(one[1].api_name).startswith("_private")]
    events = [one for one in private if one[1].fn is not None]
    for number, event in (one for one in private if one[1].fn is None):
        with pytest.raises(AppError, match="Reload the page"):
            asyncio.run(ask(number, ["x"] * len(event.inputs)))
    choosing = [one for one in events if any(map(has_known_type, one[1].inputs))]
    by_handler = {getattr(event.fn, "__qualname__", ""): (number, event) for number, event in choosing}
    for (number, event), value in product(by_handler.values(), wrong):
        with pytest.raises(AppError, match="Reload the page"):
            asyncio.run(ask(number, [value] * len(event.inputs)))
    told = [one for one in events if not one[1].inputs and "EventData" in str(inspect.signature(one[1].fn or ask))]
    for number in {getattr(event.fn, "__qualname__", ""): number for number, event in told}.values():
        with suppress(AppError):
            asyncio.run(ask(number, []))
    assert len(choosing) > 20 and len(told) > 5
    assert not [record for record in caplog.records if record.exc_info]


def test_every_number_of_the_page_outside_its_range_is_refused_with_its_name_and_range(site: Served) -> None:
    state, refused = SessionState(site.page), set()
    for number, event in site.page.fns.items():
        if event.fn is None or not str(event.api_name).startswith("_private"):
            continue
        for place, part in enumerate(event.inputs):
            if (
                not isinstance(part, gr.Number | gr.Slider)
                or part.label in refused
                or None in (part.minimum, part.maximum)
            ):
                continue
            wrong = [part.minimum - 1, part.maximum + 1, float("nan")]
            for value in wrong + ([part.minimum + 0.5] if getattr(part, "precision", None) == 0 else []):
                inputs = [value if i == place else None for i in range(len(event.inputs))]
                with pytest.raises(
                    AppError, match=rf"^'?{re.escape(str(part.label))} must be a (whole )?number between"
                ):
                    asyncio.run(site.page.process_api(number, inputs, state, request=gr.Request()))
            refused.add(part.label)
    assert "Seed" in refused and len(refused) > 3


def test_random_calls_get_words_and_the_server_works_afterwards(
    site: Served,
    client: Client,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "app").symlink_to(tempfile.gettempdir())  # where the page may write
    monkeypatch.setattr(fuzz, "scratch", lambda: nullcontext(tmp_path))
    monkeypatch.setattr(fuzz, "served", lambda: nullcontext(site.url))
    assert fuzz.main(["--calls", "20", "--seed", "1", "--json", str(tmp_path / "rows.json")]) == 0
    answers = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    assert len(answers) == 20 and {row["kind"] for row in answers} <= {"result", "words"}
    assert max(row["size"] for row in answers) < LONGEST and "| no answer | 0 |" in capsys.readouterr().out
    rows, _, _ = call(client, "/reconstruct", picture, **W)
    assert rows[0]["state"] == "done"
