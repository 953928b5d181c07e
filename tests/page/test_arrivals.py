"""Files at the door of the page: what is refused there, and what browsers get to see."""

from __future__ import annotations

import io
import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio.components.image_editor import EditorData, EditorDataBlobs
from helpers.serving import Served
from PIL import Image, features

from inversion import images
from ui.parts.originals import EDITOR_SIDE
from ui.parts.uploads import mask_editor

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
    return encoded(np.full((20, 24, 3), (0, 128, 128), np.uint8), form)


def encoded(pixels: np.ndarray, form: str) -> bytes:
    """The bytes of a file in a format."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=form)
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


@pytest.mark.parametrize("form", sorted({"PNG", "JPEG", "TIFF"} & set(WRITTEN)))
def test_an_editor_gets_a_small_copy_of_a_large_picture_and_the_server_its_original(site: Served, form: str) -> None:
    rows, columns = np.mgrid[:900, :1500]
    large = np.stack([rows % 256, columns % 256, (rows + columns) % 256], axis=2).astype(np.uint8)
    [path] = send(site, f"photo.{SUFFIXES[form]}", encoded(large, form), "picture=1").json()
    address = f"{site.url}gradio_api/file={path}"
    on_page, by_script = (httpx.get(address, headers={"accept": one}, timeout=20) for one in (OF_A_PAGE, "image/png"))
    assert images.read(on_page.content).size == (1500, 900) and by_script.headers["x-small"]
    small = np.asarray(images.read(by_script.content))
    assert small.shape[1] == EDITOR_SIDE and abs(small.shape[0] / small.shape[1] - 0.6) < 0.01
    strokes = np.zeros((*small.shape[:2], 4), np.uint8)
    strokes[100:300, 200:600] = 255
    parts = EditorDataBlobs(background=by_script.content, layers=[encoded(strokes, "PNG")], composite=None)
    editor = mask_editor("x", "x")
    editor.blob_storage["id"] = parts
    painted = editor.preprocess(EditorData(id="id"))
    original = np.asarray(images.read(Path(path)))
    assert painted is not None and np.array_equal(painted.picture, original)
    scale = 1500 / small.shape[1]
    wanted = np.zeros(original.shape[:2], bool)
    wanted[round(100 * scale) : round(300 * scale), round(200 * scale) : round(600 * scale)] = True
    assert (wanted & (painted.mask > 0)).sum() / (wanted | (painted.mask > 0)).sum() > 0.98
    Path(path).unlink()
    editor.blob_storage["id"] = parts
    painted = editor.preprocess(EditorData(id="id"))
    assert painted is not None and np.array_equal(painted.picture, small), "the small copy is used without its original"


def test_a_file_that_may_not_be_read_is_not_shown(site: Served) -> None:
    for path in ("/etc/hostname.tif", "/etc/passwd"):
        answer = httpx.get(f"{site.url}gradio_api/file={path}", headers={"accept": "image/png"}, timeout=20)
        assert answer.status_code >= 400 and "image" not in answer.headers["content-type"]
