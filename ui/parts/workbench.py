"""One tab at work: its inputs at the left, results at the right, and the events between them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from html import escape
from itertools import chain
from typing import Any

import gradio as gr
from gradio.blocks import Block

from inversion.serving.session import UnknownJob
from ui.parts.crop import CROPS, CropBox
from ui.parts.inputs import explained
from ui.parts.markup import READY, status_line
from ui.parts.results import Panel
from ui.parts.settings import Settings
from ui.parts.streams import Streams, Update
from ui.parts.uploads import examples_strip
from ui.static import script
from ui.tab import Desk, Tab

# Handlers that run methods stream from the session, whose one worker has the device; so many may watch at a time.
LANE: dict[str, Any] = {"concurrency_id": "device", "concurrency_limit": 24}
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

SHOW_RESULTS = script("show_results")


def remembered(tab: str) -> gr.BrowserState:
    """The key of a tab's last job in the browser's own storage. To be made outside the tabs: they mount when opened."""
    # Not a secret: it only has to be the same after a restart, so that what is stored can be read and found expired.
    return gr.BrowserState(None, storage_key=f"inversion-hub-{tab}", secret="job-key-of-a-tab")  # noqa: S106


class Workbench:
    """Lays out one tab and wires it. `kept` outlives a reload of the page."""

    def __init__(self, tab: Tab, desk: Desk, kept: gr.BrowserState) -> None:
        self.tab, self.desk, self.kept = tab, desk, kept
        self.job = gr.State(None)  # the key of the job shown; nothing else is kept per visitor
        gr.Markdown(tab.intro, elem_classes="intro")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320):
                self.controls = tab.controls(desk)
                examples_strip(desk.examples, self.controls["picture"], f"{tab.key}-examples")
                self.crop = CropBox(tab, desk)
                self.settings = Settings(tab, desk)
                with gr.Row():
                    self.run = gr.Button("Run", variant="primary", elem_id=f"{tab.key}-run", scale=3, min_width=90)
                    self.stop = gr.Button("Cancel", elem_id=f"{tab.key}-cancel", scale=1, min_width=90)
                self.settings.advanced()
            with gr.Column(scale=9, min_width=320, elem_classes="results"):
                self.panel = self._panel()
        self.streams = Streams()
        self._wire()

    def _panel(self) -> Panel:
        """Lay out the results."""
        return Panel(self.tab.key, self.desk.models)

    def _wire(self) -> None:
        inputs: set[Block] = {*self.controls.values(), *self.crop.inputs(), *self.settings.inputs(), self.panel.left}
        outputs = [*self.panel.outputs(), self.job, self.kept]
        self.run.click(
            self._start, inputs, outputs, show_progress_on=self.panel.status, **LANE, **PRIVATE
        )  # fmt: skip
        # On a phone the results are below the fold.
        self.run.click(None, js=SHOW_RESULTS.replace("KEY", self.tab.key), queue=False, **PRIVATE)
        self.stop.click(self._cancel, self.job, None, queue=False, **PRIVATE)
        self.panel.left.input(
            self._compare, [self.job, self.panel.left], self.panel.outputs(), concurrency_id="views", **PRIVATE
        )
        self.crop.wire(self.controls["picture"], self.settings.model)
        whole = [self.panel.pasted, self.panel.pasted_file]
        for i, column in enumerate(self.panel.columns):
            column.box.put(partial(self._paste, i), self.job, whole, **CROPS, **PRIVATE)
        self.settings.model.input(
            self._switch,
            [self.settings.model, self.settings.methods],
            [*self.settings.menus(), self.panel.status],
            concurrency_id="models",
            preprocess=False,  # the choices may have changed since the page sent the ticked ones
            **PRIVATE,
        )

    def on_load(self, page: gr.Blocks) -> None:
        """After a reload, pick up the job that this browser was watching."""
        outputs = [*self.panel.outputs(), self.job, self.kept]
        page.load(
            self._resume, [self.kept, self.panel.left], outputs, show_progress_on=self.panel.status, **LANE, **PRIVATE
        )

    def _start(self, values: dict[Any, Any], request: gr.Request) -> Iterator[Update]:
        model = values[self.settings.model]
        with explained():
            own = {name: values[component] for name, component in self.controls.items()}
            crop = partial(self.crop.crop, model=model, values=values)
            fields = self.tab.read(own, self.settings.seed_of(values), crop)
            key = self.desk.session.submit(self.settings.requests(values, fields))
        first: Update = {self.job: key, self.kept: key, self.panel.status: status_line("<b>Starting</b>", 0.0)}
        updates = self.panel.updates(self.desk.session, key, values[self.panel.left])
        yield from self.streams.newest(request, chain([first], updates))

    def _resume(self, key: str | None, left: str, request: gr.Request) -> Iterator[Update]:
        if not isinstance(key, str):
            yield {self.job: None}
            return
        try:
            self.desk.session.snapshot(key)
        except UnknownJob:  # expired, or the server has restarted
            yield {self.job: None, self.kept: None}
            return
        updates = self.panel.updates(self.desk.session, key, left)
        yield from self.streams.newest(request, chain([{self.job: key}], updates))

    def _cancel(self, key: str | None) -> None:
        if key is None:
            gr.Info("Nothing is running in this tab.")
            return
        with explained():
            self.desk.session.cancel(key)

    def _compare(self, key: str | None, left: str) -> Iterator[Update]:
        if key is None:
            yield {self.panel.left: gr.skip()}
            return
        with explained():
            view = self.desk.session.snapshot(key)
        yield from self.panel.compare(view, left)

    def _paste(self, index: int, key: str | None) -> Iterator[Update]:
        with explained():
            picture = self.desk.session.pasted(key or "", index)
        yield from self.panel.paste(picture)

    def _switch(self, model: str, chosen: list[str]) -> Iterator[Update]:
        """Offer the methods that the model can serve, which is known when its file is here."""
        if self.desk.session.files.missing(model):
            text = f"<b>{escape(model)}</b> is not here yet: Run downloads it first, or get it in the Models tab."
            yield {**self.settings.offered({}, {}, chosen), self.panel.status: status_line(text)}
            return
        yield {self.panel.status: status_line("<b>Loading the model</b>", 0.0)}
        try:
            with explained():
                missing, without = self.desk.session.unavailable(model)
        except gr.Error:
            yield {self.panel.status: status_line("This model could not be loaded.", bad=True)}
            raise
        yield {**self.settings.offered(missing, without, chosen), self.panel.status: status_line(READY)}
