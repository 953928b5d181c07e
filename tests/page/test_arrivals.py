"""Files at the door of the page: what is refused there, and what browsers get to see."""

from __future__ import annotations

import io
import json

import httpx
import numpy as np
import pytest
from helpers.serving import Served
from PIL import Image, features

from inversion import images

BROWSERS = {"PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF"}  # formats that every browser shows
SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "AVIF": "avif", "TIFF": "tif"}
WRITTEN = [name for name in images.FORMATS if name in SUFFIXES and (name != "AVIF" or features.check("avif"))]
OF_A_PAGE = "image/avif,image/webp,image/*,*/*;q=0.8"  # what a browser accepts for a picture of a page
BAD = {
    "text": b"this is not a picture\n" * 9,
    "empty": b"",
    "archive": b"PK\3\4" + bytes(60),
    "page": b"<html><body>login</body></html>",
    "head": b"\x89PNG\r\n\x1a\n" + bytes(20),
    "noise": bytes(range(7, 250)),
}


def file_of(form: str) -> bytes:
    """A picture of one colour in a format."""
    file = io.BytesIO()
    Image.new("RGB", (24, 20), "teal").save(file, format=form)
    return file.getvalue()


def send(site: Served, name: str, data: bytes, query: str) -> httpx.Response:
    """The answer to an upload."""
    return httpx.post(f"{site.url}gradio_api/upload?{query}", files={"files": (name, data)}, timeout=20)


@pytest.mark.parametrize("kind", BAD)
def test_no_field_takes_a_file_that_is_no_picture(site: Served, kind: str) -> None:
    refused = send(site, "picture.png", BAD[kind], "upload_id=x")
    asked = [send(site, name, BAD[kind], "picture=1") for name in ("picture.png", "file", "note.txt")]
    assert refused.status_code == 415 and {one.status_code for one in asked} == {200}
    sentences = [one.json()["detail"] for one in (refused, *asked)]
    assert len(set(sentences)) == 1 and sentences[0].endswith(".") and "/" not in sentences[0], sentences
    assert send(site, "codes.npz", BAD[kind], "upload_id=x").status_code == 200, "not a field for pictures"


@pytest.mark.parametrize("form", WRITTEN)
def test_browsers_show_every_format_that_is_read(site: Served, form: str) -> None:
    data = file_of(form)
    [path] = send(site, f"photo.{SUFFIXES[form]}", data, "picture=1").json()

    def read(accept: str) -> httpx.Response:
        return httpx.get(f"{site.url}gradio_api/file={path}", headers={"accept": accept}, timeout=20)

    assert read("*/*").content == data
    for accept in ("*/*", OF_A_PAGE):  # a browser must not show the one that it has kept as the other
        varies = [name.strip().lower() for name in read(accept).headers.get("vary", "").split(",")]
        assert form in BROWSERS or "accept" in varies
    on_page, by_script = read(OF_A_PAGE), read("image/png")
    assert (on_page.content == data) == (form in BROWSERS)
    assert json.loads(by_script.headers["x-notes"]) == " ".join(images.decode(data).notes)
    for answer in (by_script, *([] if form in BROWSERS else [on_page])):
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert picture.format == "PNG"
            assert np.array_equal(np.asarray(picture), np.asarray(images.read(data)))


def test_a_file_that_may_not_be_read_is_not_shown(site: Served) -> None:
    for path in ("/etc/hostname.tif", "/etc/passwd"):
        answer = httpx.get(f"{site.url}gradio_api/file={path}", headers={"accept": "image/png"}, timeout=20)
        assert answer.status_code >= 400 and "image" not in answer.headers["content-type"]
