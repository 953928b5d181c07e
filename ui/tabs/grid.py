"""The tab that varies one, two or three things and shows a cell for each combination, see `inversion.grids`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from inversion.common.errors import UserError
from inversion.common.rows import Row
from inversion.common.settings import SettingValue
from inversion.grids import (
    GridPlan,
    Materials,
    Parameter,
    estimate,
    grid_requests,
    parameters,
    plan_grid,
    read_choices,
)
from inversion.methods import PRESETS
from inversion.serving.runs import LaneError, Request
from inversion.serving.session import UnknownJob
from inversion.tasks import DEFAULT_TASK, TASKS
from ui.history.kept import KeptFields, picture_file, reopened
from ui.history.reopen import detail_of
from ui.parts.context import PageContext
from ui.parts.endpoint import Endpoint
from ui.parts.events import CROPS, DEVICE, PRIVATE, QUIET, VIEWS
from ui.parts.fields import DEFAULT_PRESET
from ui.parts.grid_axes import LONGEST, Axes, given_axes, read_axes
from ui.parts.grid_cells import GridPanel, ShownGrid
from ui.parts.grid_endpoint import grid_endpoint
from ui.parts.grid_records import grid_record, masks_of, materials_of, pictures_of, shown_grid
from ui.parts.inputs import decoded_picture, errors_as_messages, existing, sentence, whole
from ui.parts.markup import DOT, begun_line, duration, note, status_line
from ui.parts.results import viewer_button
from ui.parts.seed import seed_field
from ui.parts.settings import BUDGET, model_choices
from ui.parts.streams import Streams
from ui.parts.uploads import PictureInput, examples_strip, offer_place
from ui.parts.values import Options, Update, Values
from ui.tabs.base import Tab

INTRO = """
Vary one, two or three things, such as methods, settings, seeds or pictures: every combination is run, and gets a cell.
"""
FIXED = "Values for all cells, such as `w.lr=0.05; factor=8; mask=random`."
FILES = (
    """Further pictures and masks, to be used on an axis by their names. Without a mask, inpainting takes *centre*."""
)
PICTURE = "picture"  # name of the upload while there is none


class Grid(Tab):
    """A grid is one job whose runs are its cells."""

    key: ClassVar[str] = "grid"
    label: ClassVar[str] = "Grid"
    takes_pictures: ClassVar[bool] = True

    def __init__(self, context: PageContext) -> None:
        super().__init__(context)
        self.stored = gr.BrowserState(None, storage_key="inversion-hub-grid", secret="job-key-of-a-tab")  # noqa: S106
        self.streams = Streams()
        context.openers[self.key] = self.label

    def build(self, tab: gr.Tab) -> None:
        self.job = gr.State(None)
        gr.Markdown(INTRO, elem_classes="intro")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320, elem_classes="controls"):
                self._build_controls()
                self.choices = self._choices()
                self.kept = KeptFields(self.key, {"axes": self.axes.component, **self.choices}, {"axes": given_axes})
            with gr.Column(scale=8, min_width=320, elem_classes="results"):
                self.panel = GridPanel(self.key)
                gr.HTML(viewer_button(self.key), elem_classes="viewer-opener")
        self._wire()

    def _build_controls(self) -> None:
        context = self.context
        self.upload = PictureInput("Picture", f"{self.key}-picture", paints=False)
        offer_place(self.key)
        self.examples = examples_strip(context.examples, self.upload.component, f"{self.key}-examples")
        self.axes = Axes(self.key, parameters(()))
        self.plan = gr.HTML(elem_id=f"{self.key}-plan")
        with gr.Row(elem_classes="run-bar"):
            self.run = gr.Button("Run", variant="primary", elem_id=f"{self.key}-run", scale=3, min_width=90)
            self.stop = gr.Button("Cancel", elem_id=f"{self.key}-cancel", scale=1, min_width=90)
        gr.HTML("<b>The same for all cells</b>, unless an axis varies it", elem_classes="note")
        with gr.Row():
            tasks = [(kind.label, key) for key, kind in TASKS.items()]
            self.task = gr.Dropdown(tasks, value=DEFAULT_TASK, label="Task", min_width=150)
            methods = [(card.label, key) for key, card in context.methods.items()]
            self.method = gr.Dropdown(methods, value="w", label="Method", allow_custom_value=True, min_width=150)
        with gr.Row():
            models = model_choices(context.models)
            self.model = gr.Dropdown(models, value=context.model, label="Model", min_width=170, scale=3)
            presets = [(label, key) for key, label in PRESETS.items()]
            self.preset = gr.Dropdown(presets, value=DEFAULT_PRESET, label="Preset", min_width=110, scale=1)
            self.seed = seed_field(min_width=90, scale=1)
        self.fixed = gr.Textbox(
            label="Other settings", info=FIXED, max_lines=3, max_length=LONGEST, elem_id="grid-fixed"
        )
        with gr.Accordion("More pictures, and masks", open=False, elem_id=f"{self.key}-files"):
            gr.Markdown(FILES, elem_classes="note")
            common: Options = {"file_count": "multiple", "file_types": ["image"], "type": "filepath", "height": 140}
            self.pictures = gr.File(label="Pictures", elem_id=f"{self.key}-pictures", **common)
            self.masks = gr.File(label="Masks", elem_id=f"{self.key}-masks", **common)

    def _choices(self) -> dict[str, Component]:
        """The fields with the values that all cells share."""
        parts = {"task": self.task, "method": self.method, "model": self.model, "preset": self.preset}
        return {**parts, "seed": self.seed, "fixed": self.fixed}

    def _wire(self) -> None:
        panel, jobs, picture = self.panel, self.context.own_jobs, self.upload.component
        base = [*self.choices.values()]
        files = [self.pictures, self.masks]
        given: set[Block] = {picture, self.axes.component, *base, *files, self.job, jobs.owner}
        outputs = [*panel.outputs(), self.job, self.stored, jobs.timer]
        started: Options = {"trigger_mode": "multiple"}
        self.run.click(self.start, given, outputs, **started, **DEVICE, **PRIVATE)
        panel.status.back(self.come_back, self.stored, outputs, **started, **DEVICE, **PRIVATE)
        panel.status.again(self.run_again, [self.job, jobs.owner], outputs, **started, **DEVICE, **PRIVATE)
        self.stop.click(self.cancel, [self.job, jobs.owner], None, **QUIET)
        shown = [*outputs, *self.kept.outputs()]
        self.kept.opener.reopened(self.reopen, [self.job, jobs.owner], shown, **started, **DEVICE, **PRIVATE)
        self._wire_files()
        for event in (self.axes.component.planned, *(part.change for part in base)):  # type: ignore[attr-defined]
            event(self.show_plan, given, self.plan, trigger_mode="always_last", **VIEWS, **PRIVATE)
        for changed in (picture.change, *(field.change for field in files)):
            changed(self.offer_names, given, [self.axes.component, self.plan], **VIEWS, **PRIVATE)

    def _wire_files(self) -> None:
        """Put the pictures and masks of an earlier grid into their fields."""
        upload = self.upload.component

        def first(requests: tuple[Request, ...]) -> str:
            name, pixels = next(iter(pictures_of(requests).items()))
            return picture_file(pixels, name, upload)

        def others(requests: tuple[Request, ...]) -> list[str]:
            return [picture_file(one, name, self.pictures) for name, one in [*pictures_of(requests).items()][1:]]

        fetched = {"fetched": (upload, first), "fetched_pictures": (self.pictures, others)}
        self.kept.wire(self.context.session, fetched)
        self.kept.opener.fetched_masks(self.mask_files, None, self.masks, **CROPS, **PRIVATE)

    def mask_files(self, event: gr.EventData) -> list[str]:
        """The mask files of an earlier grid. Raises gr.Error."""
        session, key = self.context.session, str(getattr(event, "key", None))
        with errors_as_messages():
            about, requests = session.snapshot(key).about, session.history.requests(key)
            plan = self._plan(about["form"], about["pictures"], about["masks"])
        return [picture_file(one, name, self.masks) for name, one in masks_of(plan, requests).items()]

    def on_load(self, page: gr.Blocks) -> None:
        page.load(self.resume, self.stored, [*self.panel.outputs(), self.job, self.stored], **DEVICE, **PRIVATE)

    def model_menus(self) -> list[Component]:
        return [self.model]

    def method_menus(self) -> list[Component]:
        return [self.axes.component]

    def offered(self, missing: Mapping[str, str], lacking: Mapping[str, str]) -> Update:
        return self.axes.without(missing)

    def endpoint(self, common: Mapping[str, Component]) -> Endpoint:
        return grid_endpoint(self.context.session, common)

    def start(self, values: Values, request: gr.Request) -> Iterator[Update]:
        """Run the grid instead of this tab's job, and fill its cells as their runs finish."""
        with errors_as_messages():
            if not values[self.upload.component] and not values[self.pictures]:
                decoded_picture(None)  # says that there is no picture
            form, plan = self._form(values), self._planned(values)
            record = grid_record(plan, form, *self._names(values))
            requests = grid_requests(plan.setups, self._materials(values))
            owner, place = values[self.context.own_jobs.owner] or "", self.place(request)
            session = self.context.session
            key = session.submit(requests, owner=owner, place=place, replaces=values[self.job], about=record)
        first = {self.panel.status: begun_line(), **self.context.own_jobs.started()}
        yield from self._follow(key, request, first)

    def show_plan(self, values: Values) -> str:
        """The number of cells and the expected time, or what is wrong."""
        try:
            plan = self._planned(values)
        except UserError as error:
            return note(sentence(error), bad=True)
        return plan_line(plan, self)

    def offer_names(self, values: Values) -> Update:
        """Offer the names of the files on the axes."""
        return {**self.axes.offered(self._known(values)), self.plan: self.show_plan(values)}

    def cancel(self, key: str | None, owner: str | None) -> None:
        """End the grid that is shown; the finished cells stay."""
        with suppress(UserError):
            self.context.session.cancel(key or "", owner or "")

    def resume(self, stored: object, request: gr.Request) -> Iterator[Update]:
        """After a reload, show the grid that this browser was watching."""
        if self.opens_link(request):
            yield {self.job: gr.skip()}
            return
        try:
            key = self._known_key(stored)
        except UserError:
            yield {self.job: None, self.stored: None}
            return
        yield from self._follow(key, request, {})

    def come_back(self, stored: object, request: gr.Request) -> Iterator[Update]:
        """When a page is shown again that was in the background, follow its grid again, or say that it is gone."""
        try:
            key = self._known_key(stored)
        except UserError:
            text = "<b>This grid has expired.</b> Press Run to start it again."
            yield {self.job: None, self.stored: None, self.panel.status: status_line(text)}
            return
        yield from self._follow(key, request, {})

    def _known_key(self, stored: object) -> str:
        """The key of a grid that can be shown. stored: what the browser remembers. Raises UnknownJob and GridError."""
        key = stored if isinstance(stored, str) else ""
        self._shown(key)
        return key

    def _shown(self, key: str) -> ShownGrid:
        """A grid as the page shows it. Raises UnknownJob and GridError."""
        view = self.context.session.snapshot(key)
        return shown_grid(view, self._requests(key))

    def _requests(self, key: str) -> tuple[Request, ...]:
        """The requests of a grid, () if they are no longer kept."""
        try:
            return self.context.session.history.requests(key)
        except UnknownJob:
            return ()

    def run_again(self, key: str | None, owner: str | None, request: gr.Request) -> Iterator[Update]:
        """Run a grid again that ended because no client was connected."""
        again = self.copied(key, owner, request)
        yield from self._follow(again, request, self.context.own_jobs.started())

    def reopen(
        self, shown: str | None, owner: str | None, request: gr.Request, event: gr.EventData
    ) -> Iterator[Update]:
        """Show an earlier grid with its fields, or run it again; without a run, only fill the fields."""
        detail = detail_of(event)
        session, key = self.context.session, detail.get("key")
        if not key:
            yield self.kept.answer(detail.get("form"))
            return
        place = self.place(request)
        with errors_as_messages():
            if detail.get("run") and (detail.get("model") or detail.get("method")):
                requests, record = self._changed(str(key), detail)
                key = session.submit(requests, owner=owner or "", place=place, replaces=shown, about=record)
                detail = {"key": key}
            key = reopened(session, detail, owner or "", place, shown)
            self._shown(key)
        requests = self._requests(key)
        files: dict[str, Component] = {"fetched": self.upload.component} if requests else {}
        files |= {"fetched_pictures": self.pictures} if len(pictures_of(requests)) > 1 else {}
        about = session.snapshot(key).about
        files |= {"fetched_masks": self.masks} if requests and about.get("masks") else {}
        yield self.kept.answer(about.get("form"), key, files)
        yield from self._follow(key, request, self.context.own_jobs.started())

    def _changed(self, key: str, detail: Mapping[str, Any]) -> tuple[Sequence[Request], Row]:
        """The requests of a grid with another model or method, and its new record. Raises UserError."""
        about, requests = self.context.session.snapshot(key).about, self.context.session.history.requests(key)
        names = about["pictures"], about["masks"]
        form = about["form"] | {name: detail[name] for name in ("model", "method") if detail.get(name)}
        before, plan = self._plan(about["form"], *names), self._plan(form, *names)
        return grid_requests(plan.setups, materials_of(before, requests)), grid_record(plan, form, *names)

    def _follow(self, key: str, request: gr.Request, first: Update) -> Iterator[Update]:
        """Show a grid until it is over. first: goes into the first update."""
        updates = self.panel.updates(self.context.session, key, self._shown(key))
        yield from self.streams.newest(request, chain([{self.job: key, self.stored: key, **first}], updates))

    def _form(self, values: Values) -> dict[str, Any]:
        """What the fields hold, as JSON."""
        axes = {name: [key, text] for name, (key, text) in given_axes(values[self.axes.component]).items()}
        return {"axes": axes, **{name: values[part] for name, part in self.choices.items()}}

    def _planned(self, values: Values) -> GridPlan:
        """The plan of the axes and of the values for all cells. Raises UserError."""
        return self._plan(self._form(values), *self._names(values))

    def _names(self, values: Values) -> tuple[list[str], list[str]]:
        """The names of the pictures and of the mask files."""
        return [*self._named(values, self.pictures, self.upload.component)], [*self._named(values, self.masks)]

    def _plan(self, form: Mapping[str, Any], pictures: Sequence[str], masks: Sequence[str]) -> GridPlan:
        """The plan of a form. pictures, masks: names of the files. Raises UserError."""
        session, known = self.context.session, parameters([*pictures] or [PICTURE], [*masks])
        base: dict[str, SettingValue] = {
            "picture": pictures[0] if pictures else PICTURE,
            "task": form["task"],
            "model": form["model"],
            "preset": form["preset"],
            "seed": whole(form["seed"], "The seed"),
            "budget": min(BUDGET[1], session.budget),
        }
        [base["method"]] = known["method"].values(str(form["method"] or "w"))[:1]
        plan = plan_grid(known, {**base, **read_choices(known, form["fixed"] or "")}, read_axes(form["axes"]))
        if len(plan.setups) > session.limits.runs:
            raise LaneError(f"{len(plan.setups)} runs are too many here: a grid may have {session.limits.runs}.")
        return plan

    def _known(self, values: Values) -> dict[str, Parameter]:
        pictures = list(self._named(values, self.pictures, self.upload.component))
        return parameters(pictures or [PICTURE], list(self._named(values, self.masks)))

    def _named(self, values: Values, files: gr.File, first: Block | None = None) -> dict[str, str]:
        """Paths of uploads by names of their own."""
        paths = [*([values[first]] if first is not None and values[first] else []), *(values[files] or [])]
        found: dict[str, str] = {}
        for path in paths:
            stem, n = Path(path).stem, 1
            while (name := stem if n == 1 else f"{stem}-{n}") in found:
                n += 1
            found[name] = path
        return found

    def _materials(self, values: Values) -> Materials:
        """The files of the grid. Raises InputError and BadImage."""
        pictures = self._named(values, self.pictures, self.upload.component)
        masks = {name: existing(path) for name, path in self._named(values, self.masks).items()}
        return Materials({name: decoded_picture(path) for name, path in pictures.items()}, masks)


def plan_line(plan: GridPlan, tab: Grid) -> str:
    """The size of a grid and its expected time as HTML."""
    size = estimate(plan, tab.context.session.expected)
    sizes = " \N{MULTIPLICATION SIGN} ".join(str(len(axis.values)) for axis in plan.layout.axes)
    parts = [f"<b>{sizes} = {size.cells} cells</b>" if len(plan.layout.axes) > 1 else f"<b>{size.cells} cells</b>"]
    if size.runs < size.cells:
        parts.append(f"{size.runs} runs, because some cells are equal")
    if size.unknown < size.runs:
        parts.append(f"about {duration(size.seconds)}")
    if size.unknown:
        parts.append("time not known yet" if size.unknown == size.runs else f"and {size.unknown} runs of unknown time")
    return f'<div class="note">{DOT.join(parts)}</div>'
