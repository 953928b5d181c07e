"""Copies of editors: an event reads them instead, so that an editor sends its pictures once for each click."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.events import Dependency

from ui.parts.events import QUIET
from ui.parts.uploads import bounded
from ui.parts.values import Update, Values


class Copies:
    """Components that no page shows, one for each editor among some fields.

    Gradio asks all inputs of an event for their values a second time, after the server has the event, to clear messages
    about them. An editor then encodes its pictures again and sends them, while the first result is due.
    """

    def __init__(self, fields: Iterable[gr.Image | gr.ImageEditor]) -> None:
        self._of: dict[Block, gr.ImageEditor] = {}
        for field in fields:
            if isinstance(field, gr.ImageEditor):
                copy = gr.ImageEditor(visible=False, format="png", elem_id=f"{field.elem_id}-copy")
                copy.preprocess = field.preprocess  # type: ignore[method-assign]
                self._of[field] = bounded(copy)

    def on(
        self,
        event: Callable[..., Dependency],
        function: Callable[[Values, gr.Request], Iterator[Update]],
        given: set[Block],
        outputs: list[Any],
        **options: Any,  # noqa: ANN401 - of `event`
    ) -> Dependency:
        """Call a function at an event. Its values are those of `given`, with the editors themselves as keys."""
        if not self._of:
            return event(function, given, outputs, **options)
        editors, copies = list(self._of), list(self._of.values())
        script = "value => value" if len(editors) == 1 else "(...values) => values"

        def named(values: Values, request: gr.Request) -> Iterator[Update]:
            yield from function({**values, **{field: values[copy] for field, copy in self._of.items()}}, request)

        sent = event(None, editors, copies, js=script, **QUIET)
        return sent.then(named, {*given, *copies} - {*editors}, outputs, **options)
