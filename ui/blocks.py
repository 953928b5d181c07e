"""The description of the page that the browser gets, made once."""

from __future__ import annotations

import gradio as gr
from gradio.blocks import Block, BlocksConfig
from gradio.components import Component
from gradio.renderable import Renderable

from ui.parts.values import Value

SCHEMAS = ("api_info", "api_info_as_input", "api_info_as_output", "example_inputs")


class OnceDescribed(BlocksConfig):
    """Components and events of a page. Gradio describes all of them six times until the page is served.

    Their attributes must not change once the page is complete; components and events that are added count.
    """

    def __init__(self, root_block: gr.Blocks) -> None:
        super().__init__(root_block)
        self._described: tuple[Value, Value] = ((), {})

    def __copy__(self) -> VisitorConfig:
        """The parts of a visitor."""
        copied = VisitorConfig(self.root_block)
        vars(copied).update(vars(super().__copy__()))
        return copied

    def get_config(self, renderable: Renderable | None = None) -> Value:
        """As of Gradio."""
        if renderable is not None:
            return super().get_config(renderable)
        parts = (tuple(self.blocks), tuple(self.fns))
        if self._described[0] != parts:
            self._described = (parts, self._without_schemas(super().get_config()))
        return self._described[1]

    def _without_schemas(self, config: Value) -> Value:
        """The description; only components of endpoints keep their schemas, which browsers do not read: 1 MB."""
        public = [fn for fn in self.fns.values() if fn.api_visibility != "private"]
        kept = {block._id for fn in public for block in (*fn.inputs, *fn.outputs)}
        for component in config["components"]:
            if component["id"] not in kept:
                for name in SCHEMAS:
                    component.pop(name, None)
        return config


class VisitorConfig(BlocksConfig):
    """Components and events of a visitor.

    Gradio describes all components for each visitor and each call of an endpoint, which takes 0.1 s in the thread of
    the server, for links to the state of a page. The hub serves no such links.
    """

    @staticmethod
    def config_for_block(
        _id: int, rendered_ids: list[int], block: Block | Component, renderable: Renderable | None = None
    ) -> Value:
        """An empty description: nobody reads it."""
        return {}
