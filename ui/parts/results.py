"""The result panel of a task's tab: status line, one column per method, table, plot, downloads."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np

from inversion import images
from inversion.serving import catalogue
from inversion.serving.catalogue import ModelCard
from inversion.serving.session import JobView, RunView, Session
from ui.examples.precomputed import Comparison, StoredFiles
from ui.parts import codes, export
from ui.parts.export import PictureFiles, has_own_input
from ui.parts.figures import FigureTable, not_computed, run_figures, table
from ui.parts.markup import HINT, READY, about, head, job_status, precomputed_status, run_head, slot, status_line
from ui.parts.plots import Line, quality_plot
from ui.parts.values import Options, Update
from ui.parts.views import picture_view
from ui.static import script
from ui.theme import COLUMN_COLOURS

MAX_METHODS = len(COLUMN_COLOURS)  # that one job may compare
TABLE_EVERY = 1.0  # seconds between two tables during a run: a browser takes 50 ms to lay one out
PREVIEW = 384  # pixels a side of pictures that are shown during a run
GREY = "var(--body-text-color-subdued)"
# The button stands below the figures if there is a photo to paste the result into.
PASTE_BUTTON = '<button type="button" class="put">Paste the result into my picture</button>'
SEND_BUTTON = '<button type="button" class="send" aria-haspopup="menu">Send to\N{HORIZONTAL ELLIPSIS}</button>'
STATUS_SCRIPT = script("status")
PASTE_SCRIPT, PASTED = script("paste"), "Your picture with the result"
PictureSource = PictureFiles | StoredFiles


@dataclass(frozen=True)
class Column:
    """The components that show one method. `box` holds the other two, and text above and below them."""

    box: gr.HTML
    slider: gr.ImageSlider
    download: gr.DownloadButton


class Panel:
    """The components of a tab's results; `updates` turns views of a job into values for them.

    The style sheet hides empty components. `visible` of a container never changes: Gradio 6 would take its children out
    of the page and put them back, and might lose an update that they get in between.
    """

    def __init__(self, key: str, models: Mapping[str, ModelCard]) -> None:
        self.models = models
        self.status = gr.HTML(status_line(READY), js_on_load=STATUS_SCRIPT, elem_id=f"{key}-status")
        self.other = gr.HTML(elem_id=f"{key}-other")  # says when the results are of another picture than the upload
        self.other_model = gr.HTML(elem_id=f"{key}-other-model")  # or of another model than the chosen one
        with gr.Row(elem_classes="facts-line"):
            self.about = gr.HTML(elem_id=f"{key}-about")
            gr.HTML(viewer_button(key), elem_classes="viewer-opener")
        self.hint = gr.HTML(HINT, elem_classes="hint-box")
        with gr.Row(elem_classes="given"):
            with gr.Column(min_width=130, elem_classes="card"):
                gr.HTML(head("Input to the methods", "", GREY))
                self.measured = picture_view("input to the methods", f"{key}-measured")
            with gr.Column(min_width=130, elem_classes="card"):
                gr.HTML(head("Your picture", "", GREY))
                self.truth = picture_view("your picture", f"{key}-truth")
            self.left = gr.Radio(
                [("Input", "measured"), ("Original", "truth")],
                value="measured",
                label="Compare with",
                visible=False,
            )
        with gr.Column(elem_classes="stage"):
            with gr.Row(elem_classes="cards"):
                self.columns = [self._column(key, i) for i in range(MAX_METHODS)]
            self.below_cards(key)
        self.below_stage(key)
        with gr.Column(elem_classes=["card", "pasted"]):
            self.pasting = gr.HTML(head(PASTED, "", GREY), js_on_load=PASTE_SCRIPT, elem_id=f"{key}-paste")
            self.pasted = picture_view("your picture with the result", f"{key}-pasted")
            self.pasted_file = gr.DownloadButton("Download in full size (png)", size="sm", elem_id=f"{key}-whole")
        with gr.Column(elem_classes="summary"):
            self.plot = gr.HTML(elem_id=f"{key}-plot")
            self.table = FigureTable(
                headers=table([])["headers"],
                interactive=False,
                label="All methods",
                wrap=False,
                elem_id=f"{key}-table",
                elem_classes="figure-table",
                buttons=["copy"],
            )
            self.lacking = gr.HTML(elem_id=f"{key}-lacking")
            with gr.Row(equal_height=True):
                self.archive = gr.DownloadButton("All pictures (zip)", interactive=False)
                self.sheet = gr.DownloadButton("Comparison sheet (png)", interactive=False, elem_id=f"{key}-sheet")
                self.json = gr.DownloadButton("Figures and recipe (json)", interactive=False)
                # A tuned generator may have 100 MB, so the file is made when it is asked for, then fetched by a script.
                self.codes = gr.Button("Codes and generators (zip)", interactive=False, elem_id=f"{key}-codes")
            self.codes_file = gr.DownloadButton("Codes", elem_id=f"{key}-codes-file", elem_classes="unseen")

    def below_cards(self, key: str) -> None:
        """Lay out controls that change the results; the results stay in view while they are used."""

    def below_stage(self, key: str) -> None:
        """Lay out further components between the results and the table."""

    @staticmethod
    def _column(key: str, index: int) -> Column:
        with gr.HTML(
            above="",
            below="",
            html_template=f"{slot('above')}@children{slot('below')}",
            apply_default_css=False,
            min_width=230,
            elem_classes=["card", "result"],
            elem_id=f"{key}-column-{index}",
        ) as box:
            slider = gr.ImageSlider(
                format="png",
                show_label=False,
                container=False,
                buttons=["fullscreen"],
                interactive=False,
                slider_position=50,
            )
            download = gr.DownloadButton("Download (png)", size="sm", interactive=False, elem_classes="file")
        return Column(box, slider, download)

    def outputs(self) -> list[gr.components.Component]:
        """Every component that `updates` may name."""
        own = [self.status, self.other, self.other_model, self.about, self.hint, self.measured, self.truth, self.left]
        own += [self.plot, self.table, self.lacking, self.archive, self.sheet, self.json, self.codes, self.pasted]
        return own + [part for c in self.columns for part in (c.box, c.slider, c.download)]

    def updates(self, session: Session, key: str, left: str) -> Iterator[Update]:
        """Follow a job until it is over. Each update holds only what changed. Raises UnknownJob."""
        # Gradio has copied the files of an update when it asks for the next one.
        with tempfile.TemporaryDirectory() as folder:
            for view, update in self._followed(session.follow(key), left, PictureFiles(folder, "webp")):
                yield {**update, **self._downloads(view, Path(folder))} if view.over else update

    def stored(self, comparison: Comparison, left: str, given: bool = True) -> Iterator[Update]:
        """Show a comparison that was computed in advance. given: its picture is the one that Run would take."""
        with tempfile.TemporaryDirectory() as folder:
            files = StoredFiles(folder, comparison)
            for view, update in self._followed([comparison.view], left, files):
                yield {**update, self.status: precomputed_status(view, given)}

    def _followed(self, views: Iterable[JobView], left: str, files: PictureSource) -> Iterator[tuple[JobView, Update]]:
        """Every view of a job with what it changes."""
        images_seen: dict[int, np.ndarray] = {}
        seen, input_shown = -1, False
        tabled, due = -1, -math.inf  # the version that the table shows, and when the next one may come
        for view in views:
            update: Update = {self.status: job_status(view)}
            if seen < 0:
                update |= self._cleared(view)
            if view.measured is not None and not input_shown:
                input_shown = True
                update |= self._input(view, files)
            for i, run in enumerate(view.runs):
                if run.version > seen or view.over:
                    update[self.columns[i].box] = gr.update(**column_text(view, i))
                if run.image is not None and images_seen.get(i) is not run.image:
                    images_seen[i] = run.image
                    update[self.columns[i].slider] = slider_pictures(view, i, left, files)
            if any(run.version > seen for run in view.runs):
                update[self.plot] = quality_plot(lines(view))
            if any(run.version > tabled for run in view.runs) and (view.over or time.monotonic() >= due):
                update |= {self.table: table(view.runs), self.lacking: not_computed(view.runs)}
                tabled, due = view.version, time.monotonic() + TABLE_EVERY
            seen = view.version
            yield view, update

    def compare(self, view: JobView, left: str, comparison: Comparison | None = None) -> Iterator[Update]:
        """The sliders with the other picture on their left; of a job, or of a comparison that is stored."""
        with tempfile.TemporaryDirectory() as folder:
            runs = [i for i, run in enumerate(view.runs) if run.image is not None]
            files = PictureFiles(folder, "webp") if comparison is None else StoredFiles(folder, comparison)
            yield {self.columns[i].slider: slider_pictures(view, i, left, files) for i in runs}

    def _card(self, model: str) -> ModelCard | None:
        """The card of a model, also of one that was added after the page was made."""
        return self.models.get(model) or catalogue.models().get(model)

    def _cleared(self, view: JobView) -> Update:
        """Clear the results of the previous job."""
        update: Update = dict.fromkeys(
            (self.other, self.other_model, self.hint, self.measured, self.truth, self.pasted)
        )
        update[self.left] = gr.update(visible=False)
        update[self.about] = about(view, self._card(view.model))
        for button in (self.archive, self.sheet, self.json, self.codes):
            update[button] = gr.update(interactive=False)
        for column in self.columns:
            update[column.box] = gr.update(above="", below="")
            update[column.slider] = None
            update[column.download] = gr.update(interactive=False)
        return update

    def _input(self, view: JobView, files: PictureSource) -> Update:
        """Show the input to the methods if it differs from the picture, and the notes on it."""
        update: Update = {self.about: about(view, self._card(view.model))} if view.notes else {}
        if not has_own_input(view):
            return update
        return update | {
            self.measured: files.path("measured", view.measured),
            self.truth: files.path("truth", view.truth),
            self.left: gr.update(visible=view.truth is not None),
        }

    def _downloads(self, view: JobView, folder: Path) -> Update:
        """The files of a job that is over."""
        files = export.export(view, folder)
        if files is None:
            return {}
        ready = [(self.archive, files.archive), (self.sheet, files.sheet), (self.json, files.figures)]
        ready += [(self.columns[i].download, path) for i, path in files.pictures.items()]
        update: Update = {button: gr.update(value=str(path), interactive=True) for button, path in ready}
        return {**update, self.codes: gr.update(interactive=True)}

    def pack_codes(self, session: Session, key: str) -> Iterator[Update]:
        """Offer the codes and tuned generators of a job. Raises UserError."""
        with tempfile.TemporaryDirectory() as folder:
            path = codes.pack(session.snapshot(key), session, Path(folder))
            yield {self.codes_file: gr.update(value=str(path))}

    def paste(self, picture: np.ndarray) -> Iterator[Update]:
        """Show the upload with a result in it, uint8 (H, W, 3), and offer it in full size."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "my-picture.png"
            images.write_png(path, picture)
            yield {
                self.pasted: PictureFiles(folder).path("pasted", picture, largest=1024),
                self.pasted_file: gr.update(value=str(path)),
            }


