"""Upload fields. What arrives is decoded by `inversion.images` alone: it knows limits, formats and rotation.

Gradio would decode first, where a file that is no picture ends in an error without words, and a rotated photo stays
rotated. So the fields' own `preprocess` is replaced, on the instance: for a subclass Gradio would write a stub file
beside our source at every start. It builds a component anew, from its class, when an event returns `gr.update` for it:
so no event may do that to these fields; values are fine, and a column around a field can be shown and hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from inversion import images
from ui.parts import inputs
from ui.parts.inputs import InputError, explained

LAYERS = 8  # of an editor; more than a person paints, fewer than fill the memory
PAINT = "#24967e"
CANVAS = 512  # pixels a side


def picture_field(label: str, elem_id: str, height: int = 300) -> gr.Image:
    """A field for one picture; its value is the path of the uploaded file, or None."""
    field = gr.Image(
        label=label,
        type="filepath",
        image_mode=None,
        format="png",
        sources=["upload", "clipboard"],
        height=height,
        placeholder="Drop a picture, click to upload,\nor paste one",
        elem_id=elem_id,
    )
    field.preprocess = _path  # type: ignore[method-assign]
    return field


def mask_editor(label: str, elem_id: str) -> gr.ImageEditor:
    """A field for a picture to paint on; its value is (picture uint8 (H, W, 3), painted mask uint8 (H, W)), or None."""
    editor = gr.ImageEditor(
        label=label,
        image_mode="RGBA",
        format="png",
        sources=("upload", "clipboard"),
        transforms=(),
        layers=False,
        brush=gr.Brush(default_size="auto", colors=[PAINT], default_color=PAINT, color_mode="fixed"),
        buttons=["fullscreen"],
        height=420,
        canvas_size=(512, 512),
        elem_id=elem_id,
    )

    def preprocess(payload: Any) -> tuple[np.ndarray, np.ndarray] | None:  # noqa: ANN401 - Gradio's EditorData
        if payload is None:
            return None
        # The page sends the pictures ahead, under an id; scripts and untouched examples name files.
        parts = editor.blob_storage.pop(payload.id, None) if payload.id is not None else payload
        if parts is None or parts.background is None:
            return None
        with explained():
            picture = np.asarray(images.read(_source(parts.background)))
            return picture, _painted([layer for layer in parts.layers if layer is not None], picture.shape)

    editor.preprocess = preprocess  # type: ignore[method-assign, assignment]
    return editor


def canvas(label: str, elem_id: str, colours: Sequence[str], size: int) -> gr.ImageEditor:
    """A white canvas to draw on; its value is what is seen, uint8 (H, W, 3), or None.

    size: of the brush at first, in pixels of a canvas with CANVAS a side. Files come by `drawing_upload`, and so by our
    own decoder.
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
        placeholder="Choose the brush at the left, then draw",
        elem_id=elem_id,
    )

    def preprocess(payload: Any) -> np.ndarray | None:  # noqa: ANN401 - Gradio's EditorData
        if payload is None:
            return None
        parts = editor.blob_storage.pop(payload.id, None) if payload.id is not None else payload
        if parts is None:
            return None
        with explained():
            seen = parts.composite if parts.composite is not None else parts.background
            return None if seen is None else np.asarray(images.read(_source(seen)))

    editor.preprocess = preprocess  # type: ignore[method-assign, assignment]
    return editor


def drawing_upload(field: gr.ImageEditor, label: str, elem_id: str) -> None:
    """A button that puts a file into a canvas."""
    button = gr.UploadButton(label, file_types=["image"], size="sm", elem_id=elem_id)

    def put(path: str | None) -> np.ndarray:
        with explained():
            return inputs.picture(path)

    button.upload(put, button, field, queue=False, show_progress="hidden", api_visibility="private")


def examples_strip(paths: Sequence[Path], field: gr.Image | gr.ImageEditor, elem_id: str) -> None:
    """Thumbnails that put their picture into the field. (`gr.Examples` returns `gr.update`.)"""
    strip = gr.Dataset(
        components=[gr.Image(render=False, format="png")],
        samples=[[str(path)] for path in paths],
        label="Examples",
        layout="gallery",
        elem_id=elem_id,
    )
    # A field takes the thumbnail's own file, and what a field has held is deleted after a while. Gradio's mark that
    # spares it is on the component inside, which it does not ask.
    strip.keep_in_cache.update(sample["path"] for [sample] in strip.samples)
    strip.click(lambda sample: sample[0], strip, field, queue=False, show_progress="hidden", api_visibility="private")


def _painted(layers: Sequence[Any], shape: tuple[int, ...]) -> np.ndarray:
    """White where any layer is painted on. Raises InputError or BadImage."""
    mask = np.zeros(shape[:2], np.uint8)
    if len(layers) > LAYERS:
        raise InputError(f"The editor has more than {LAYERS} layers: clear it and paint again.")
    for layer in layers:
        strokes = images.read(_source(layer))  # on white, and the brush is not white
        if strokes.size != (shape[1], shape[0]):
            strokes = strokes.resize((shape[1], shape[0]), Image.Resampling.NEAREST)
        mask[(np.asarray(strokes) < 255).any(axis=2)] = 255
    return mask


def _path(payload: Any) -> str | None:  # noqa: ANN401 - Gradio's ImageData
    return None if payload is None else payload.path


def _source(part: Any) -> str | bytes:  # noqa: ANN401 - bytes, or Gradio's FileData
    return bytes(part) if isinstance(part, bytes | bytearray | memoryview) else inputs.held(str(part.path))
