"""A painted mask is kept: for the next picture, as a file, and as a file together with its picture."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.events import Dependency

from inversion import images
from ui.parts.codes import fetch_script
from ui.parts.events import CROPS, PRIVATE, QUIET
from ui.parts.inputs import InputError, errors_as_messages
from ui.parts.masks import FILE, MaskFile, uploaded_mask
from ui.parts.uploads import Painted, PictureInput
from ui.parts.values import Update, Value

NOTHING = "Paint over a part of the picture first, or upload a mask."


class MaskKeeping:
    """A row of buttons that save a mask, and `take`, which its field shows. key: the beginning of their ids."""

    def __init__(self, key: str) -> None:
        self.take = gr.Button("Use the painted mask", size="sm", elem_id=f"{key}-take", render=False)
        with gr.Row(elem_classes="keep-mask") as self.row:
            self.save = gr.Button("Save mask (png)", size="sm", min_width=120, elem_id=f"{key}-save")
            self.both = gr.Button("Save with picture (png)", size="sm", min_width=120, elem_id=f"{key}-save-both")
        self.file = gr.DownloadButton("Mask", elem_id=f"{key}-kept", elem_classes="unseen")

    def wire(self, picture: PictureInput, source: gr.Radio, field: gr.Image, inverted: gr.Checkbox) -> Dependency:
        """Connect the events. Returns the one that puts the painted mask into the field."""

        def take(uploaded: Value) -> np.ndarray:
            with errors_as_messages():
                painted = picture.read(uploaded).mask
                if not painted.any():
                    raise InputError("Paint over a part of the picture first.")
            return painted

        def save(together: bool, uploaded: Value, chosen: str, path: str | None, invert: bool) -> Iterator[Update]:
            with errors_as_messages():
                given = picture.read(uploaded)
                mask = marked(given, path if chosen == FILE else None, invert)
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / ("picture-with-mask.png" if together else "mask.png")
                images.write_png(file, with_hole(given.picture, mask) if together else mask)
                yield {self.file: gr.update(value=str(file))}

        given = [picture.component, source, field, inverted]
        for button, together in ((self.save, False), (self.both, True)):
            made = button.click(partial(save, together), given, [self.file], **CROPS, **PRIVATE)
            made.success(None, None, None, js=fetch_script(str(self.file.elem_id)), **QUIET)
        taken: Dependency = self.take.click(take, picture.component, field, **CROPS, **PRIVATE)
        return taken


def marked(given: Painted, path: str | None, invert: bool) -> np.ndarray:
    """The mask of a file if there is one, else the painted one; uint8 (H, W), white = marked. Raises UserError."""
    height, width = given.mask.shape
    mask = uploaded_mask(MaskFile(path, invert), (height, width)) if path else given.mask
    if not mask.any():
        raise InputError(NOTHING)
    return mask


def with_hole(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) with a mask (H, W) as RGBA (H, W, 4): clear where marked. Reads as a picture and as a mask."""
    return np.dstack([picture, 255 - mask])
