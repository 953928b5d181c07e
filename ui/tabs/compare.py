"""The tab that puts pictures of all tabs, and files of the visitor, side by side. It needs no server."""

from __future__ import annotations

from typing import ClassVar

import gradio as gr

from ui.tabs.base import Tab

INTRO = """
Compare results of all tabs, and your own picture files: side by side, on a slider, or as maps of differences.
"""


class Compare(Tab):
    """The viewer of `static/viewer.js`, which takes the pictures from the page."""

    key: ClassVar[str] = "compare"
    label: ClassVar[str] = "Compare"
    takes_pictures: ClassVar[bool] = True

    def build(self, tab: gr.Tab) -> None:
        gr.Markdown(INTRO, elem_classes="intro")
        gr.HTML('<div class="viewer-host"></div>', elem_id="compare-viewer", apply_default_css=False)
