"""The fold of the Edit tab that makes one labelled sheet: the same edit on several pictures, by every method."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from inversion.common.errors import UserError
from inversion.editing.requests import EditOptions
from inversion.editing.sheet import edit_tiles, read_parts
from inversion.images.sheets import Tile, sheet
from inversion.serving.edits import Place
from inversion.serving.runs import CroppedPicture
from inversion.serving.session import JobView, Request
from ui.parts import inputs
from ui.parts.combine import finished, requests_like
from ui.parts.context import PageContext
from ui.parts.events import DEVICE, EDITS, PRIVATE
from ui.parts.inputs import InputError, errors_as_messages
from ui.parts.markup import READY, begun_line, job_status, problem_list, status_line
from ui.parts.sliders import DirectionSliders, in_region
from ui.parts.streams import Streams
from ui.parts.values import Options, Update, Values
from ui.parts.views import picture_view

MAX_PICTURES = 8
PLACE, TITLE = "edit-sheet", "The same edit on several pictures"  # of its jobs: key and label
INTRO = """The same edit on this and more pictures: one sheet, with a row for each picture and method, and a column for
each part of the strengths. The same methods invert the other pictures first."""


class EditSheet:
    """The fold; `wire` connects the events."""

    def __init__(self, key: str, context: PageContext, sliders: DirectionSliders) -> None:
        self.session, self.jobs, self.sliders = context.session, context.own_jobs, sliders
        self.jobs.tabs[PLACE] = TITLE
        with gr.Accordion(TITLE, open=False, elem_id=f"{key}-several"):
            gr.Markdown(INTRO, elem_classes="note")
            with gr.Row():
                self.files = gr.File(
                    label="More pictures", file_count="multiple", file_types=["image"], height=140, min_width=200
                )
                self.parts = gr.Textbox(
                    "0, 0.5, 1",
                    label="Parts of the strengths",
                    info="0: no edit. 1: the sliders.",
                    max_lines=1,
                    max_length=60,
                )
            with gr.Row():
                self.go = gr.Button("Make the sheet", variant="primary", min_width=90, elem_id=f"{key}-sheet-run")
                self.stop = gr.Button("Cancel", min_width=90)
            self.status = gr.HTML(status_line(READY), elem_id=f"{key}-sheet-status")
            self.view = picture_view("sheet of edits", f"{key}-edit-sheet")
            with gr.Row(elem_classes="animation-files"):
                self.file = gr.DownloadButton("Download (png)", size="sm", interactive=False)
        self.running = gr.State(None)  # key of the job that inverts the other pictures

    def wire(self, job: gr.State, streams: Streams) -> None:
        """Connect the events. job: the state with the key of the job whose results are shown."""
        self.job, self.streams = job, streams
        given: set[Block] = {job, self.files, self.parts, *self.sliders.inputs(), self.jobs.owner}
        self.go.click(self.run, given, [*self.outputs(), self.running, self.jobs.timer], **DEVICE, **PRIVATE)
        self.stop.click(self.cancel, {self.running}, [self.status], **EDITS, **PRIVATE)

    def outputs(self) -> list[Component]:
        """Components that `cleared` updates."""
        return [self.status, self.view, self.file]

    def cleared(self) -> Update:
        """No sheet."""
        return {self.status: status_line(READY), self.view: None, self.file: gr.update(interactive=False)}

    def cancel(self, values: Values, request: gr.Request) -> Iterator[Update]:
        """Cancel the job, and end the sheet that is being made."""
        with errors_as_messages():
            if values[self.running]:
                self.session.cancel(values[self.running])
        yield from self.streams.newest(request, iter([{self.status: status_line("Cancelled.")}]), "sheet")

    def run(self, values: Values, request: gr.Request) -> Iterator[Update]:
        """Invert the other pictures, edit all results, and show the sheet."""
        with errors_as_messages():
            view, cards = self.sliders.shown(self.session, values[self.job])
            options = self.sliders.read(cards, values, view.key)
            if not options.moves:
                raise InputError("Move a slider first.")
            parts, requests = read_parts(values[self.parts] or ""), self._requests(view, values[self.files] or [])
            if requests and options.mask is not None:
                raise InputError("A painted region belongs to one picture. Edit the whole picture again first.")
            owner, place = values[self.jobs.owner] or "", f"{request.session_hash} {PLACE}"
            own: Options = {"owner": owner, "place": place, "listed": False}
            key = self.session.submit(requests, **own) if requests else None
        made = self._made(view, key, options, parts)
        yield from self.streams.newest(request, made, "sheet")

    def _requests(self, view: JobView, paths: Sequence[str]) -> list[Request]:
        """The methods of the job on other pictures. Raises UserError."""
        if len(paths) > MAX_PICTURES:
            raise InputError(f"A sheet has at most {MAX_PICTURES} more pictures. Remove some.")
        requests = []
        for path in paths:
            picture = inputs.picture(path)
            cropped = CroppedPicture(picture, self.session.crop(picture, view.model))
            requests += [replace(one, name=Path(path).name) for one in requests_like(view, cropped)]
        return requests

    def _made(self, view: JobView, key: str | None, options: EditOptions, parts: Sequence[float]) -> Iterator[Update]:
        """Progress, then the sheet."""
        yield {self.running: key, self.status: begun_line()}
        if key is not None:
            yield self.jobs.started()
            for now in self.session.follow(key, every=0.5):
                yield {self.status: job_status(now)}
        tiles: list[Tile] = []
        problems: dict[str, str] = {}
        rows = [*self._rows(view.key, finished(view))]
        if key is not None:
            rows += self._rows(key, finished(self.session.snapshot(key)))
        labels = {card["name"]: card["label"] for card in self.sliders.cards(self.session, view.model)}
        for number, (place, title, size) in enumerate(rows):
            yield {self.status: status_line("<b>Editing</b>", number / len(rows))}
            try:
                local = in_region(options, view.crop, size)
                tiles += edit_tiles(partial(self.session.edits.pictured, *place), local, parts, title, labels)
            except UserError as error:
                problems[title] = str(error)
        with tempfile.TemporaryDirectory() as folder:
            end = status_line(problem_list(problems) or "<b>Done</b>", bad=bool(problems))
            yield {**self._file(Path(folder), tiles, len(parts)), self.status: end}

    def _rows(self, key: str, runs: Sequence[int]) -> Iterator[tuple[Place, str, int]]:
        """Each result of a job: its place, a title, and its size in pixels."""
        view = self.session.snapshot(key)
        for index in runs:
            run = view.runs[index]
            if run.image is not None:
                name = Path(str((run.row or {}).get("picture_name") or "")).stem[:24]
                yield Place(key, index), f"{name}, {run.label}" if name else run.label, run.image.shape[0]

    def _file(self, folder: Path, tiles: Sequence[Tile], across: int) -> Update:
        """The tiles as a file."""
        if not tiles:
            return {}
        path = folder / "edits.png"
        sheet(tiles, across).save(path)
        return {self.view: str(path), self.file: gr.update(value=str(path), interactive=True)}