def viewer_button(key: str) -> str:
    """The button that opens the pictures of the tab `key` in the viewer."""
    return f'<button type="button" class="open-viewer" data-compare="{key}">Compare closely</button>'


def column_text(view: JobView, index: int) -> Options:
    """The text above and below a run's picture, as arguments of a column's `gr.update`."""
    run = view.runs[index]
    sent = SEND_BUTTON if view.over and run.image is not None else ""
    can_paste = view.over and run.image is not None and view.square is not None
    return {"above": run_head(index, run), "below": run_figures(run) + (PASTE_BUTTON if can_paste else "") + sent}


def slider_pictures(view: JobView, index: int, left: str, files: PictureSource) -> tuple[str | None, str | None]:
    """Files of the left and the right picture of a slider; smaller during the run, for speed."""
    run = view.runs[index]
    largest = PREVIEW if run.state == "running" else None
    original = view.truth is not None and (left == "truth" or not has_own_input(view))
    name, before = ("truth", view.truth) if original else ("measured", view.measured)
    end = "" if largest is None else f"-{largest}"  # a picture in full size has one file, which a browser gets once
    return files.path(f"{name}{end}", before, largest), files.path(f"result-{index}{end}", run.image, largest)


def lines(view: JobView) -> list[Line]:
    """Every run's PSNR over its seconds."""
    return [Line(run.label, COLUMN_COLOURS[i], run.track, _taken(run)) for i, run in enumerate(view.runs)]


def _taken(run: RunView) -> bool:
    """Whether an earlier run did the first steps of a run. The one step of an encoder has no curve anyway."""
    row = run.row or {}
    return bool(row.get("spent")) and row.get("steps", 0) > 1
