"""The tab for analyses: what the papers claim, checked on the visitor's own picture."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import ClassVar

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from inversion.analysis import ANALYSES, Report, analysis_of
from inversion.serving import catalogue
from inversion.serving.catalogue import MethodCard
from inversion.serving.session import JobView, Request, UnknownJob
from inversion.tasks import DEFAULT_TASK
from ui.history.form import FormValues, analysis_form, crop_of_request, typed
from ui.history.kept import KeptFields, kept_requests, picture_file, reopened
from ui.history.reopen import detail_of
from ui.parts import inputs
from ui.parts.arguments import naming
from ui.parts.context import PageContext
from ui.parts.endpoint import Answer, Endpoint, job_answers
from ui.parts.events import DEVICE, PRIVATE, QUIET
from ui.parts.export import PictureFiles
from ui.parts.fields import FIELDS_SCRIPT, changed_settings, section
from ui.parts.framing import Framing, Source
from ui.parts.inputs import errors_as_messages, whole
from ui.parts.markup import begun_line, slot, status_line
from ui.parts.reports import introduction, report_files, report_html, report_notes, report_status
from ui.parts.results import STATUS_SCRIPT
from ui.parts.seed import seed_field
from ui.parts.settings import model_choices
from ui.parts.streams import Streams
from ui.parts.uploads import PictureInput, examples_strip, offer_place
from ui.parts.values import Options, Parameters, Update, Values
from ui.tabs.base import Tab

INTRO = "Check what the papers claim on your own picture: choose an effect, read what to look at, and run it."
FIRST = "Upload a picture or choose an example, then press Run."
BUDGET = 120.0  # seconds of an analysis, unless the host allows less
SUMMARY = "Check an effect that a paper describes on a picture: pictures, plots and a table."
NOTES = {"kind": f"one of {', '.join(ANALYSES)}.", "settings": "{field: value} of the analysis."}
EVENTS = "Every event has rows: one object, whose last state has the finding, the table and the plots of the analysis."


class Analyse(Tab):
    """A menu of analyses, each with three sentences that explain it, and its report."""

    key: ClassVar[str] = "analyse"
    label: ClassVar[str] = "Analyse"
    takes_pictures: ClassVar[bool] = True

    def __init__(self, context: PageContext) -> None:
        super().__init__(context)
        # As with the jobs of tasks, the key survives a reload of the page, and the "secret" is none.
        self.stored = gr.BrowserState(None, storage_key="inversion-hub-analyse", secret="job-key-of-a-tab")  # noqa: S106
        self.streams = Streams()
        context.openers[self.key] = self.label

    def build(self, tab: gr.Tab) -> None:
        self.job = gr.State(None)  # the key of the job that is shown
        gr.Markdown(INTRO, elem_classes="intro")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320, elem_classes="controls"):
                self._build_controls()
            with gr.Column(scale=8, min_width=320, elem_classes="results"):
                self._build_results()
        self._wire()

    def _build_controls(self) -> None:
        first = next(iter(ANALYSES))
        self.kind = gr.Dropdown(kind_choices(), value=first, label="Effect", elem_id=f"{self.key}-kind")
        self.intro = gr.HTML(introduction(analysis_of(first)), elem_id=f"{self.key}-claim", apply_default_css=False)
        self.upload = PictureInput("Picture", f"{self.key}-picture", paints=False)
        offer_place(self.key)
        self.crop = Framing(f"{self.key}-picture", self.context.session)
        self.examples = examples_strip(self.context.examples, self.upload.component, f"{self.key}-examples")
        with gr.Row():
            self.model = gr.Dropdown(
                model_choices(self.context.models), value=self.context.model, label="Model", min_width=170, scale=3
            )
            self.seed = seed_field(min_width=90, scale=1)
        with gr.Row(elem_classes="run-bar"):
            self.run = gr.Button("Run", variant="primary", elem_id=f"{self.key}-run", scale=3, min_width=90)
            self.stop = gr.Button("Cancel", elem_id=f"{self.key}-cancel", scale=1, min_width=90)
        with gr.Accordion("Advanced", open=False, elem_id=f"{self.key}-advanced"):
            self.typed = gr.HTML(
                {},
                restored=None,
                rows=section(first, card_of(first)),
                html_template=slot("rows"),
                js_on_load=FIELDS_SCRIPT,
                apply_default_css=False,
                elem_id=f"{self.key}-fields",
            )
        fields = {"kind": self.kind, "model": self.model, "seed": self.seed, "typed": self.typed}
        self.kept = KeptFields(self.key, fields, {"typed": typed}, framings={"crop": self.crop})

    def _build_results(self) -> None:
        self.status = gr.HTML(status_line(FIRST), js_on_load=STATUS_SCRIPT, elem_id=f"{self.key}-status")
        self.about = gr.HTML(elem_id=f"{self.key}-about")
        self.report = gr.HTML(elem_id=f"{self.key}-report", apply_default_css=False)
        with gr.Row(equal_height=True, elem_classes="report-files"):
            self.sheet = gr.DownloadButton("Pictures (png)", interactive=False, elem_id=f"{self.key}-sheet")
            self.table = gr.DownloadButton("Table (csv)", interactive=False, elem_id=f"{self.key}-table")
            self.figures = gr.DownloadButton("Figures and plots (json)", interactive=False)

    def _wire(self) -> None:
        jobs = self.context.own_jobs
        self.kind.change(
            lambda key: [introduction(analysis_of(key)), gr.update(rows=section(key, card_of(key)))],
            self.kind, [self.intro, self.typed], **QUIET,
        )  # fmt: skip
        given: set[Block] = {self.upload.component, self.kind, self.model, self.seed, self.typed, self.job, jobs.owner}
        outputs = [*self.outputs(), jobs.timer]
        started: Options = {"trigger_mode": "multiple", **DEVICE, **PRIVATE}  # another Run replaces the running job
        self.run.click(self.start, given | self.crop.inputs(), outputs, **started)
        self.status.back(self.come_back, [self.job, self.stored], outputs, **started)
        self.status.again(self.run_again, [self.job, jobs.owner], outputs, **started)
        self.stop.click(self.cancel, self.job, None, **QUIET)
        picture = self.upload.component
        self._wire_reopening()
        self.crop.wire(Source(picture, self.upload.picture, self.model, self.examples, None, self.context.examples))

    def _wire_reopening(self) -> None:
        picture, jobs = self.upload.component, self.context.own_jobs
        shown = [*self.outputs(), jobs.timer, *self.kept.outputs()]
        given = [self.job, jobs.owner]
        self.kept.opener.reopened(self.reopen, given, shown, trigger_mode="multiple", **DEVICE, **PRIVATE)
        self.pictures = {"fetched": picture}

        def file(requests: tuple[Request, ...]) -> str:
            return picture_file(requests[0].picture, requests[0].name, picture)

        self.kept.wire(self.context.session, {"fetched": (picture, file)})

    def outputs(self) -> list[Block]:
        """Every component that a run updates."""
        return [self.status, self.about, self.report, self.sheet, self.table, self.figures, self.job, self.stored]

    def on_load(self, page: gr.Blocks) -> None:
        page.load(self.resume, self.stored, self.outputs(), **DEVICE, **PRIVATE)

    def model_menus(self) -> list[Component]:
        return [self.model]

    def start(self, values: Values, request: gr.Request) -> Iterator[Update]:
        """Run the chosen analysis instead of this tab's job, and show its report as it grows."""
        session = self.context.session
        with errors_as_messages():
            owner, place = values[self.context.own_jobs.owner] or "", self.place(request)
            key = session.submit([self._request(values)], owner=owner, place=place, replaces=values[self.job])
        first: Update = {self.job: key, self.stored: key, self.status: begun_line()}
        first |= self.context.own_jobs.started()
        yield from self.streams.newest(request, chain([first], self._updates(key)))

    def _request(self, values: Values) -> Request:
        """The request of the chosen analysis. Raises UserError."""
        kind, model = values[self.kind], values[self.model]
        given = self.upload.read(values[self.upload.component])
        return Request(
            task=DEFAULT_TASK,
            method=kind,
            picture=given.picture,
            model=model,
            settings=changed_settings(card_of(kind), values[self.typed], kind),
            seed=whole(values[self.seed], "The seed"),
            budget=min(BUDGET, self.context.session.budget),
            crop=self.crop.crop(given.picture, model, values),
            notes=given.notes,
            analysis=kind,
        )

    def _updates(self, key: str) -> Iterator[Update]:
        """Follow a job until it is over. Raises UnknownJob."""
        shown: Report | None = None
        with tempfile.TemporaryDirectory() as folder:
            for i, view in enumerate(self.context.session.follow(key)):
                update: Update = {self.status: report_status(view)}
                if i == 0:
                    update |= {self.about: report_notes(view), self.report: ""}
                    update |= {part: gr.update(interactive=False) for part in (self.sheet, self.table, self.figures)}
                report = view.runs[0].report
                if report is not None and report is not shown:
                    shown = report
                    update[self.report] = report_html(report)
                if view.over:
                    update |= self._downloads(view, Path(folder))
                yield update

    def _downloads(self, view: JobView, folder: Path) -> Update:
        files = report_files(view, folder)
        if files is None:
            return {}
        parts = {self.sheet: files.sheet, self.table: files.table, self.figures: files.figures}
        return {part: gr.update(value=str(path), interactive=True) for part, path in parts.items() if path is not None}

    def resume(self, key: str | None, request: gr.Request) -> Iterator[Update]:
        """After a reload, follow the job that this browser was watching."""
        if self.opens_link(request):
            yield {self.job: gr.skip()}
            return
        try:
            self.context.session.snapshot(key if isinstance(key, str) else "")
        except UnknownJob:  # expired, or there is none
            yield {self.job: None, self.stored: None}
            return
        yield from self.streams.newest(request, chain([{self.job: key}], self._updates(str(key))))

    def come_back(self, key: str | None, stored: str | None, request: gr.Request) -> Iterator[Update]:
        """When a page is shown again that was in the background, follow its job again, or say that it is gone."""
        try:
            self.context.session.snapshot(str(key or stored))
        except UnknownJob:
            text = "<b>This job has expired.</b> Press Run to start it again."
            yield {self.job: None, self.stored: None, self.status: status_line(text)}
            return
        yield from self.resume(key or stored, request)

    def run_again(self, key: str | None, owner: str | None, request: gr.Request) -> Iterator[Update]:
        """Run a job again that ended because no client was connected."""
        again = self.copied(key, owner, request)
        first: Update = {self.job: again, self.stored: again, **self.context.own_jobs.started()}
        yield from self.streams.newest(request, chain([first], self._updates(again)))

    def reopen(
        self, shown: str | None, owner: str | None, request: gr.Request, event: gr.EventData
    ) -> Iterator[Update]:
        """Show an earlier analysis with its fields, or run it again; without a run, only fill the fields."""
        detail = detail_of(event)
        session, key = self.context.session, detail.get("key")
        if not key:
            pictures = self.pictures if kept_requests(session, detail) else {}
            yield self.kept.answer(detail.get("form"), detail.get("picture"), pictures)
            return
        key = reopened(session, detail, owner or "", self.place(request), shown)
        requests = kept_requests(session, {"key": key})
        form = form_of(requests[0]) if requests else None
        first: Update = {self.job: key, self.stored: key, **self.context.own_jobs.started()}
        first |= self.kept.answer(form, key, self.pictures if requests else {})
        yield from self.streams.newest(request, chain([first], self._updates(key)))

    def cancel(self, key: str | None) -> None:
        """End the job that is shown, if it is still running."""
        with suppress(UnknownJob):
            self.context.session.cancel(key or "")

    def endpoint(self, common: Mapping[str, Component]) -> Endpoint:
        menu = gr.Dropdown(list(ANALYSES), value=next(iter(ANALYSES)), label="kind")
        parameters: dict[str, Component] = {"picture": common["picture"], "kind": menu}
        parameters |= {name: common[name] for name in ("model", "seed", "settings", "budget", "align")}
        return Endpoint(self.key, SUMMARY, parameters, self.answers, NOTES, EVENTS)

    def answers(self, values: Parameters) -> Iterator[Answer]:
        """Run an analysis for a script."""
        session, model = self.context.session, values["model"]
        with errors_as_messages():
            decoded = inputs.decoded_picture(values["picture"])
            picture = inputs.picture(values["picture"])
            with naming("settings"):
                analysis_of(values["kind"]).configured(values["settings"])
            request = Request(
                task=DEFAULT_TASK,
                method=values["kind"],
                picture=picture,
                model=model,
                settings=values["settings"],
                seed=whole(values["seed"], "seed"),
                budget=inputs.number(values["budget"], "budget", 1, session.budget),
                crop=session.crop(picture, model, values["align"]),
                notes=decoded.notes,
                analysis=values["kind"],
            )
            key = session.submit([request])
        yield from job_answers(session, key, report_answer)


def report_answer(view: JobView, files: PictureFiles) -> Answer:
    """The last answer of an endpoint: the report's row, its pictures, and their sheet."""
    run, written = view.runs[0], report_files(view, files.folder)
    row = {**(run.row or {}), "label": run.label, "state": run.state, "message": run.message}
    shown = () if run.report is None else run.report.pictures
    pictures = [(files.path(f"picture-{i}", one.pixels), f"{one.title} {one.figures}") for i, one in enumerate(shown)]
    return Answer([row], pictures, None if written is None or written.sheet is None else str(written.sheet))


def form_of(request: Request) -> FormValues:
    """What the fields of the tab were for a request."""
    crop = {"crop": crop_of_request(request)}
    return {**analysis_form(request.analysis, request.model, request.seed, request.settings), **crop}


def card_of(key: str) -> MethodCard:
    """The fields of an analysis as the page shows those of a method."""
    return MethodCard(key, ANALYSES[key].label, ANALYSES[key].paper, "", catalogue.analysis_fields(key), "optimise")


def kind_choices() -> list[tuple[str, str]]:
    """The analyses as (label, key)."""
    return [(kind.label, key) for key, kind in ANALYSES.items()]
