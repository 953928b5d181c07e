"""Upload fields. Only `inversion.images` decodes uploads: it knows limits, formats and rotation.

If Gradio decoded them, a file that is not a picture would end in an error without a text, and a rotated photo would
stay rotated. So `preprocess` is replaced on each field. It is replaced on the instance because Gradio writes a stub
file beside the source of a subclass at every start. Events must not return `gr.update` for these fields, because Gradio
then makes a new component of the original class. Events may return values, and may show or hide a column around a
field.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np
from fastapi import HTTPException
from gradio.components.base import server
from gradio.components.image_editor import AcceptBlobs, EditorData, EditorDataBlobs
from gradio.data_classes import FileData, ImageData
from gradio.processing_utils import save_file_to_cache
from PIL import Image

from inversion import images
from inversion.translations import InputKind
from ui.examples import thumbnail
from ui.parts import inputs
from ui.parts.events import CROPS, PRIVATE, QUIET
from ui.parts.inputs import InputError, errors_as_messages
from ui.parts.originals import original_of
from ui.parts.values import Value

MAX_EDITOR_LAYERS = 8  # limits the memory that one upload can take
MAX_EDITOR_ID = 64  # characters
MAX_EDITORS, MAX_EDITOR_BYTES = 32, 256 * 2**20  # whose parts have come and wait for their event
PAINT = "#24967e"
CANVAS = 512  # pixels a side


def picture_field(label: str, elem_id: str, height: int = 184) -> gr.Image:
    """A field for one picture; its value is the path of the uploaded file, or None."""
    field = gr.Image(
        label=label,
        type="filepath",
        image_mode=None,
        format="png",
        sources=["upload", "webcam", "clipboard"],
        height=height,
        placeholder="Drop a picture, click to upload,\nor paste one",
        elem_id=elem_id,
    )
    field.preprocess = _path  # type: ignore[method-assign]
    return field


class Painted(NamedTuple):
    """The value of a `mask_editor`."""

    picture: np.ndarray  # uint8 (H, W, 3)
    mask: np.ndarray  # uint8 (H, W), white where the picture is painted on
    notes: tuple[str, ...] = ()  # on the picture, for the user
    erased: np.ndarray | None = None  # uint8 (H, W), white where the picture is transparent


def mask_editor(label: str, elem_id: str) -> gr.ImageEditor:
    """A field for a picture to paint on; its value is `Painted`, or None."""
    editor = gr.ImageEditor(
        label=label,
        image_mode="RGBA",
        format="png",
        sources=("upload", "webcam", "clipboard"),
        transforms=(),
        layers=False,
        brush=gr.Brush(default_size="auto", colors=[PAINT], default_color=PAINT, color_mode="fixed"),
        buttons=["fullscreen"],
        height=250,
        canvas_size=(512, 512),
        placeholder="Drop a picture\nor click to upload one,\nthen paint over a part",
        elem_id=elem_id,
    )

    def preprocess(payload: EditorData | None) -> Painted | None:
        if payload is None:
            return None
        # The page sends the pictures first, under an id; scripts and untouched examples name files.
        parts = editor.blob_storage.pop(payload.id, None) if payload.id is not None else payload
        if parts is None or parts.background is None:
            return None
        with errors_as_messages():
            decoded = original_of(images.decode(_source(parts.background)))
            picture = np.asarray(decoded.picture)
            mask = _painted(_layers(parts), picture.shape)
            return Painted(picture, mask, decoded.notes, decoded.erased)

    editor.preprocess = preprocess  # type: ignore[method-assign, assignment]
    return bounded(editor)


def drawing_canvas(label: str, elem_id: str, colours: Sequence[str], size: int, named: bool = False) -> gr.ImageEditor:
    """A white canvas to draw on; its value is the visible picture, uint8 (H, W, 3), or None.

    size: diameter of the brush at first, in pixels of a canvas with CANVAS pixels a side. named: leave room in the
    brush's menu for a name beside each colour. Files come through `drawing_upload`, which decodes them.
    """
    editor = gr.ImageEditor(
        label=label,
        image_mode="RGBA",
        format="png",
        sources=(),
        transforms=(),
        layers=False,
        brush=gr.Brush(default_size=size, colors=list(colours), default_color=colours[0], color_mode="fixed"),
        eraser=gr.Eraser(default_size=2 * size),
        buttons=["fullscreen"],
        height=560,
        canvas_size=(CANVAS, CANVAS),
        placeholder="Draw here",
        elem_id=elem_id,
        elem_classes=["drawing-canvas", *(["palette"] if named else [])],
    )

    def preprocess(payload: EditorData | None) -> np.ndarray | None:
        if payload is None:
            return None
        parts = editor.blob_storage.pop(payload.id, None) if payload.id is not None else payload
        if parts is None:
            return None
        with errors_as_messages():
            if parts.composite is not None:  # of a picture that was put into the field, see also `ui.frontend`
                return np.asarray(images.read(_source(parts.composite)))
            visible = [_source(part) for part in (parts.background, *_layers(parts)) if part is not None]
            return np.asarray(images.read_stack(visible[0], visible[1:])) if visible else None

    editor.preprocess = preprocess  # type: ignore[method-assign, assignment]
    return bounded(editor)


def bounded(editor: gr.ImageEditor) -> gr.ImageEditor:
    """The editor, which takes few layers of few visitors: Gradio keeps any number until an event reads them."""
    accept = editor.accept_blobs

    def accept_blobs(data: AcceptBlobs) -> None:
        index = str(data.data.get("index") or "null")
        if len(str(data.data.get("id"))) > MAX_EDITOR_ID or not data.files:
            raise HTTPException(400, "The parts of the editor have no valid form.")
        if index != "null" and not (index.isdecimal() and len(index) < 3 and int(index) < MAX_EDITOR_LAYERS):
            raise HTTPException(400, f"The editor takes at most {MAX_EDITOR_LAYERS} layers.")
        accept(data)
        kept = editor.blob_storage
        while len(kept) > MAX_EDITORS or (len(kept) > 1 and sum(map(_size, kept.values())) > MAX_EDITOR_BYTES):
            del kept[next(iter(kept))]  # the oldest

    editor.accept_blobs = server(accept_blobs)
    return editor


def _size(blobs: EditorDataBlobs) -> int:
    """Bytes of the parts of an editor."""
    return sum(len(part) for part in (blobs.background, blobs.composite, *blobs.layers) if part)


def drawing_upload(field: gr.ImageEditor, kind: InputKind, elem_id: str) -> None:
    """A button that puts a file into a canvas for this kind of input."""
    button = gr.UploadButton(kind.upload, file_types=["image"], size="sm", elem_id=elem_id)

    def put(path: str | None) -> np.ndarray:
        with errors_as_messages():
            if not path:
                raise InputError(inputs.NO_PICTURE)
            decoded = kind.decode(inputs.existing(path))
        if decoded.notes:
            gr.Info(escape(" ".join(decoded.notes)))
        return np.asarray(decoded.picture)

    button.upload(put, button, field, **CROPS, **PRIVATE)


def offer_place(key: str) -> None:
    """Below an upload: offers the picture of another tab (`static/sending.js`), and shows several (`several.js`)."""
    parts = '<button type="button" class="offer" hidden></button><div class="strip" role="group" '
    parts += 'aria-label="Your pictures" hidden></div>'
    gr.HTML(parts, elem_id=f"{key}-offer", apply_default_css=False)


class PictureInput:
    """The upload of a task's tab: a picture, or a picture to paint a mask on."""

    def __init__(self, label: str, elem_id: str, paints: bool) -> None:
        self.paints = paints
        self.component: gr.Image | gr.ImageEditor = (mask_editor if paints else picture_field)(label, elem_id)

    def read(self, value: Value) -> Painted:
        """Picture, mask and notes; nothing is marked if the field is not painted on. Raises InputError or BadImage."""
        if not self.paints:
            decoded = inputs.decoded_picture(value)
            picture = np.asarray(decoded.picture)
            return Painted(picture, np.zeros(picture.shape[:2], np.uint8), decoded.notes, decoded.erased)
        if value is None:
            raise InputError(inputs.NO_PICTURE)
        return Painted(*value)

    def picture(self, value: Value) -> np.ndarray:
        """The picture, uint8 (H, W, 3). Raises InputError or BadImage."""
        return self.read(value).picture


