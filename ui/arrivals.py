"""Pictures at the door: what is no picture is refused, and what browsers do not show is sent to them as PNG.

`static/arrivals.js` asks about files that the browser cannot show, or that are too large for an editor, before their
field gives up the picture that it has.
"""

from __future__ import annotations

import json
import mimetypes
import re
from pathlib import Path

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inversion import images
from inversion.common.echo import without_echo
from ui.answers import answer_of, body_of
from ui.guard import API
from ui.parts.inputs import sentence
from ui.parts.originals import small_copy

OF_A_FIELD = re.compile(rb"(^|&)(upload_id|picture)=")  # in the query of uploads to fields; strokes have neither
ASKS = re.compile(rb"(^|&)picture=")  # a question about a file of any name; the browser would log an answer of 415
OF_SCRIPT = "image/png"  # what `static/arrivals.js` accepts
AS_PNG = frozenset({".tif", ".tiff", ".heic", ".heif"})  # formats of `images` that not all browsers show


class Arrivals:
    """ASGI middleware: uploads of the page's fields, and files that its pictures show."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind, path = (scope["type"], scope["path"]) if scope["type"] == "http" else ("", "")
        uploads = kind and scope["method"] == "POST" and path.endswith(f"{API}/upload")
        reads = kind and scope["method"] == "GET" and f"{API}/file=" in path
        if uploads and OF_A_FIELD.search(scope["query_string"]):
            await self._check(scope, receive, send)
        elif reads and wants_png(Path(path).suffix.lower(), Headers(scope=scope).get("accept", "")):
            await self._show(scope, receive, send)
        elif reads and Path(path).suffix.lower() in AS_PNG:
            await self.app(scope, receive, _varied(send))
        else:
            await self.app(scope, receive, send)

    async def _check(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = ASKS.search(scope["query_string"]) is not None
        answer = await answer_of(self.app, scope, receive)
        wrong = None
        if answer and answer[0].get("status") == 200:
            paths = [Path(path) for path in json.loads(body_of(answer))]
            if not asked:
                paths = [path for path in paths if is_named_picture(path.name)]
            wrong = await run_in_threadpool(refusal, paths)
        if wrong is not None:
            await JSONResponse({"detail": wrong}, 200 if asked else 415)(scope, receive, send)
            return
        for message in answer:
            await send(message)

    async def _show(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await answer_of(self.app, scope, receive)
        picture = None
        if answer and answer[0].get("status") == 200:  # this visitor may read the file
            to_paint = Headers(scope=scope).get("accept") == OF_SCRIPT
            file = Path(scope["path"].partition(f"{API}/file=")[2]) if to_paint else None
            picture = await run_in_threadpool(shown, body_of(answer), file)
        if picture is not None:
            png, headers = picture
            await Response(png, media_type="image/png", headers=headers)(scope, receive, send)
            return
        for message in answer:
            await send(message)


def _varied(send: Send) -> Send:
    """Sends a file that a picture of the page gets as PNG, so that the browser keeps both."""

    async def varied(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("vary", "accept")
        await send(message)

    return varied


def is_named_picture(name: str) -> bool:
    """Whether the name of a file says that it is a picture."""
    return (mimetypes.guess_type(name)[0] or "").startswith("image/") or Path(name).suffix.lower() in AS_PNG


def wants_png(suffix: str, accept: str) -> bool:
    """Whether a request for a file is one for a picture that its sender may not be able to show.

    accept: the header of the request. Pictures of a page accept many kinds, the page's script only PNG.
    """
    return accept == OF_SCRIPT or (suffix in AS_PNG and accept.startswith("image/"))


def refusal(paths: list[Path]) -> str | None:
    """Why one of these uploads cannot be read as a picture; None if all can."""
    for path in filter(Path.is_file, paths):
        try:
            images.decode(path)
        except images.BadImage as error:
            return without_echo(sentence(error))
    return None


def shown(data: bytes, file: Path | None) -> tuple[bytes, dict[str, str]] | None:
    """A picture as PNG, with headers for `static/arrivals.js`; None if it cannot be read.

    file: holds the data, and an editor gets a small copy of it if it is large. None: the picture is not for an editor.
    """
    try:
        decoded = images.decode(data)
    except images.BadImage:
        return None
    # An editor loses the colours of erased parts, so it gets such a picture as it is.
    small = None if file is None or decoded.erased is not None else small_copy(decoded.picture, file)
    headers = {"vary": "accept", "x-notes": json.dumps(" ".join(decoded.notes))}
    if small is not None:
        return images.packed_png(small), {**headers, "x-small": "1"}
    return images.packed_png(np.asarray(decoded.picture)), headers
