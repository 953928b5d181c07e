"""Shows the stored comparison of an example, when it is chosen and when the page opens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

import gradio as gr
import numpy as np

from inversion import images
from inversion.serving.session import UnknownJob
from ui.examples.precomputed import OPENING, Comparison, comparison
from ui.parts.context import PageContext
from ui.parts.events import PRIVATE, VIEWS
from ui.parts.markup import other_model, other_picture, precomputed_status
from ui.parts.results import Panel
from ui.parts.streams import Streams, Update


class StoredResults:
    """The comparisons of a tab's first methods, and which of them is shown: `shown` is an example's name, or None."""

    def __init__(self, context: PageContext, task: str, methods: tuple[str, ...]) -> None:
        self.context, self.task, self.methods = context, task, methods
        self.shown = gr.State(None)

    def find(self, example: str | None, model: str) -> Comparison | None:
        """The comparison on an example, None if it is not stored for this model."""
        return None if example is None else comparison(self.task, self.methods, example, model)

    def wire(self, strip: gr.Dataset, panel: Panel, streams: Streams, model: gr.Dropdown, job: gr.State) -> None:
        """Show the comparison of the example that is chosen, unless results of a job are still arriving."""

        def show(
            index: int, chosen: str, key: str | None, before: str | None, left: str, request: gr.Request
        ) -> Iterator[Update]:
            found = self.find(self.context.examples[index].stem, chosen)
            if found is None or self._runs(key):
                yield {panel.other: self.marked(key, before)}
                return
            first: Update = {job: None, self.shown: found.example}
            yield from streams.newest(request, chain([first], panel.stored(found, left)))

        outputs: list[Any] = [*panel.outputs(), job, self.shown]
        strip.click(show, [strip, model, job, self.shown, panel.left], outputs, **VIEWS, **PRIVATE)

    def announce(self, panel: Panel) -> None:
        """Let the page arrive with the status of `opening`, which may come after a newer status."""
        found = self.find(OPENING, self.context.model)
        if found is not None:
            panel.status.value = precomputed_status(found.view, given=False)

    def opening(self, panel: Panel, left: str) -> Iterator[Update]:
        """Updates of a tab, without the status, when the page opens without a job of this browser."""
        found = self.find(OPENING, self.context.model)
        if found is not None:
            yield {self.shown: found.example}
            for update in panel.stored(found, left, given=False):
                yield {part: value for part, value in update.items() if part is not panel.status}

    def shows(self, example: str | None, picture: np.ndarray) -> bool:
        """Whether the stored results that are shown are those of this picture, uint8 (H, W, 3)."""
        paths = [path for path in self.context.examples if path.stem == example]
        return any(np.array_equal(np.asarray(images.read(path)), picture) for path in paths)

    def marked(self, key: str | None, example: str | None) -> str | None:
        """That the results are of another picture than the one just given, None if there are no results.

        key: of the job that is shown, or example: whose stored results are shown.
        """
        found = self.find(example, self.context.model)
        if found is not None:
            return other_picture(found.view.truth)
        if key is None:
            return None
        try:
            view = self.context.session.snapshot(key)
        except UnknownJob:
            return other_picture(None)
        return other_picture(view.measured if view.truth is None else view.truth)

    def marked_model(self, key: str | None, example: str | None, chosen: str) -> str | None:
        """That the results are of another model than the chosen one, else None; see `marked`."""
        found, shown = self.find(example, self.context.model), None
        if found is not None:
            shown = found.view.model
        elif key is not None:
            with suppress(UnknownJob):
                shown = self.context.session.snapshot(key).model
        return None if shown in (None, chosen) else other_model(str(shown), chosen)

    def _runs(self, key: str | None) -> bool:
        """Whether the job is still running."""
        try:
            return key is not None and not self.context.session.snapshot(key).over
        except UnknownJob:
            return False
