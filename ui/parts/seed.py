"""The field for a seed, with a button that draws another one."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ui.parts.events import QUIET
from ui.parts.inputs import MAX_SEED

DRAW = "() => Math.floor(Math.random() * 10000)"  # short, so that it can be read and typed again


def seed_field(**place: Any) -> gr.Number:  # noqa: ANN401 - as a component takes them
    """The field, 0 at first, so that results can be repeated. place: of the component in its row."""
    another = gr.Button("Random seed", size="sm")
    field = gr.Number(
        0, label="Seed", precision=0, minimum=0, maximum=MAX_SEED, buttons=[another], elem_classes="seed", **place
    )
    another.click(None, outputs=field, js=DRAW, **QUIET)
    return field
