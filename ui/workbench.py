"""One tab at work: its inputs at the left, results at the right, and the events between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.blocks import Block

from inversion.session import UnknownJob
from ui.inputs import explained
from ui.markup import READY, status_line
from ui.results import Panel, Update
from ui.settings import Settings, choices, missing_note
from ui.tab import Desk, Tab

# Handlers that run methods stream from the session, whose one worker has the device; so many may watch at a time.
LANE: dict[str, Any] = {"concurrency_id": "device", "concurrency_limit": 12}
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

SHOW_RESULTS = """() => {
  if (window.innerWidth < 760) document.getElementById('%s-status').scrollIntoView({behavior: 'smooth'});
}"""


class Workbench:
    """Lays out one tab and wires it."""

    def __init__(self, tab: Tab, desk: Desk) -> None:
        self.tab, self.desk = tab, desk
        self.job = gr.State(None)  # the key of the job shown; nothing else is kept per visitor
        self.kept = gr.BrowserState(None, storage_key=f"inversion-hub-{tab.key}", secret="job-key-only")  # noqa: S106
        gr.Markdown(tab.intro, elem_classes="intro")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320):
                self.controls = tab.controls(desk)
                self._examples()
                self.settings = Settings(tab, desk)
                with gr.Row():
                    self.run = gr.Button("Run", variant="primary", elem_id=f"{tab.key}-run", scale=3)
                    self.stop = gr.Button("Cancel", elem_id=f"{tab.key}-cancel", scale=1, min_width=90)
            with gr.Column(scale=9, min_width=320):
                self.panel = Panel(tab.key)
        self._wire()

    def _examples(self) -> None:
        gr.Examples(
            [[str(example.path)] for example in self.desk.examples],
            [self.controls["picture"]],
            label="Examples",
            api_visibility="private",
            elem_id=f"{self.tab.key}-examples",
        )

    def _wire(self) -> None:
        inputs: set[Block] = {*self.controls.values(), *self.settings.inputs(), self.panel.left}
        outputs = [*self.panel.outputs(), self.job, self.kept]
        self.run.click(
            self._start, inputs, outputs, show_progress_on=self.panel.status, **LANE, **PRIVATE
        )  # fmt: skip
        # On a phone the results are below the fold.
        self.run.click(None, js=SHOW_RESULTS % self.tab.key, queue=False, **PRIVATE)
        self.stop.click(self._cancel, self.job, None, queue=False, **PRIVATE)
        self.panel.left.input(self._compare, [self.job, self.panel.left], self.panel.outputs(), queue=False, **PRIVATE)
        self.settings.model.input(
            self._switch,
            [self.settings.model, self.settings.methods],
            [self.settings.methods, self.settings.missing, self.panel.status],
            concurrency_id="models",
            **PRIVATE,
        )

    def on_load(self, page: gr.Blocks) -> None:
        """After a reload, pick up the job that this browser was watching."""
        outputs = [*self.panel.outputs(), self.job, self.kept]
        page.load(self._resume, [self.kept, self.panel.left], outputs, **LANE, **PRIVATE)

    def _start(self, values: dict[Any, Any]) -> Iterator[Update]:
        with explained():
            own = {name: values[component] for name, component in self.controls.items()}
            fields = self.tab.read(own, self.settings.seed_of(values))
            key = self.desk.session.submit(self.settings.requests(values, fields))
        yield {self.job: key, self.kept: key, self.panel.status: status_line("<b>Starting</b>", 0.0)}
        yield from self.panel.updates(self.desk.session, key, values[self.panel.left])

    def _resume(self, key: str | None, left: str) -> Iterator[Update]:
        if not isinstance(key, str):
            yield {self.job: None}
            return
        try:
            self.desk.session.snapshot(key)
        except UnknownJob:  # expired, or the server has restarted
            yield {self.job: None, self.kept: None}
            return
        yield {self.job: key}
        yield from self.panel.updates(self.desk.session, key, left)

    def _cancel(self, key: str | None) -> None:
        if key is None:
            gr.Info("Nothing is running in this tab.")
            return
        with explained():
            self.desk.session.cancel(key)

    def _compare(self, key: str | None, left: str) -> Update:
        if key is None:
            return {self.panel.status: gr.skip()}
        with explained():
            return self.panel.compare(self.desk.session.snapshot(key), left)

    def _switch(self, model: str, chosen: list[str]) -> Iterator[Update]:
        """Offer the methods that the model can serve. A first use may download it."""
        yield {self.panel.status: status_line("<b>Loading the model</b>", 0.0)}
        try:
            with explained():
                missing = self.desk.session.unavailable(model)
        except gr.Error:
            yield {self.panel.status: status_line("This model could not be loaded.", bad=True)}
            raise
        usable = [key for key in chosen if key not in missing]
        yield {
            self.settings.methods: gr.update(choices=choices(self.desk.methods, missing), value=usable),
            self.settings.missing: gr.update(value=missing_note(self.desk.methods, missing), visible=bool(missing)),
            self.panel.status: status_line(READY),
        }
