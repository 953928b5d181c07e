"""Which part of the picture is used: the face, the centre, or a part set by hand; with a preview before a run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any

import gradio as gr
import numpy as np
from gradio.blocks import Block

from inversion import align
from inversion.align import Crop
from inversion.serving.session import Session
from ui.parts.events import CROPS, PRIVATE, QUIET
from ui.parts.export import PictureFiles
from ui.parts.inputs import errors_as_messages, number, whole
from ui.parts.views import picture_view

PREVIEW = 256  # pixels a side
CHOICES = [("Automatic", "auto"), ("Face", "face"), ("Centre", "centre"), ("By hand", "hand")]
INFO = "Automatic: the face for models of aligned faces, the central square for all other models."


class CropBox:
    """The controls; `crop` reads them."""

    def __init__(self, key: str, session: Session) -> None:
        self.session = session
        with gr.Accordion("Crop", open=False, elem_id=f"{key}-crop"):
            self.how = gr.Radio(CHOICES, value="auto", label="Part of the picture", info=INFO)
            with gr.Column(visible=False) as self.of_face:
                self.face = gr.Number(1, label="Which face (1 is the largest)", precision=0, minimum=1, maximum=99)
            with gr.Column(visible=False) as self.of_hand:
                self.x = gr.Slider(0, 100, 50, step=1, label="Horizontal centre (%)")
                self.y = gr.Slider(0, 100, 50, step=1, label="Vertical centre (%)")
                self.side = gr.Slider(5, 200, 80, step=1, label="Size (% of the picture's shorter side)")
                self.turn = gr.Slider(-180, 180, 0, step=1, label="Rotate clockwise (degrees)")
            self.look = gr.Button("Preview the crop", size="sm", elem_id=f"{key}-look")
            self.note = gr.HTML(elem_classes="note", elem_id=f"{key}-crop-note")
            with gr.Column(elem_classes="part"):
                self.preview = picture_view("preview of the crop", f"{key}-crop-preview")

    def inputs(self) -> set[gr.components.Component]:
        """Every component that `crop` reads."""
        return {self.how, self.face, self.x, self.y, self.side, self.turn}

    def wire(self, picture: Block, model: Block, read: Callable[[Any], np.ndarray]) -> None:
        """Preview the crop when the button is pressed or a slider is released.

        picture, model: components of the tab. read: the picture's value -> uint8 (H, W, 3); may raise UserError.
        """
        self.how.change(
            lambda how: [gr.update(visible=how == "face"), gr.update(visible=how == "hand")],
            self.how,
            [self.of_face, self.of_hand],
            **QUIET,
        )

        def show(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
            yield from self.show(lambda: read(values[picture]), values[model], values)

        given: set[Block] = {picture, model, *self.inputs()}
        outputs: list[Any] = [self.note, self.preview]
        for event in (self.look.click, self.x.release, self.y.release, self.side.release, self.turn.release):
            event(show, given, outputs, **CROPS, **PRIVATE)

    def crop(self, picture: np.ndarray, model: str, values: Mapping[Any, Any]) -> Crop:
        """The chosen part of uint8 (H, W, 3). Raises UserError."""
        how = values[self.how]
        if how != "hand":
            return self.session.crop(picture, model, how, whole(values[self.face], "The face", 1, 99))
        x, y = (number(values[part], "The centre of the crop", 0, 100) / 100 for part in (self.x, self.y))
        side, turn = (
            number(values[self.side], "The size of the crop", 5, 200),
            number(values[self.turn], "The rotation of the crop", -180, 180),
        )
        return align.by_hand((picture.shape[1], picture.shape[0]), x, y, side / 100, turn)

    def show(self, read: Callable[[], np.ndarray], model: str, values: Mapping[Any, Any]) -> Iterator[dict[Any, Any]]:
        """Updates of the preview and of the note below it."""
        try:
            with errors_as_messages():
                picture = read()
                chosen = self.crop(picture, model, values)
        except gr.Error:
            yield {self.note: None, self.preview: None}  # the old preview would be wrong
            raise
        height, width = picture.shape[:2]
        quad = chosen.quad or align.by_hand((width, height), 0.5, 0.5, 1).quad
        with tempfile.TemporaryDirectory() as folder:
            part = None if quad is None else align.cut(picture, quad, PREVIEW)
            yield {self.note: escape(chosen.note), self.preview: PictureFiles(folder).path("part", part)}