def examples_strip(paths: Sequence[Path], field: gr.Image | gr.ImageEditor, elem_id: str) -> gr.Dataset:
    """Thumbnails that put their picture into the field; the value is an index. (`gr.Examples` returns `gr.update`.)"""
    strip = gr.Dataset(
        components=[gr.Image(render=False, format="png")],
        samples=[[str(thumbnail(path))] for path in paths],
        label="Examples",
        layout="gallery",
        type="index",
        elem_id=elem_id,
    )
    # Gradio deletes files of fields after a while. Its mark that keeps a file is on the inner component, where it does
    # not look for it.
    files = [save_file_to_cache(path, strip.GRADIO_CACHE) for path in paths]
    strip.keep_in_cache.update([*files, *(sample["path"] for [sample] in strip.samples)])
    taken = strip.click(lambda index: files[index], strip, field, **QUIET)
    if isinstance(field, gr.ImageEditor):  # it has no address of its picture
        key = (field.elem_id or "").removesuffix("-picture")
        note = f"index => {{ window.hub?.took('{key}', {json.dumps(files)}[index]); return []; }}"
        taken.success(None, strip, None, js=note, **QUIET)
    return strip


def _painted(layers: Sequence[FileData | bytes], shape: tuple[int, ...]) -> np.ndarray:
    """White where any layer is painted on. Raises InputError or BadImage."""
    mask = np.zeros(shape[:2], np.uint8)
    for layer in layers:
        strokes = Image.fromarray(images.read_layer(_source(layer)))
        if strokes.size != (shape[1], shape[0]):
            strokes = strokes.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
        mask[np.asarray(strokes) > 127] = 255
    return mask


def _layers(parts: EditorData | EditorDataBlobs) -> list[FileData | bytes]:
    """What is painted in an editor, the lowest layer first. Raises InputError if there are too many."""
    layers = [layer for layer in parts.layers if layer is not None]
    if len(layers) > MAX_EDITOR_LAYERS:
        raise InputError(f"The editor has more than {MAX_EDITOR_LAYERS} layers. Clear it and paint again.")
    return layers


def _path(payload: ImageData | None) -> str | None:
    return None if payload is None else payload.path


def _source(part: FileData | bytes) -> str | bytes:
    return bytes(part) if isinstance(part, bytes | bytearray | memoryview) else inputs.existing(str(part.path))
