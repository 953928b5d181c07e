"""The tab that varies one, two or three things and shows a cell for each combination, see `inversion.grids`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import ClassVar

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from inversion.common.errors import UserError
from inversion.common.settings import SettingValue
from inversion.grids import (
    GridPlan,
    Layout,
    Materials,
    Parameter,
    estimate,
    grid_requests,
    originals,
    parameters,
    plan_grid,
    read_choices,
)
from inversion.methods import PRESETS
from inversion.serving.runs import LaneError
from inversion.serving.session import UnknownJob
from inversion.tasks import DEFAULT_TASK, TASKS
from ui.parts.context import PageContext
from ui.parts.endpoint import Endpoint
from ui.parts.events import CROPS, DEVICE, PRIVATE, QUIET, VIEWS
from ui.parts.fields import DEFAULT_PRESET
from ui.parts.grid_axes import LONGEST, Axes, read_axes
from ui.parts.grid_cells import GridPanel, ShownGrid
from ui.parts.grid_endpoint import grid_endpoint
from ui.parts.inputs import MAX_SEED, decoded_picture, errors_as_messages, existing, sentence, whole
from ui.parts.markup import DOT, duration, note, status_line
from ui.parts.results import viewer_button
from ui.parts.settings import BUDGET, model_choices
from ui.parts.streams import Streams
from ui.parts.uploads import PictureInput, examples_strip, offer_place
from ui.parts.values import Options, Update, Value, Values
from ui.tabs.base import Tab

INTRO = """
Vary one, two or three things, such as methods, settings, seeds or pictures: every combination is run, and gets a cell.
"""
FIXED = "Values for all cells, such as `w.lr=0.05; factor=8; mask=random`."
FILES = (
    """Further pictures and masks, to be used on an axis by their names. Without a mask, inpainting takes *centre*."""
)
PICTURE = "picture"  # name of the upload while there is none
MAX_SHOWN = 40  # grids that can be shown again after a reload


class Grid(Tab):
    """A grid is one job whose runs are its cells."""

    key: ClassVar[str] = "grid"
    label: ClassVar[str] = "Grid"
    takes_pictures: ClassVar[bool] = True

    def __init__(self, context: PageContext) -> None:
        super().__init__(context)
        self.stored = gr.BrowserState(None, storage_key="inversion-hub-grid", secret="job-key-of-a-tab")  # noqa: S106
        self.streams = Streams()
        self.shown: OrderedDict[str, ShownGrid] = OrderedDict()  # by job, the newest last

    def build(self, tab: gr.Tab) -> None:
        self.job = gr.State(None)
        gr.Markdown(INTRO, elem_classes="intro")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320, elem_classes="controls"):
                self._build_controls()
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
            self.model = gr.Dropdown(models, value=context.model, label="Model", min_width=150, scale=3)
            presets = [(label, key) for key, label in PRESETS.items()]
            self.preset = gr.Dropdown(presets, value=DEFAULT_PRESET, label="Preset", min_width=110, scale=1)
            self.seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=MAX_SEED, min_width=90, scale=1)
        self.fixed = gr.Textbox(
            label="Other settings", info=FIXED, max_lines=3, max_length=LONGEST, elem_id="grid-fixed"
        )
        with gr.Accordion("More pictures, and masks", open=False, elem_id=f"{self.key}-files"):
            gr.Markdown(FILES, elem_classes="note")
            common: Options = {"file_count": "multiple", "file_types": ["image"], "type": "filepath", "height": 140}
            self.pictures = gr.File(label="Pictures", elem_id=f"{self.key}-pictures", **common)
            self.masks = gr.File(label="Masks", elem_id=f"{self.key}-masks", **common)

    def _wire(self) -> None:
        panel, jobs, picture = self.panel, self.context.own_jobs, self.upload.component
        base = [self.task, self.method, self.model, self.preset, self.seed, self.fixed]
        files = [self.pictures, self.masks]
        given: set[Block] = {picture, self.axes.component, *base, *files, self.job, jobs.owner}
        outputs = [*panel.outputs(), self.job, self.stored, jobs.timer]
        started: Options = {"trigger_mode": "multiple"}
        self.run.click(self.start, given, outputs, **started, **DEVICE, **PRIVATE)
        panel.status.back(self.come_back, self.stored, outputs, **started, **DEVICE, **PRIVATE)
        panel.status.again(self.run_again, [self.job, jobs.owner], outputs, **started, **DEVICE, **PRIVATE)
        self.stop.click(self.cancel, [self.job, jobs.owner], None, **QUIET)
        for event in (self.axes.component.planned, *(part.change for part in base)):  # type: ignore[attr-defined]
            event(self.show_plan, given, self.plan, trigger_mode="always_last", **VIEWS, **PRIVATE)
        for field in files:
            checked = field.upload(self.check_files, field, None, **CROPS, **PRIVATE)
            checked.failure(lambda: None, None, field, **QUIET)
        for changed in (picture.change, *(field.change for field in files)):
            changed(self.offer_names, given, [self.axes.component, self.plan], **VIEWS, **PRIVATE)
        received = picture.upload(self.check_files, picture, None, **CROPS, **PRIVATE)
        received.failure(lambda: None, None, picture, **QUIET)

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
            plan = self._planned(values)
            requests = grid_requests(plan.setups, self._materials(values))
            owner, place = values[self.context.own_jobs.owner] or "", f"{request.session_hash} {self.key}"
            key = self.context.session.submit(requests, owner=owner, place=place, replaces=values[self.job])
        self._remember(key, ShownGrid(plan.layout, plan.title, *originals(requests)))
        yield from self._follow(key, request, status_line("<b>Starting</b>", 0.0))

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

    def check_files(self, paths: Value) -> None:
        """Refuse a file without a picture."""
        with errors_as_messages():
            for path in paths if isinstance(paths, list) else [paths] * bool(paths):
                decoded_picture(path)

    def cancel(self, key: str | None, owner: str | None) -> None:
        """End the grid that is shown; the finished cells stay."""
        with suppress(UserError):
            self.context.session.cancel(key or "", owner or "")

    def resume(self, stored: object, request: gr.Request) -> Iterator[Update]:
        """After a reload, show the grid that this browser was watching."""
        try:
            key = self._recall(stored)
        except UserError:
            yield {self.job: None, self.stored: None}
            return
        yield from self._follow(key, request, None)

    def come_back(self, stored: object, request: gr.Request) -> Iterator[Update]:
        """When a page is shown again that was in the background, follow its grid again, or say that it is gone."""
        try:
            key = self._recall(stored)
        except UserError:
            text = "<b>This grid has expired.</b> Press Run to start it again."
            yield {self.job: None, self.stored: None, self.panel.status: status_line(text)}
            return
        yield from self._follow(key, request, None)

    def _recall(self, stored: object) -> str:
        """The key of a grid that can be shown, also after a restart of the server if it keeps runs.

        stored: what the browser remembers. Raises UnknownJob and GridError.
        """
        record = stored if isinstance(stored, Mapping) else {}
        key = str(record.get("key"))
        view = self.context.session.snapshot(key)
        if key not in self.shown:
            layout = Layout.of_record(record.get("layout"), len(view.runs))
            one = view.truth is not None and not {"picture", "model"} & {axis.key for axis in layout.axes}
            pictures = [("picture", view.truth)] if one and view.truth is not None else []
            self._remember(
                key, ShownGrid(layout, str(record.get("title")), pictures, [0 if one else None] * len(view.runs))
            )
        return key

    def run_again(self, key: str | None, owner: str | None, request: gr.Request) -> Iterator[Update]:
        """Run a grid again that ended because no client was connected."""
        with errors_as_messages():
            if key not in self.shown:
                raise UnknownJob("The grid has expired. Press Run to start it again.")
            place = f"{request.session_hash} {self.key}"
            again = self.context.session.run_again(str(key), owner=owner or "", place=place)
        self._remember(again, self.shown[str(key)])
        yield from self._follow(again, request, None)

    def _follow(self, key: str, request: gr.Request, status: str | None) -> Iterator[Update]:
        shown = self.shown[key]
        stored = {"key": key, "layout": shown.layout.record(), "title": shown.title}
        first: Update = {self.job: key, self.stored: stored}
        if status is not None:
            first |= {self.panel.status: status, **self.context.own_jobs.started()}
        updates = self.panel.updates(self.context.session, key, shown)
        yield from self.streams.newest(request, chain([first], updates))

    def _remember(self, key: str, grid: ShownGrid) -> None:
        self.shown[key] = grid
        while len(self.shown) > MAX_SHOWN:
            self.shown.popitem(last=False)

    def _planned(self, values: Values) -> GridPlan:
        """The plan of the axes and of the values for all cells. Raises UserError."""
        known, session = self._known(values), self.context.session
        names = list(self._named(values, self.pictures, self.upload.component))
        base: dict[str, SettingValue] = {
            "picture": names[0] if names else PICTURE,
            "task": values[self.task],
            "model": values[self.model],
            "preset": values[self.preset],
            "seed": whole(values[self.seed], "The seed"),
            "budget": min(BUDGET[1], session.budget),
        }
        [base["method"]] = known["method"].values(str(values[self.method] or "w"))[:1]
        plan = plan_grid(
            known, {**base, **read_choices(known, values[self.fixed] or "")}, read_axes(values[self.axes.component])
        )
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
