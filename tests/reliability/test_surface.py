"""What a stranger reaches through the web server of the page: what was made for the page, and nothing else."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import re
import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
import httpx
import numpy as np
import pytest
from gradio.state_holder import SessionState
from gradio.utils import get_hash_seed
from helpers.reports import report
from helpers.serving import Served
from PIL import Image

from inversion import images
from inversion.serving.limits import MB, PROFILES
from ui.calls import DISK_FULL
from ui.parts.events import DEVICE
from ui.parts.uploads import MAX_EDITOR_LAYERS

JSON = {"Content-Type": "application/json"}
NOT_SERVED = (
    *("openapi.json", "docs", "redoc", "monitoring", "monitoring/summary", "monitoring/key", "runs", "deep_link"),
    *(
        "gradio_api/openapi.json",
        "gradio_api/runs",
        "gradio_api/dev/reload",
        "gradio_api/deep_link",
        "gradio_api/vibe-code",
    ),
    *("gradio_api/mcp/", "gradio_api/profiling/traces", "gradio_api/custom_component/x/client/component/index.js"),
    *("gradio_api/proxy=https://example.org", "gradio_api/file/etc/passwd", "gradio_api/run-history/buckets"),
)
NOT_TAKEN = [f"gradio_api/{name}" for name in ("vibe-edit/", "stream/x", "process_recording", "queue/data", "info")]
FILES = (
    *("/etc/passwd", "//etc/passwd", "/etc/../etc/passwd", "http://127.0.0.1:1/x", "https://example.org/x.png"),
    *("app.py", "../app.py", "file:///etc/passwd", "http:/example.org", "%2e%2e/app.py", "HTTP://example.org"),
)


@pytest.fixture(scope="module")
def http(narrow: Served) -> httpx.Client:
    """A client of the page."""
    return httpx.Client(base_url=narrow.url, timeout=30)


def uploaded(http: httpx.Client, data: bytes, name: str = "x.png") -> httpx.Response:
    """The answer to an upload."""
    return http.post("gradio_api/upload", files={"files": (name, data)})


def small_png() -> bytes:
    """The bytes of a picture."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_nothing_is_served_but_what_the_page_needs(http: httpx.Client) -> None:
    found = {path: http.get(path).status_code for path in NOT_SERVED}
    found |= {f"POST {path}": http.post(path, json={}).status_code for path in NOT_TAKEN}
    report(f"{len(found)} other addresses of Gradio", f"statuses {set(found.values())}")
    assert set(found.values()) == {404}, found
    assert http.get("").status_code == http.get("config").status_code == http.get("gradio_api/info").status_code == 200


def test_no_file_is_served_or_taken_that_was_not_uploaded(http: httpx.Client, narrow: Served) -> None:
    statuses = [http.get(f"gradio_api/file={path}").status_code for path in FILES]
    assert set(statuses) <= {403, 404}, dict(zip(FILES, statuses, strict=True))
    words = set()
    for path in FILES:
        data = {"path": path, "url": "http://127.0.0.1:1/x", "meta": {"_type": "gradio.FileData"}}
        joined = http.post("gradio_api/call/v2/reconstruct", json={"picture": data}).json()["event_id"]
        text = http.get(f"gradio_api/call/reconstruct/{joined}").text
        words.add(text.partition("not {")[0])
    report(f"{len(FILES)} foreign paths to read, and as pictures", f"statuses {set(statuses)}; {words}")
    assert len(words) == 1 and "must be an uploaded file" in words.pop()


def test_names_of_uploads_cannot_be_found_from_their_contents(http: httpx.Client) -> None:
    data = small_png()
    path = uploaded(http, data).json()[0]
    [name] = re.findall("[0-9a-f]{64}", path)
    seeds = (b"", get_hash_seed().encode())  # that of the installation comes with an image of a container
    guesses = [hashlib.sha256(seed + data).hexdigest() for seed in seeds]
    report("a picture whose bytes others know", f"stored under {name[:8]}..., {guesses.count(name)} of 2 guesses right")
    assert name not in guesses


def test_uploads_that_hold_scripts_are_never_shown(http: httpx.Client) -> None:
    script = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    for name in ("x.html", "x.svg", "x.xhtml", "x.png"):
        path = uploaded(http, script, name).json()[0]
        headers = http.get(f"gradio_api/file={path}").headers
        shown = headers["content-type"] if "attachment" not in headers["content-disposition"] else "attachment"
        report(name, f"{shown}; {headers['content-security-policy']}; {headers['x-content-type-options']}")
        assert shown in ("attachment", "image/png") and "sandbox" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_every_answer_has_the_headers_that_keep_other_sites_out(http: httpx.Client) -> None:
    for path in ("", "config", "absent", "gradio_api/info"):
        headers = http.get(path).headers
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'self'" in policy and "object-src 'none'" in policy and "*" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"
    report("4 addresses", policy)


