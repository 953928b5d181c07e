"""Pages beside the page, behind its login.

/catalogue says what can be chosen, as JSON; /agents.md how the endpoints are called; /languages/CODE.js translates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from inversion.serving import schemas
from ui.answers import answer_of
from ui.languages import LANGUAGES, translator
from ui.parts.endpoint import Endpoint
from ui.parts.values import Options, Value

LOGIN = "/gradio_api/login_check"  # Gradio answers 200 if the visitor may use the page
GUIDE = Template(Path(__file__).with_name("agents.md").read_text(encoding="utf-8"))


class Machines:
    """ASGI middleware: answers these pages. If the page needs a login, they need it, too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        make = PAGES.get(scope["path"]) if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") else None
        if make is None:
            await self.app(scope, receive, send)
            return
        login = {**scope, "method": "GET", "path": LOGIN, "raw_path": LOGIN.encode()}
        answer = await answer_of(self.app, login, receive)
        if answer[0]["status"] == 200:
            response = await run_in_threadpool(make, Request(scope))
            await response(scope, receive, send)
            return
        for message in answer:
            await send(message)


def guide(title: str, endpoints: Mapping[str, Endpoint], info: Options, base: str) -> str:
    """How programs call the endpoints, as Markdown. info: the schema that clients read. base: the page's address."""
    lines = [GUIDE.substitute(title=title, base=base)]
    for name, endpoint in endpoints.items():
        lines.append(f"### /{name}\n\n{endpoint.summary} {endpoint.events}\n")
        for parameter in info["named_endpoints"][f"/{name}"]["parameters"]:
            key, kind = parameter["parameter_name"], _short(parameter["python_type"]["type"])
            if parameter["parameter_has_default"]:
                kind += f", default `{_short(parameter['parameter_default'])}`"
            lines.append(f"- `{key}` ({kind}): {endpoint.sentences[key]}")
        lines.append("")
    return "\n".join(lines)


def _short(value: Value) -> str:
    """A type or a default in one line, cut if it is long."""
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _catalogue(request: Request) -> Response:
    return JSONResponse(schemas.document())


def _agents(request: Request) -> Response:
    page = request.scope["app"].get_blocks()
    endpoints = {one.name: one for one in page.endpoints}
    text = guide(page.title, endpoints, page.get_api_info(), str(request.base_url))
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")


def _language(request: Request) -> Response:
    return PlainTextResponse(translator(Path(request.url.path).stem), media_type="text/javascript; charset=utf-8")


PAGES: dict[str, Callable[[Request], Response]] = {
    "/catalogue": _catalogue,
    "/agents.md": _agents,
    **{f"/languages/{language}.js": _language for language in LANGUAGES},
}
