"""The tab of a task: upload and settings on the left, results on the right, and the events between them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from html import escape
from itertools import chain
from pathlib import Path
from typing import ClassVar

import gradio as gr
import numpy as np
from gradio.blocks import Block
from gradio.components import Component
from gradio.events import Dependency

from inversion.common.errors import UserError
from inversion.serving import catalogue
from inversion.serving.runs import picture_digest
from inversion.serving.session import Request, UnknownJob
from ui.history.form import SAVED_BY_SCRIPTS, Form
from ui.history.reopen import GONE, Parts, Reopening, changed, detail_of, opener
from ui.parts.codes import fetch_script
from ui.parts.context import PageContext
from ui.parts.copies import Copies
from ui.parts.endpoint import LAST, Answer, Endpoint, job_answers, script_requests
from ui.parts.events import CROPS, DEVICE, EDITS, MODELS, PRIVATE, QUIET, VIEWS
from ui.parts.fields import DEFAULT_PRESET
from ui.parts.framing import Framing, Source
from ui.parts.inputs import errors_as_messages
from ui.parts.markup import begun_line, status_line
from ui.parts.precomputed import StoredResults
from ui.parts.results import Panel
from ui.parts.settings import Settings
from ui.parts.streams import Streams
from ui.parts.task_fields import FIELDS, Upload
from ui.parts.uploads import PictureInput, examples_strip, offer_place
from ui.parts.values import Options, Parameters, Update, Values
from ui.tabs.base import Tab
from ui.tabs.words import WORDS, Words


class TaskTab(Tab):
    """The tab of a task, made by `task_tab`; or of a subclass whose results can do more."""

    task: ClassVar[str]
    words: ClassVar[Words]
    takes_pictures: ClassVar[bool] = True

    def __init__(self, context: PageContext) -> None:
        super().__init__(context)
        self.card = catalogue.task(self.task)
        self.fields = [FIELDS[card.kind](card) for card in self.card.fields]
        self.paints = any(field.paints for field in self.fields)
        # The key of the last job survives a reload of the page. The "secret" is none: it is the same after a restart,
        # so that the stored key can be read and found expired.
        name = f"inversion-hub-{self.key}"
        self.stored = gr.BrowserState(None, storage_key=name, secret="job-key-of-a-tab")  # noqa: S106
        self.streams = Streams()
        context.openers[self.key] = self.label

    def build(self, tab: gr.Tab) -> None:
        # The key of the job that is shown, and the example whose stored results are shown: the only state per visitor.
        self.job = gr.State(None)
        self.stored_results = StoredResults(self.context, self.task, self.words.methods)
        gr.Markdown(self.words.intro, elem_classes="intro")
        self.opener = opener(self.key)
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320, elem_classes="controls"):
                self._build_controls()
            with gr.Column(scale=8, min_width=320, elem_classes="results"):
                self.panel = self.results()
        self.wire()

    def _build_controls(self) -> None:
        # The first screen: the list of methods gets the height that is left.
        with gr.Column(elem_classes="first"):
            self.upload = PictureInput(self.words.picture, f"{self.key}-picture", self.paints)
            offer_place(self.key)
            self.crop = Framing(f"{self.key}-picture", self.context.session, self.words.outside)
            self.controls: dict[str, Component] = {}
            for field in self.fields:
                self.controls |= field.controls(self.key, self.words.prefixes.get(field.card.name, ""))
            self.said = gr.HTML(elem_classes="note", elem_id=f"{self.key}-picture-note")
            self.examples = examples_strip(self.context.examples, self.upload.component, f"{self.key}-examples")
            self.settings = Settings(self.key, self.context, self.words.methods, self.words.measured)
        self.settings.more()
        with gr.Row(elem_classes="run-bar"):
            self.run = gr.Button("Run", variant="primary", elem_id=f"{self.key}-run", scale=3, min_width=90)
            self.stop = gr.Button("Cancel", elem_id=f"{self.key}-cancel", scale=1, min_width=90)
        self.settings.advanced(self.words.start)

    def results(self) -> Panel:
        """Lay out the results."""
        return Panel(self.key, self.context.models)

    def wire(self) -> None:
        """Connect the events."""
        panel, settings, jobs = self.panel, self.settings, self.context.own_jobs
        given: set[Block] = {self.upload.component, *self.controls.values(), panel.left}
        given |= self.crop.inputs() | settings.inputs() | {self.job, jobs.owner}
        outputs = [*panel.outputs(), self.job, self.stored, self.stored_results.shown, jobs.timer]
        started: Options = {"trigger_mode": "multiple"}  # another Run replaces the running job
        copies = Copies([self.upload.component])
        copies.on(self.run.click, self.start, given, outputs, **started, **DEVICE, **PRIVATE)
        panel.status.back(self.come_back, [self.job, self.stored, panel.left], outputs, **started, **DEVICE, **PRIVATE)
        panel.status.again(self.run_again, [self.job, jobs.owner, panel.left], outputs, **started, **DEVICE, **PRIVATE)
        self.stop.click(self.cancel, [self.job, jobs.owner], None, **QUIET)
        fetched = self._wire_reopening(outputs)
        shown = [self.job, self.stored_results.shown]
        panel.left.input(self.compare, [*shown, panel.left], panel.outputs(), **VIEWS, **PRIVATE)
        self.stored_results.wire(self.examples, panel, self.streams, settings.model, self.job)
        if self.words.opens_with_results:
            self.stored_results.announce(panel)
        self.examples.click(lambda: "", None, self.said, **QUIET)
        picture = self.upload.component
        picture.upload(self.receive, [picture, *shown], [panel.other, self.said], **CROPS, **PRIVATE)
        for field in self.fields:
            field.wire(self.upload)
        measured = settings.measured if settings.can_be_measured else None
        source = Source(picture, self.upload.picture, settings.model, self.examples, measured, self.context.examples)
        source = replace(source, put=[fetched.then])
        switched = self.crop.wire(source)
        panel.pasting.put(self.paste, self.job, [panel.pasted, panel.pasted_file], **CROPS, **PRIVATE)
        packed = panel.codes.click(self.pack_codes, self.job, [panel.codes_file], **EDITS, **PRIVATE)
        packed.success(None, None, None, js=fetch_script(str(panel.codes_file.elem_id)), **QUIET)
        settings.model.change(self.mark_model, [settings.model, *shown], panel.other_model, **QUIET)
        # Without preprocessing: the choices may have changed since the page sent the selected methods.
        chosen = [settings.model, settings.methods, settings.preset]
        for event in (settings.model.input, switched.then):
            event(self.switch_model, chosen, [*settings.menus(), panel.status], preprocess=False, **MODELS, **PRIVATE)

    def _wire_reopening(self, outputs: list[Component]) -> Dependency:
        """Fill the fields with those of an earlier run, or of the time before a reload; keep them in the browser."""
        form = Form(self.settings, self.crop, self.controls)
        parts = Parts(form, self.upload, self.fields, self.controls)
        self.reopening = Reopening(self.context.session, parts, self.opener)
        given = [self.job, self.stored, self.context.own_jobs.owner, self.panel.left]
        shown = list(dict.fromkeys([*outputs, *self.reopening.outputs()]))
        self.opener.reopened(self.reopen, given, shown, trigger_mode="multiple", **DEVICE, **PRIVATE)
        held = {name: part for name, part in form.parts().items() if name not in SAVED_BY_SCRIPTS}
        names = json.dumps([self.key, list(held)])
        save = f"(...values) => {{ window.hub?.save(...{names}, values); return []; }}"
        changes = [part.change for part in held.values()]  # type: ignore[attr-defined]
        gr.on(changes, None, list(held.values()), None, js=save, **QUIET)
        return self.reopening.wire()

    def on_load(self, page: gr.Blocks) -> None:
        outputs = [*self.panel.outputs(), self.job, self.stored, self.stored_results.shown]
        page.load(self.resume, [self.stored, self.panel.left], outputs, **DEVICE, **PRIVATE)

    def model_menus(self) -> list[Component]:
        return [self.settings.model]

    def method_menus(self) -> list[Component]:
        return self.settings.menus()

    def offered(self, missing: Mapping[str, str], lacking: Mapping[str, str]) -> Update:
        return self.settings.offered(missing, lacking, self.words.methods, self.context.model)

    def start(self, values: Values, request: gr.Request) -> Iterator[Update]:
        """Run the chosen methods instead of this tab's job, and show their progress and results."""
        with errors_as_messages():
            requests = self.requests(values)
            owner, place = values[self.context.own_jobs.owner] or "", self.place(request)
            key = self.context.session.submit(requests, owner=owner, place=place, replaces=values[self.job])
        first: Update = {self.job: key, self.stored: key, self.stored_results.shown: None}
        first |= {self.panel.status: begun_line()}
        first |= self.context.own_jobs.started()
        updates = self.panel.updates(self.context.session, key, values[self.panel.left])
        yield from self.streams.newest(request, chain([first], updates))

    def requests(self, values: Values) -> list[Request]:
        """The requests of a run. Raises UserError."""
        return self.settings.requests(values, self._request_fields(values), self.task)

    def _request_fields(self, values: Values) -> Options:
        """Picture, crop and the task's own inputs. Raises UserError."""
        uploaded, model = values[self.upload.component], values[self.settings.model]
        given = self.upload.read(uploaded)
        picture = given.picture
        crop = self.crop.crop(picture, model, values)
        cropper = partial(self.context.session.crop, model=model)
        seed = self.settings.seed_of(values)
        upload = Upload(picture, given.mask, crop, seed, cropper, [*given.notes], given.erased)
        own = {name: values[control] for name, control in self.controls.items()}
        inputs = {field.card.name: field.read(own, upload) for field in self.fields}
        name = Path(uploaded).name if isinstance(uploaded, str) else ""
        return {"picture": picture, "crop": crop, "inputs": inputs, "notes": tuple(upload.notes), "name": name}

    def receive(self, uploaded: object, key: str | None, example: str | None) -> tuple[str | None, str]:
        """Say that the results are of another picture, and how the file was read."""
        with errors_as_messages():
            read = None if uploaded is None else self.upload.read(uploaded)
        if read is not None and self.stored_results.shows(example, read.picture):  # an editor tells of examples, too
            return None, ""
        if read is not None and self._shows(key, read.picture):
            return None, escape(" ".join(read.notes))
        return self.stored_results.marked(key, example), escape(" ".join(() if read is None else read.notes))

    def _shows(self, key: str | None, picture: np.ndarray) -> bool:
        """Whether the job that is shown is one of this picture, uint8 (H, W, 3)."""
        with suppress(UnknownJob):
            return key is not None and self.context.session.snapshot(key).picture == picture_digest(picture)
        return False

    def mark_model(self, model: str, key: str | None, example: str | None) -> str | None:
        """Say that the results are of another model than the chosen one."""
        return self.stored_results.marked_model(key, example, model)

    def resume(self, key: str | None, left: str, request: gr.Request) -> Iterator[Update]:
        """After a reload, follow the job that this browser was watching."""
        if self.opens_link(request):  # its answer may come before this one
            yield {self.job: gr.skip()}
            return
        try:
            if isinstance(key, str):
                self.context.session.snapshot(key)
        except UnknownJob:  # expired, or the server has restarted
            yield {self.stored: None}
            key = None
        if not isinstance(key, str):
            yield {self.job: None}
            if self.words.opens_with_results:
                yield from self.stored_results.opening(self.panel, left)
            return
        updates = self.panel.updates(self.context.session, key, left)
        yield from self.streams.newest(request, chain([{self.job: key}], updates))

    def come_back(self, key: str | None, stored: str | None, left: str, request: gr.Request) -> Iterator[Update]:
        """When a page is shown again that was in the background, follow its job again, or say that it is gone."""
        key = key or stored
        try:
            self.context.session.snapshot(str(key))
        except UnknownJob:
            text = "<b>This job has expired.</b> Press Run to start it again."
            yield {self.job: None, self.stored: None, self.panel.status: status_line(text)}
            return
        yield from self.resume(key, left, request)

    def run_again(self, key: str | None, owner: str | None, left: str, request: gr.Request) -> Iterator[Update]:
        """Run a job again that ended because no client was connected."""
        again = self.copied(key, owner, request)
        first = {self.job: again, self.stored: again, **self.context.own_jobs.started()}
        updates = self.panel.updates(self.context.session, again, left)
        yield from self.streams.newest(request, chain([first], updates))

    def reopen(
        self,
        shown: str | None,
        stored: str | None,
        owner: str | None,
        left: str,
        request: gr.Request,
        event: gr.EventData,
    ) -> Iterator[Update]:
        """Show an earlier run with its settings, or run it again; without a run, only fill the fields."""
        detail = detail_of(event)
        session, key = self.context.session, detail.get("key")
        if not key:
            yield from self.reopening.streams.newest(request, self.reopening.restored(detail, stored))
            return
        with errors_as_messages():
            if detail.get("run"):
                requests = changed(session.history.requests(str(key)), detail, session)
                place = self.place(request)
                key = session.submit(requests, owner=owner or "", place=place, replaces=shown)
                detail = {"key": key}
            elif not session.history.has(str(key)):
                raise UnknownJob(GONE)
        first: Update = {self.job: key, self.stored: key, self.stored_results.shown: None}
        first |= self.context.own_jobs.started()
        filled = self.reopening.streams.newest(request, self.reopening.restored(detail))
        updates = chain([first | next(filled)], self.panel.updates(session, str(key), left), filled)
        yield from self.streams.newest(request, updates)

    def cancel(self, key: str | None, owner: str | None) -> None:
        """End the job that is shown, if it is still running and was started in this browser."""
        with suppress(UserError):
            self.context.session.cancel(key or "", owner or "")

    def compare(self, key: str | None, example: str | None, left: str) -> Iterator[Update]:
        """Show another picture on the left of the sliders."""
        stored = self.stored_results.find(example, self.context.model)
        if stored is not None:
            yield from self.panel.compare(stored.view, left, stored)
            return
        if key is None:
            yield {self.panel.left: gr.skip()}
            return
        with errors_as_messages():
            view = self.context.session.snapshot(key)
        yield from self.panel.compare(view, left)

    def paste(self, event: gr.EventData, key: str | None) -> Iterator[Update]:
        """Show a result inside the uploaded photo."""
        with errors_as_messages():
            index = getattr(event, "index", None)
            picture = self.context.session.pasted(key or "", index if isinstance(index, int) else -1)
        yield from self.panel.paste(picture)

    def pack_codes(self, key: str | None) -> Iterator[Update]:
        """Make the archive of codes and tuned generators."""
        with errors_as_messages():
            yield from self.panel.pack_codes(self.context.session, key or "")

    def switch_model(self, model: str, selected: list[str], preset: str = DEFAULT_PRESET) -> Iterator[Update]:
        """Offer the methods that the model can serve, which is known once its file is downloaded."""
        session, status = self.context.session, self.panel.status
        if session.files.missing(model):
            text = f"<b>{escape(model)}</b> is not downloaded yet. Run downloads it, or use the Models tab."
            yield {**self.settings.offered({}, {}, selected, model, preset), status: status_line(text)}
            return
        yield {status: status_line("<b>Loading the model</b>", 0.0)}
        try:
            with errors_as_messages():
                missing, lacking = session.unavailable(model)
        except gr.Error:
            yield {status: status_line("This model could not be loaded.", bad=True)}
            raise
        yield {
            **self.settings.offered(missing, lacking, selected, model, preset),
            status: status_line(f"Press Run to use <b>{escape(model)}</b>."),
        }

    def endpoint(self, common: Mapping[str, Component]) -> Endpoint:
        names = [name for name in common if name not in ("measured", *LAST)]
        parameters = {name: common[name] for name in [*names, *(["measured"] if self.words.measured else [])]}
        for field in self.fields:
            parameters |= field.parameters()
        notes = {name: note for field in self.fields for name, note in field.notes().items()}
        parameters |= {name: common[name] for name in LAST}
        return Endpoint(self.key, self.card.description, parameters, self.answers, notes, task=self.task)

    def answers(self, values: Parameters) -> Iterator[Answer]:
        """Run the methods for a script."""
        with errors_as_messages():
            key = self.context.session.submit(script_requests(self.context, self.task, self.fields, values))
        yield from job_answers(self.context.session, key)


def task_tab(task: str) -> type[TaskTab]:
    """The tab of a registered task, with its own words if there are any."""
    card = catalogue.task(task)
    words = WORDS.get(task) or Words(card.label, card.description)
    names = {"key": task, "task": task, "label": words.label, "words": words}
    return type(f"{task.title()}Tab", (TaskTab,), names)
