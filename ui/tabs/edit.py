"""The tab for editing: methods invert a picture, then all results are moved along the same directions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import gradio as gr
import numpy as np
from gradio.blocks import Block
from gradio.components import Component

from inversion import images
from inversion.common.errors import UserError
from inversion.common.names import companion, settings_digits
from inversion.directions import DirectionCard
from inversion.editing.requests import Edited, EditOptions, check_moves, read_layers
from inversion.images.sheets import Tile
from inversion.serving.session import JobView, Request, Session
from inversion.tasks import DEFAULT_TASK
from ui.parts import sliders
from ui.parts.animation import Animation
from ui.parts.arguments import naming
from ui.parts.codes import START_NOTE, code_request, read_start
from ui.parts.combine import Combine
from ui.parts.context import PageContext
from ui.parts.edit_region import RegionFold
from ui.parts.edit_sheet import EditSheet
from ui.parts.endpoint import LAST, Answer, Endpoint, job_answers, script_requests, sheet_file
from ui.parts.events import EDITS, PRIVATE, QUIET
from ui.parts.export import PictureFiles, result_names, rows
from ui.parts.figures import edit_figures
from ui.parts.inputs import InputError, errors_as_messages, number
from ui.parts.markup import head, note
from ui.parts.masks import MaskFile, uploaded_mask
from ui.parts.results import PREVIEW, SEND_BUTTON, Panel, column_text, slider_pictures
from ui.parts.saved_edits import SavedEdits
from ui.parts.sliders import DirectionSliders, in_region, read_edit
from ui.parts.streams import gathered
from ui.parts.uploads import picture_field
from ui.parts.values import Parameters, Update, Values
from ui.tabs.task import TaskTab
from ui.tabs.words import Words
from ui.theme import COLUMN_COLOURS

NOTES = {
    "moves": '{"yaw": 1.5}, in standard deviations of random codes.',
    "layers": 'first and last layer to change, as "0-5"; "" for all.',
    "keep": "attributes that must not change.",
    "mask": "a file; only its white part changes, with a soft edge. Without a file, everything may change.",
    "keep_identity": "smallest identity similarity to the unedited picture, 0 to 1; a stronger edit is shrunk. 0: off.",
    "start": f"{START_NOTE} Without a picture, the code itself is edited.",
}

SHOWN_EVERY = 0.25  # seconds; fast edits appear in all columns at once, because every update costs the browser time


class EditPanel(Panel):
    """Result columns that show pictures before and after an edit, once the job is over."""

    def __init__(self, key: str, context: PageContext) -> None:
        self.context = context
        super().__init__(key, context.models)

    def below_cards(self, key: str) -> None:
        with gr.Column(elem_id=f"{key}-box"):
            self.sliders = DirectionSliders(key)
            self.saved = SavedEdits(key, self.context.session, self.sliders)
            self.region = RegionFold(key, self.context.session, self.sliders)
            self.animation = Animation(key, self.context.session, self.sliders)
            self.sheets = EditSheet(key, self.context, self.sliders)

    def below_stage(self, key: str) -> None:
        with gr.Column(elem_id=f"{key}-two"):
            self.combine = Combine(self.context)

    def outputs(self) -> list[Component]:
        own = (self.sliders, self.region, self.animation, self.sheets, self.combine)
        return [*super().outputs(), *(component for part in own for component in part.outputs())]

    def updates(self, session: Session, key: str, left: str) -> Iterator[Update]:
        """As in every tab; the sliders appear at the end of the job. Raises UnknownJob."""
        yield from super().updates(session, key, left)
        view = session.snapshot(key)
        if any(run.image is not None for run in view.runs):
            with errors_as_messages():
                cards = session.edits.directions(view.model)
            yield self.sliders.opened(view.model, cards)

    def _cleared(self, view: JobView) -> Update:
        own = {**self.sliders.closed(), **self.region.cleared(), **self.animation.cleared()}
        own |= self.sheets.cleared()
        return {**super()._cleared(view), **own, **self.combine.cleared()}

    def edited(self, view: JobView, index: int, options: EditOptions, edited: Edited, folder: Path) -> Update:
        """A column with the picture before the edit on the left and after it on the right."""
        run, column, files = view.runs[index], self.columns[index], PictureFiles(str(folder))
        recipe = sliders.recipe(options, edited)
        path = companion(folder / result_names(view)[index], f"-edited-{settings_digits(recipe)}.png")
        images.write_png(path, edited.picture, {**(run.row or {}), "edit": recipe})
        return {
            column.box: gr.update(
                above=edit_head(run.label, index), below=edit_figures(options.moves, edited) + SEND_BUTTON
            ),
            column.slider: (files.path(f"inverted-{index}", run.image), str(path)),
            column.download: gr.update(value=str(path), interactive=True),
        }

    def previewed(self, view: JobView, pictures: Mapping[int, np.ndarray], first: bool) -> Update:
        """Columns with pictures of an edit that goes on, by index. first: it has just begun, so their heads change."""
        with tempfile.TemporaryDirectory() as folder:
            files, update = PictureFiles(folder, "jpeg"), Update()
            for index, picture in pictures.items():
                run, column = view.runs[index], self.columns[index]
                pair = [(f"before-{index}", run.image), (f"after-{index}", picture)]
                paths = [files.path(*one, PREVIEW) for one in pair]
                update[column.slider] = tuple(map(column.slider.move_resource_to_block_cache, paths))
                if first:
                    update[column.box] = gr.update(above=edit_head(run.label, index))
            return update

    def unedited(self, view: JobView, index: int, folder: Path) -> Update:
        """A column as it was when the job ended."""
        run, column = view.runs[index], self.columns[index]
        assert run.image is not None  # noqa: S101 - only columns with a picture are edited
        path = folder / result_names(view)[index]
        images.write_png(path, run.image, dict(run.row or {}))
        return {
            column.box: gr.update(**column_text(view, index)),
            column.slider: slider_pictures(view, index, "truth", PictureFiles(str(folder))),
            column.download: gr.update(value=str(path), interactive=True),
        }


def edit_head(label: str, index: int) -> str:
    """The head of a column that shows an edit."""
    return head(label, "before | after", COLUMN_COLOURS[index], ("before", "after"))


class Edit(TaskTab):
    """A task's tab whose results can be edited, and combined with those of a second picture."""

    key: ClassVar[str] = "edit"
    task: ClassVar[str] = DEFAULT_TASK
    label: ClassVar[str] = "Edit"
    words: ClassVar[Words] = Words(
        label,
        "Invert your picture with some methods, then move the sliders: every result gets the same edit. A good method "
        "changes only what you move.",
        measured="",
        methods=("psp", "e4e", "hybrid"),
        start="Code to start from, or without a picture: to edit",
    )
    panel: EditPanel

    def results(self) -> Panel:
        return EditPanel(self.key, self.context)

    def wire(self) -> None:
        super().wire()
        parts, outputs = self.panel.sliders, self.panel.outputs()
        given: set[Block] = {self.job, *parts.inputs()}
        for event in parts.events():
            event(self.edit, given, outputs, trigger_mode="always_last", **EDITS, **PRIVATE)
        shown = [part for column in self.panel.columns for part in (column.slider, column.box)]
        drawn = parts.sliders.drag(self.drag, given, shown, **QUIET)
        drawn.then(None, js=parts.tell_drawn, **QUIET)
        self.panel.region.wire(self.upload.component, self.job, self.edit, outputs)
        self.panel.saved.wire(self.job, self.edit, outputs)
        self.panel.animation.wire(self.job, self.streams)
        self.panel.sheets.wire(self.job, self.streams)
        self.panel.combine.wire(self.upload.component, self.settings, self.crop, self.job, self.streams)

    def requests(self, values: Values) -> list[Request]:
        """As in every tab; without a picture, a code from a file is opened as it is, to go on editing it."""
        code = read_start(values[self.settings.start.file])
        if code is None or values[self.upload.component] is not None:
            return super().requests(values)
        return [code_request(self.context.session, values[self.settings.model], code)]

    def edit(self, values: Values, request: gr.Request) -> Iterator[Update]:
        """Apply the sliders to every result."""
        yield from self.streams.newest(request, self._edits(values), "edits")

    def drag(self, values: Values, request: gr.Request, event: gr.EventData) -> Update:
        """Show what the results look like while a slider is dragged: pictures alone, in one request."""
        return next(self.streams.newest(request, self._previews(values, event), "edits"))

    def _previews(self, values: Values, event: gr.EventData) -> Iterator[Update]:
        session, parts = self.context.session, self.panel.sliders
        try:
            view = session.snapshot(values[self.job] or "")
            options = parts.read(parts.cards(session, view.model), values, view.key)
            pictures = {i: run.image for i, run in enumerate(view.runs) if run.image is not None}
            if options.moves:
                edits = {i: in_region(options, view.crop, one.shape[0]) for i, one in pictures.items()}
                pictures = session.edits.previews(view.key, edits)
        except UserError:  # the edit at the end of the drag shows it
            yield {}
        else:
            yield self.panel.previewed(view, pictures, bool(getattr(event, "first", False)))

    def _edits(self, values: Values) -> Iterator[Update]:
        session, parts = self.context.session, self.panel.sliders
        with errors_as_messages():
            view = session.snapshot(values[self.job] or "")
            options = parts.read(parts.cards(session, view.model), values, view.key)
        with tempfile.TemporaryDirectory() as folder:  # the last update needs its files too
            yield from gathered(self._columns(view, options, Path(folder)), SHOWN_EVERY)

    def _columns(self, view: JobView, options: EditOptions, folder: Path) -> Iterator[Update]:
        edits = self.context.session.edits
        for index, image in [(i, run.image) for i, run in enumerate(view.runs) if run.image is not None]:
            if not options.moves:
                yield self.panel.unedited(view, index, folder)
                continue
            try:
                local = in_region(options, view.crop, image.shape[0])
                edited = edits.move(view.key, index, local)
            except UserError as error:
                text = {**column_text(view, index), "below": note(str(error), bad=True)}
                yield {self.panel.columns[index].box: gr.update(**text)}
            else:
                yield self.panel.edited(view, index, local, edited, folder)

    def endpoint(self, common: Mapping[str, Component]) -> Endpoint:
        runs = super().endpoint(common)
        parameters: dict[str, Component] = {
            "moves": gr.JSON({}, label="moves"),
            "layers": gr.Textbox("", label="layers"),
            "keep": gr.Dropdown([], value=[], multiselect=True, allow_custom_value=True, label="keep"),
            "mask": picture_field("mask", "api-edit-mask"),
            "keep_identity": gr.Number(0.0, label="keep_identity", minimum=0.0, maximum=1.0),
        }
        summary = "Invert the picture, then move every result along directions. The last event has the edited results."
        inputs = {name: part for name, part in runs.inputs.items() if name not in LAST}
        inputs |= {**parameters, **{name: runs.inputs[name] for name in LAST}}
        return Endpoint(self.key, summary, inputs, self.answers, NOTES)

    def answers(self, values: Parameters) -> Iterator[Answer]:
        session = self.context.session
        with errors_as_messages():
            options = script_edit(session.edits.directions(values["model"]), values)
            if not options.moves:
                raise InputError('Choose at least one direction: moves such as {"yaw": 1.5}.')
            code = None if values["picture"] else read_start(values.get("start"))
            if code is None:
                requests = script_requests(self.context, self.task, self.fields, values)
            else:
                requests = [code_request(session, values["model"], code)]
            with naming("mask"):
                options = replace(options, mask=script_mask(values["mask"], requests[0]))
            key = session.submit(requests)
        yield from job_answers(session, key, lambda view, files: edited_answer(session, view, options, files))


