"""The tab for inpainting: everything outside a hole is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gradio as gr

from ui import inputs
from ui.tab import Desk, Tab

PAINT = "#24967e"


class Inpaint(Tab):
    key: ClassVar[str] = "inpaint"
    label: ClassVar[str] = "Inpaint"
    intro: ClassVar[str] = (
        "Paint over a part, and the generator fills it. Everything outside the hole stays exactly yours."
    )
    measured: ClassVar[str] = "The hole of my picture holds nothing to compare with"

    def controls(self, desk: Desk) -> dict[str, gr.components.Component]:
        editor = gr.ImageEditor(
            label="Picture: paint over the part to fill",
            image_mode="RGBA",
            format="png",
            sources=("upload", "clipboard"),
            transforms=(),
            layers=False,
            brush=gr.Brush(default_size="auto", colors=[PAINT], default_color=PAINT, color_mode="fixed"),
            buttons=["fullscreen"],
            height=420,
            canvas_size=(512, 512),
            elem_id="inpaint-picture",
        )
        kinds = [(label, kind) for kind, label in inputs.HOLES.items()]
        kind = gr.Radio(kinds, value="painted", label="Hole", elem_id="inpaint-hole")
        mask = gr.Image(
            label="Mask: white marks the hole",
            type="filepath",
            image_mode=None,
            format="png",
            sources=["upload", "clipboard"],
            height=180,
            visible=False,
            elem_id="inpaint-mask",
        )
        kind.change(
            lambda chosen: gr.update(visible=chosen == "uploaded"),
            kind,
            mask,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
        return {"picture": editor, "kind": kind, "mask": mask}

    def read(self, values: Mapping[str, Any], seed: int) -> dict[str, Any]:
        picture, painted = inputs.edited(values["picture"])
        return {"picture": picture, "mask": inputs.hole(values["kind"], painted, values["mask"], seed)}
