"""Components that only show pictures."""

from __future__ import annotations

import gradio as gr


def picture_view(name: str, elem_id: str) -> gr.Image:
    """A picture that cannot be replaced by an upload."""
    return gr.Image(
        format="png", show_label=False, container=False, interactive=False, buttons=["download", "fullscreen"],
        height=230, elem_id=elem_id, alt_text=name,
    )  # fmt: skip


def pictures_view(name: str, elem_id: str, columns: int) -> gr.Gallery:
    """A gallery that cannot be changed."""
    return gr.Gallery(
        label=name, show_label=False, format="png", columns=columns, object_fit="contain", height="auto",
        interactive=False, elem_id=elem_id,
    )  # fmt: skip