def script_mask(path: str | None, request: Request) -> np.ndarray | None:
    """The mask of a script, at the size (H, W) of the picture of a request; None without a file. Raises UserError."""
    if not path:
        return None
    height, width = request.picture.shape[:2]
    return uploaded_mask(MaskFile(path), (height, width))


def script_edit(cards: Sequence[DirectionCard], values: Parameters) -> EditOptions:
    """The edit that a script asks for. Raises InputError."""
    with naming("keep"):
        check_moves(cards, dict.fromkeys(values["keep"], 0.0))  # refuses unknown names
    with naming("layers"):
        read_layers(values["layers"])
    with naming("moves"):
        options = read_edit(cards, values["moves"], values["layers"], values["keep"])
    limit = number(values["keep_identity"], "keep_identity", 0, 1)
    return replace(options, keep_identity=limit or None)


def edited_answer(session: Session, view: JobView, options: EditOptions, files: PictureFiles) -> Answer:
    """Rows with the edit's figures, edited pictures, and a sheet of them beside the unedited ones."""
    table, pictures, tiles = rows(view), [], []
    for i, run in enumerate(view.runs):
        if run.image is None:
            continue
        try:
            local = in_region(options, view.crop, run.image.shape[0])
            edited = session.edits.move(view.key, i, local)
        except UserError as error:
            table[i] |= {"state": "failed", "message": str(error)}
            continue
        table[i]["edit"] = sliders.recipe(local, edited)
        pictures.append((files.path(f"edited-{i}", edited.picture), run.label))
        tiles += [Tile(run.label, "before", run.image), Tile(run.label, "after", edited.picture)]
    return Answer(table, pictures, sheet_file(tiles, files))