def test_other_sites_and_other_names_are_refused(http: httpx.Client, narrow: Served) -> None:
    routes = ["upload", "queue/join", "call/reconstruct", "call/v2/edit", "run/predict", "cancel", "component_server"]
    origins = ("https://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example")
    crossed = {
        http.post(f"gradio_api/{route}", content=b"{}", headers={**JSON, "Origin": origin}).status_code
        for route in routes
        for origin in origins
    }
    names = ("evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example", "")
    rebound = {http.get("", headers={"Host": name, "Origin": f"http://{name}"}).status_code for name in names}
    known = {http.get("", headers={"Host": name}).status_code for name in ("localhost:1", "192.168.0.7", "[::1]:7860")}
    report(f"{len(routes)} routes from {len(origins)} origins, {len(names)} foreign names", f"{crossed}, {rebound}")
    assert crossed == rebound == {403} and known == {200}
    assert uploaded(http, small_png()).status_code == 200


def test_events_that_compute_are_reached_through_the_queue_only(http: httpx.Client, narrow: Served) -> None:
    before = len(narrow.session.submitted)
    direct = {}
    for number, fn in narrow.page.fns.items():
        if fn.fn is not None and fn.queue:
            body = {"fn_index": number, "data": [None] * len(fn.inputs), "session_hash": "x"}
            direct[number] = http.post("gradio_api/run/predict", json=body).status_code
    endpoints = narrow.page.endpoints  # type: ignore[attr-defined]
    paths = [f"gradio_api/{kind}/{endpoint.name}" for kind in ("run", "api") for endpoint in endpoints]
    named = {http.post(path, json={"data": []}).status_code for path in paths}
    light = [fn for fn in narrow.page.fns.values() if fn.fn is not None and not fn.queue]
    found = set(direct.values()) | named
    report(f"{len(direct)} events and {len(paths)} endpoints called directly", f"{found}; {len(light)} light events")
    assert len(direct) > 30 and found == {404} and len(narrow.session.submitted) == before
    assert all(fn.concurrency_id != DEVICE["concurrency_id"] for fn in light)


def raw(narrow: Served, request: bytes, wait: float) -> tuple[bytes, float]:
    """The answer to bytes that are sent as they are, and the seconds until the server ends it."""
    place = urlsplit(narrow.url)
    began = time.monotonic()
    with socket.create_connection((str(place.hostname), int(place.port or 80)), timeout=wait) as connection:
        connection.sendall(request.replace(b"HOST", place.netloc.encode()))
        return connection.recv(4096), time.monotonic() - began


