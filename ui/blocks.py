"""The description of the page that the browser gets, made once."""

from __future__ import annotations

import gradio as gr
from gradio.blocks import BlocksConfig
from gradio.renderable import Renderable

from ui.parts.values import Value


class OnceDescribed(BlocksConfig):
    """Components and events of a page. Gradio describes all of them six times until the page is served.

    Their attributes must not change once the page is complete; components and events that are added count.
    """

    def __init__(self, root_block: gr.Blocks) -> None:
        super().__init__(root_block)
        self._described: tuple[Value, Value] = ((), {})

    def get_config(self, renderable: Renderable | None = None) -> Value:
        """As of Gradio."""
        if renderable is not None:
            return super().get_config(renderable)
        parts = (tuple(self.blocks), tuple(self.fns))
        if self._described[0] != parts:
            self._described = (parts, super().get_config())
        return self._described[1]
