"""Which part of the picture is used: found by its face, the centre, or set by hand; with a look at it before a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import gradio as gr
import numpy as np
from gradio.blocks import Block

from inversion import align
from inversion.align import AlignError, Crop
from ui.parts.export import Shown
from ui.parts.inputs import InputError, explained, number, whole
from ui.parts.results import picture_view
from ui.tab import Desk, Tab

# Crops and pasted photos are made on the processor while others compute; so many at a time.
CROPS: dict[str, Any] = {"concurrency_id": "crops", "concurrency_limit": 4}
PREVIEW = 256  # pixels a side
CHOICES = [("Automatic", "auto"), ("Face", "face"), ("Centre", "centre"), ("By hand", "hand")]
INFO = "Automatic: the face for models of aligned faces, the central square for all others."


class CropBox:
    """Lays the controls out when made; `crop` reads them."""

    def __init__(self, tab: Tab, desk: Desk) -> None:
        self.tab, self.desk = tab, desk
        with gr.Accordion("Crop", open=False, elem_id=f"{tab.key}-crop"):
            self.how = gr.Radio(CHOICES, value="auto", label="Part of the picture", info=INFO)
            with gr.Column(visible=False) as self.of_face:
                self.face = gr.Number(1, label="Which face, 1 is the largest", precision=0, minimum=1, maximum=99)
            with gr.Column(visible=False) as self.of_hand:
                self.x = gr.Slider(0, 100, 50, step=1, label="Centre from the left (%)")
                self.y = gr.Slider(0, 100, 50, step=1, label="Centre from the top (%)")
                self.side = gr.Slider(5, 200, 80, step=1, label="Side (% of the shorter side)")
                self.turn = gr.Slider(-180, 180, 0, step=1, label="Turned clockwise (degrees)")
            self.look = gr.Button("Show this part", size="sm", elem_id=f"{tab.key}-look")
            self.note = gr.HTML(elem_classes="note", elem_id=f"{tab.key}-crop-note")
            with gr.Column(elem_classes="part"):
                self.preview = picture_view("the part that is used", f"{tab.key}-crop-preview")

    def inputs(self) -> set[gr.components.Component]:
        """Every component that `crop` reads."""
        return {self.how, self.face, self.x, self.y, self.side, self.turn}

    def wire(self, picture: gr.components.Component, model: gr.components.Component) -> None:
        """Show the part of the picture when asked to, and when a slider is let go."""
        self.how.change(
            lambda how: [gr.update(visible=how == "face"), gr.update(visible=how == "hand")],
            self.how,
            [self.of_face, self.of_hand],
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
        self._picture, self._model = picture, model
        given: set[Block] = {picture, model, *self.inputs()}
        outputs: list[Any] = [self.note, self.preview]
        for event in (self.look.click, self.x.release, self.y.release, self.side.release, self.turn.release):
            event(self._show, given, outputs, show_progress="hidden", api_visibility="private", **CROPS)

    def crop(self, picture: np.ndarray, model: str, values: Mapping[Any, Any]) -> Crop:
        """The chosen part of uint8 (H, W, 3). Raises InputError or LaneError."""
        how = values[self.how]
        if how != "hand":
            return self.desk.session.crop(picture, model, how, whole(values[self.face], "The face", 1, 99))
        x, y = (number(values[part], "The centre of the crop", 0, 100) / 100 for part in (self.x, self.y))
        side, turn = number(values[self.side], "The side", 5, 200), number(values[self.turn], "The turn", -180, 180)
        try:
            return align.by_hand((picture.shape[1], picture.shape[0]), x, y, side / 100, turn)
        except AlignError as error:
            raise InputError(str(error)) from None

    def _show(self, values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        try:
            with explained():
                picture = self.tab.picture({"picture": values[self._picture]})
                chosen = self.crop(picture, values[self._model], values)
        except gr.Error:
            yield {self.note: None, self.preview: None}  # what was shown is no longer what would be used
            raise
        height, width = picture.shape[:2]
        quad = chosen.quad or align.by_hand((width, height), 0.5, 0.5, 1).quad
        with tempfile.TemporaryDirectory() as folder:
            part = None if quad is None else align.cut(picture, quad, PREVIEW)
            yield {self.note: escape(chosen.note), self.preview: Shown(folder).path("part", part)}