def test_bodies_without_length_too_large_or_slow_are_refused(http: httpx.Client, narrow: Served) -> None:
    start = b"POST /gradio_api/upload HTTP/1.1\r\nHost: HOST\r\n"
    chunked, _ = raw(narrow, start + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", 20)
    huge = uploaded(http, b"x" * (MB + 1)).status_code
    many = http.post("gradio_api/upload", files=[("files", (f"{i}.png", b"x" * 30_000)) for i in range(60)]).status_code
    form = b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\n\r\n--x\r\n"
    slow, seconds = raw(narrow, start + form, 20)
    statuses = f"{chunked[9:12]!r}, {huge}, {many}, {slow[9:12]!r} in {seconds:.1f} s"
    report("no length, 1 MB + 1, 60 files, a stalled body", statuses)
    assert chunked[9:12] == b"411" and huge == many == 413 and slow[9:12] == b"408" and seconds < 10


def test_a_picture_that_is_too_large_takes_no_memory(http: httpx.Client) -> None:
    buffer = io.BytesIO()
    Image.new("L", (9000, 9000)).save(buffer, "PNG", compress_level=1)
    path = uploaded(http, buffer.getvalue()).json()[0]
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    good = {"path": uploaded(http, small_png()).json()[0], "meta": {"_type": "gradio.FileData"}}
    before, words, slowest = memory(), set(), 0.0
    for name, arguments in (("reconstruct", {"picture": file}), ("inpaint", {"picture": good, "mask": file})):
        began = time.monotonic()
        event = http.post(f"gradio_api/call/v2/{name}", json=arguments).json()["event_id"]
        words.add(http.get(f"gradio_api/call/{name}/{event}").text.partition("error")[2][:90])
        slowest = max(slowest, time.monotonic() - began)
    grown = (memory() - before) / MB
    report("a PNG of 9000x9000 pixels as picture and as mask", f"{words} in {slowest:.2f} s, +{grown:.0f} MB")
    assert all("9000x9000" in one for one in words) and grown < 50


def memory() -> int:
    """Bytes of main memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_an_editor_takes_few_layers_and_keeps_few_pictures(http: httpx.Client, narrow: Served) -> None:
    editor = next(key for key, block in narrow.page.blocks.items() if isinstance(block, gr.ImageEditor))
    kept = narrow.page.blocks[editor].blob_storage  # type: ignore[attr-defined]

    def send(index: str, name: str = "one", kind: str = "layer") -> int:
        data = {"component_id": str(editor), "session_hash": "x", "fn_name": "accept_blobs", "type": kind, "id": name}
        files = {"file": ("x.png", b"1" * 1000)}
        return http.post("gradio_api/component_server", data={**data, "index": index}, files=files).status_code

    bad = {index: send(index) for index in ("100000000", "-1", str(MAX_EDITOR_LAYERS), "1e9", "9" * 30, "٣٣٣")}
    long = send("0", "x" * 1000)
    assert send("0") == send("null", "two", "background") == 200
    for i in range(60):
        send("0", f"id{i}")
    report(f"layers {list(bad)}, then 60 editors", f"{set(bad.values())}, {long}; {len(kept)} are kept")
    assert set(bad.values()) == {400} and long == 400 and len(kept) == 32
    kept.clear()
    other = {"data": [], "component_id": editor, "session_hash": "x", "fn_name": "preprocess"}
    assert http.post("gradio_api/component_server", json=other).status_code == 404


def test_visits_keep_little_memory(narrow: Served, http: httpx.Client) -> None:
    holder = narrow.page.app.state_holder
    for i in range(8):
        holder[f"visit{i}"]
    size = len(json.dumps(SessionState(narrow.page).config_values, default=str))
    report("8 visits with room for 4", f"{len(holder.session_data)} are kept, about {size / MB:.1f} MB each")
    assert len(holder.session_data) == holder.capacity == 4
    assert all(profile.web.sessions * size < 400 * MB for profile in PROFILES.values())


def test_overload_is_answered_at_once_with_the_expected_wait(http: httpx.Client, narrow: Served) -> None:
    events = 4
    most = [0]
    picture = {"path": uploaded(http, small_png()).json()[0], "meta": {"_type": "gradio.FileData"}}
    body = {"picture": picture, "methods": ["w"], "settings": {"w.steps": 40}}

    def join(_: int) -> tuple[httpx.Response, float]:
        began = time.monotonic()
        answer = http.post("gradio_api/call/v2/reconstruct", json=body)
        status = narrow.session.status()
        most[0] = max(most[0], len(status.waiting) + len(status.running))
        return answer, time.monotonic() - began

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(join, range(2 * events + 4)))
    accepted = [answer.json()["event_id"] for answer, _ in answers if answer.status_code == 200]
    refused = [(answer, seconds) for answer, seconds in answers if answer.status_code != 200]
    ends = [http.get(f"gradio_api/call/reconstruct/{key}").text for key in accepted]
    slowest = max(seconds for _, seconds in refused)
    words = {answer.json()["detail"] for answer, _ in refused}
    report(f"{len(answers)} runs, room for {events}", f"{len(accepted)} accepted, else {words} in {slowest:.2f} s")
    assert len(accepted) >= events and most[0] <= events and {answer.status_code for answer, _ in refused} == {503}
    assert all(re.search("Please try again in", text) for text in words) and slowest < 5
    assert all("event: complete" in text for text in ends), "every accepted one has a result"


def test_a_full_disk_ends_uploads_and_runs_in_words_and_the_next_ones_work(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*values: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def run() -> str:
        file = {"path": uploaded(http, small_png()).json()[0], "meta": {"_type": "gradio.FileData"}}
        body = {"picture": file, "methods": ["w"], "settings": {"w.steps": 2}}
        event = http.post("gradio_api/call/v2/reconstruct", json=body).json()["event_id"]
        return http.get(f"gradio_api/call/reconstruct/{event}").text

    with monkeypatch.context() as patch:
        patch.setattr("gradio.route_utils.NamedTemporaryFile", full)
        refused = uploaded(http, small_png())
    with monkeypatch.context() as patch:
        patch.setattr(images, "write_png", full)
        failed = run()
    report("a full disk for an upload, then for results", f"{refused.status_code} {refused.text}; {failed[-130:]}")
    assert refused.status_code == 507 and refused.json()["detail"] == DISK_FULL and DISK_FULL in failed
    assert "event: complete" in run()


def test_uploads_have_a_quota(http: httpx.Client) -> None:
    statuses = [uploaded(http, b"x" * 900_000, f"{i}.png").status_code for i in range(4)]
    words = uploaded(http, b"x" * 900_000).json()["detail"]
    report("5 uploads of 0.9 MB with a quota of 2 MB", f"{statuses}; {words}")
    assert statuses[-1] == 429 and "exceed 2 MB in an hour" in words and 200 in statuses
