"""The tab for inpainting: everything outside a hole is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gradio as gr
import numpy as np

from ui.parts import inputs
from ui.parts.uploads import mask_editor, picture_field
from ui.tab import Cropper, Desk, Tab


class Inpaint(Tab):
    key: ClassVar[str] = "inpaint"
    label: ClassVar[str] = "Inpaint"
    intro: ClassVar[str] = (
        "Paint over a part, and the generator fills it. Everything outside the hole stays exactly yours."
    )
    measured: ClassVar[str] = "My picture already has the hole"

    def controls(self, desk: Desk) -> dict[str, gr.components.Component]:
        editor = mask_editor("Picture: paint over the part to fill", f"{self.key}-picture")
        kinds = [(label, kind) for kind, label in inputs.HOLES.items()]
        kind = gr.Radio(kinds, value="painted", label="Hole", elem_id="inpaint-hole")
        with gr.Column(visible=False) as box:
            mask = picture_field("Mask: white marks the hole", f"{self.key}-mask", height=180)
        kind.change(
            lambda chosen: gr.update(visible=chosen == "uploaded"),
            kind,
            box,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
        return {"picture": editor, "kind": kind, "mask": mask}

    def picture(self, values: Mapping[str, Any]) -> np.ndarray:
        if values["picture"] is None:
            raise inputs.InputError(inputs.NO_PICTURE)
        return values["picture"][0]

    def read(self, values: Mapping[str, Any], seed: int, crop: Cropper) -> dict[str, Any]:
        picture = self.picture(values)
        chosen = crop(picture)
        mask = inputs.hole(values["kind"], values["picture"][1], values["mask"], seed, chosen.quad)
        return {"picture": picture, "crop": chosen, "inputs": {"mask": mask}}
