"""The tab for super-resolution: the shrunk picture is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gradio as gr

from ui.parts.inputs import whole
from ui.tab import Cropper, Desk, PictureTab


class Superres(PictureTab):
    key: ClassVar[str] = "superres"
    label: ClassVar[str] = "Super-resolve"
    intro: ClassVar[str] = (
        "The picture is shrunk, and the generator fills in the detail. Shrunk again, every result is the small picture."
    )
    measured: ClassVar[str] = "My picture is small already"

    def more_controls(self, desk: Desk) -> dict[str, gr.components.Component]:
        choices = [(f"\N{MULTIPLICATION SIGN}{factor}", factor) for factor in desk.tasks["superres"].fields[0].menu]
        factor = gr.Radio(
            choices, value=4, label="Factor", info="How many times larger the result is.", elem_id="superres-factor"
        )
        return {"factor": factor}

    def read(self, values: Mapping[str, Any], seed: int, crop: Cropper) -> dict[str, Any]:
        return {**super().read(values, seed, crop), "inputs": {"factor": whole(values["factor"], "The factor", 2, 64)}}
