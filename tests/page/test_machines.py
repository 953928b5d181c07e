"""What programs read and do: the catalogue as JSON Schema, agents.md, progress, cancel, and tools for MCP clients."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import re
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from gradio.utils import get_function_description
from gradio_client import Client, handle_file
from helpers.page import ENDPOINTS, answer
from helpers.serving import Served, free_port
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

import app
from inversion.methods import METHODS
from inversion.serving import catalogue, schemas
from inversion.tasks import TASKS
from ui import build, launch_options
from ui.api import Page, function
from ui.machines import LOGIN, Machines

KEYWORDS = {"$schema", "title", "type", "properties", "required", "additionalProperties"}
OF_FIELDS = {"title", "description", "type", "default", "enum", "minimum", "maximum", "examples", "format"}
KINDS: Mapping[str, type | tuple[type, ...]] = {"boolean": bool, "integer": int, "number": (int, float), "string": str}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The catalogue as a program reads it."""
    return json.loads(json.dumps(schemas.document(), allow_nan=False))


def groups(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All schemas of groups of fields."""
    for kind, key in (("models", "options"), ("tasks", "inputs"), ("methods", "settings")):
        yield from (one[key] for one in document[kind].values())


def valid(schema: Mapping[str, Any], value: object) -> bool:
    """Whether a value fits the schema of a field."""
    if not isinstance(value, KINDS[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean"):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    low, high = schema.get("minimum", value), schema.get("maximum", value)
    return bool(low <= value <= high)


def test_every_field_has_a_valid_schema_with_a_sentence(document: dict[str, Any]) -> None:
    count = 0
    for group in groups(document):
        assert set(group) == KEYWORDS and group["type"] == "object" and group["additionalProperties"] is False
        assert group["$schema"] == schemas.DIALECT and set(group["required"]) <= set(group["properties"])
        for name, field in group["properties"].items():
            count += 1
            assert set(field) <= OF_FIELDS and field["type"] in KINDS, name
            assert field["title"] and re.fullmatch(r"\w.+\.", field["description"]), name
            assert ("default" in field) == (name not in group["required"]), name
            given = [field["default"]] if "default" in field else []
            assert all(valid(field, value) for value in [*given, *field.get("examples", []), *field.get("enum", [])]), (
                name
            )
    assert count > 50


@pytest.mark.skipif(importlib.util.find_spec("jsonschema") is None, reason="no jsonschema")
def test_a_validator_accepts_the_schemas(document: dict[str, Any]) -> None:
    from jsonschema import Draft202012Validator

    for group in groups(document):
        Draft202012Validator.check_schema(group)
        defaults = {name: field["default"] for name, field in group["properties"].items() if "default" in field}
        texts = dict.fromkeys(group["required"], "mask.png")
        Draft202012Validator(group).validate({**defaults, **texts})
        assert not Draft202012Validator(group).is_valid({**defaults, **texts, "unknown": 1})


def test_the_catalogue_has_everything_that_is_registered(document: dict[str, Any]) -> None:
    assert set(document["methods"]) == set(METHODS) and set(document["tasks"]) == set(TASKS)
    assert set(document["models"]) == set(catalogue.models()) >= {document["default_model"]}
    for key, card in catalogue.methods().items():
        assert list(document["methods"][key]["settings"]["properties"]) == [field.name for field in card.fields]


def fetched(url: str) -> tuple[str, str]:
    """Content type and text of a page."""
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - our own server
        return response.headers["content-type"], response.read().decode()


def test_the_page_serves_the_catalogue(site: Served) -> None:
    kind, text = fetched(site.url + "catalogue")
    assert kind == "application/json" and json.loads(text)["methods"].keys() == METHODS.keys()
    assert answer(site.url + "catalogue", b"{}", **{"Content-Type": "application/json"}) in (404, 405)


def test_agents_read_how_every_endpoint_is_called(site: Served) -> None:
    kind, text = fetched(site.url + "agents.md")
    assert kind.startswith("text/markdown") and site.url in text and "None" not in re.sub(r"`None`", "", text)
    sections = dict(re.findall(r"^### (/\w+)\n(.*?)(?=^### |\Z)", text, flags=re.M | re.S))
    named = {name: re.findall(r"^- `(\w+)` \(.*\): .+\.$", section, flags=re.M) for name, section in sections.items()}
    assert named == ENDPOINTS
    assert "- `picture` (filepath" in text or "- `picture` (dict" in text


def test_the_example_for_agents_runs(
    site: Served, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "face.png").write_bytes(picture.read_bytes())
    found = re.search(r"```python\n(.*?)```", fetched(site.url + "agents.md")[1], flags=re.S)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1].replace('"psp"', '"w"').replace("api_name", 'settings={"w.steps": 3}, api_name'), names)  # noqa: S102
    assert [row["state"] for row in names["rows"]] == ["done"] and names["sheet"]


@pytest.mark.parametrize("allowed", [True, False])
def test_pages_for_programs_need_the_login_of_the_page(allowed: bool) -> None:
    asked: list[str] = []

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            asked.append(scope["path"])
            await send({"type": "http.response.start", "status": 200 if allowed else 401, "headers": []})
            await send({"type": "http.response.body", "body": b"no"})

    response = TestClient(Machines(page)).get("/catalogue")
    assert asked == [LOGIN] and response.status_code == (200 if allowed else 401)
    assert ("methods" in response.text) == allowed
    TestClient(Machines(page)).get("/other")
    assert asked[1:] == ["/other"]


def test_progress_and_cancel_through_the_client(site: Served, client: Client, picture: Path) -> None:
    given = {"methods": ["w"], "settings": {"w.steps": 10_000}, "budget": 50}
    job = client.submit(picture=handle_file(picture), api_name="/reconstruct", **given)
    steps: list[int] = []
    for rows, _, _ in job:
        steps += [rows[0]["steps"]] if rows[0].get("steps") else []
        if len(set(steps)) >= 2:
            break
    assert steps == sorted(steps) and rows[0]["state"] == "running" and rows[0]["psnr"] > 0
    job.cancel()
    end = time.monotonic() + 10
    while site.session.status().running:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("present", "words", "says"),
    [(False, [], 'pip install "mcp>=1.21,<2"'), (True, ["--auth", "me:secret"], "--mcp does not work with --auth")],
)
def test_mcp_without_its_package_is_refused(
    present: bool, words: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec
    found = object() if present else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: found if name == "mcp" else real(name, *rest))
    monkeypatch.setattr(app, "serve", lambda _: pytest.fail("the page is built"))
    assert app.main(["--mcp", *words]) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1


def test_tools_have_the_sentences_of_the_endpoints(site: Served) -> None:
    assert isinstance(site.page, Page) and len(site.page.endpoints) == len(ENDPOINTS)
    for endpoint in site.page.endpoints:
        description, parameters, _ = get_function_description(function(endpoint))
        assert description == endpoint.summary and parameters == endpoint.sentences


@pytest.mark.skipif(importlib.util.find_spec("mcp") is None, reason="no mcp")
def test_tools_of_an_mcp_client(site: Served, picture: Path) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    page = build(site.session)
    _, url, _ = page.launch(
        prevent_thread_lock=True, quiet=True, server_port=free_port(), mcp_server=True, **launch_options()
    )
    address = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    given = {"picture": address, "methods": ["w"], "settings": {"w.steps": 3}}

    async def use() -> tuple[Any, Any]:
        async with (
            streamablehttp_client(f"{url}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await session.list_tools(), await session.call_tool("reconstruct", given)

    try:
        tools, result = asyncio.run(use())
    finally:
        page.close()
    by_name = {tool.name: tool for tool in tools.tools}
    assert {f"/{name}" for name in by_name} == set(ENDPOINTS)
    for name, tool in by_name.items():
        assert list(tool.inputSchema["properties"]) == ENDPOINTS[f"/{name}"] and tool.description
        bare = [key for key, field in tool.inputSchema["properties"].items() if not field.get("description")]
        assert not bare, (name, bare)
    assert not result.isError and '"done"' in result.content[0].text.replace("'", '"')


def test_the_extra_does_not_pin_pydantic() -> None:
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    extras = text.partition("[project.optional-dependencies]")[2].partition("[project.scripts]")[0]
    lines = [line.partition("#")[0] for line in extras.splitlines()]
    assert any(line.startswith("mcp = ") for line in lines)
    assert not any("gradio[mcp]" in line or "pydantic" in line for line in lines)
