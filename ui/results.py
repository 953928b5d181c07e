"""The shared result panel: status line, one column a method, table, plot, downloads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from inversion import images
from inversion.catalogue import ModelCard
from inversion.session import JobView, Session
from ui import export
from ui.export import Shown
from ui.markup import FIGURES, HINT, READY, about, figure, fixed, head, job_status, run_figures, run_head, status_line
from ui.plots import Line, quality_plot
from ui.theme import COLUMN_COLOURS

COLUMNS = len(COLUMN_COLOURS)  # methods that one job may compare
PREVIEW = 384  # pixels a side of pictures that are shown while a run goes on
HEADERS = ["Method", "PSNR (dB)", "SSIM", "LPIPS", "Identity", "Synthetic identity", "Seconds", "Steps", "State"]
Update = dict[Any, Any]  # component -> new value


@dataclass(frozen=True)
class Column:
    """The components that show one method."""

    box: gr.Column
    head: gr.HTML
    slider: gr.ImageSlider
    figures: gr.HTML
    download: gr.DownloadButton
    paste: gr.Button


class Panel:
    """Lays the components out when made; `updates` turns views of a job into values for them."""

    def __init__(self, key: str, models: Mapping[str, ModelCard]) -> None:
        self.models = models
        self.status = gr.HTML(status_line(READY), elem_id=f"{key}-status")
        self.about = gr.HTML(elem_id=f"{key}-about")
        self.hint = gr.HTML(HINT)
        with gr.Row(elem_classes=["cards", "given"], visible=False) as self.given_row:
            with gr.Column(min_width=230, elem_classes="card"):
                gr.HTML(head("Measured", "", "var(--body-text-color-subdued)"))
                self.measured = picture_view("measured", f"{key}-measured")
            with gr.Column(min_width=230, elem_classes="card") as self.truth_box:
                gr.HTML(head("Your picture", "", "var(--body-text-color-subdued)"))
                self.truth = picture_view("truth", f"{key}-truth")
        self.left = gr.Radio(
            [("What was measured", "measured"), ("Your picture", "truth")],
            value="measured",
            label="On the left of the sliders",
            visible=False,
        )
        with gr.Row(elem_classes="cards"):
            self.columns = [self._column(key, i) for i in range(COLUMNS)]
        self.more(key)
        with gr.Column(visible=False, elem_classes="card") as self.pasted_box:
            gr.HTML(head("Your picture with the result in it", "", "var(--body-text-color-subdued)"))
            self.pasted = picture_view("pasted", f"{key}-pasted")
            self.pasted_file = gr.DownloadButton("Download it in full size (png)", size="sm", elem_id=f"{key}-whole")
        with gr.Column(visible=False) as self.summary:
            self.plot = gr.HTML(elem_id=f"{key}-plot")
            self.table = gr.Dataframe(
                headers=HEADERS,
                interactive=False,
                label="All methods",
                wrap=False,
                elem_id=f"{key}-table",
                elem_classes="figure-table",
                buttons=["copy"],
            )
            with gr.Row():
                self.archive = gr.DownloadButton("All pictures (zip)", interactive=False)
                self.sheet = gr.DownloadButton("Comparison sheet (png)", interactive=False, elem_id=f"{key}-sheet")
                self.json = gr.DownloadButton("Figures and recipe (json)", interactive=False)

    def more(self, key: str) -> None:
        """Lay out what stands between the columns and the table."""

    @staticmethod
    def _column(key: str, index: int) -> Column:
        with gr.Column(min_width=230, visible=False, elem_classes="card", elem_id=f"{key}-column-{index}") as box:
            top = gr.HTML()
            slider = gr.ImageSlider(
                format="png",
                show_label=False,
                container=False,
                buttons=["fullscreen"],
                interactive=False,
                slider_position=50,
            )
            figures = gr.HTML()
            download = gr.DownloadButton("Download (png)", size="sm", interactive=False)
            paste = gr.Button("Paste into my picture", size="sm", visible=False)
        return Column(box, top, slider, figures, download, paste)

    def outputs(self) -> list[gr.components.Component | gr.blocks.BlockContext]:
        """Every component that `updates` may name."""
        own = [
            self.status,
            self.about,
            self.hint,
            self.given_row,
            self.measured,
            self.truth_box,
            self.truth,
            self.left,
            self.summary,
        ]
        own += [self.plot, self.table, self.archive, self.sheet, self.json, self.pasted_box]
        return own + [part for c in self.columns for part in (c.box, c.head, c.slider, c.figures, c.download, c.paste)]

    def updates(self, session: Session, key: str, left: str) -> Iterator[Update]:
        """Follow a job until it is over. Each update holds only what changed. Raises UnknownJob."""
        with (
            tempfile.TemporaryDirectory() as folder
        ):  # the server has copied the files when it asks for the next update
            shown = Shown(folder)
            images_seen: dict[int, np.ndarray] = {}
            seen, given = -1, False
            for view in session.follow(key):
                update: Update = {self.status: job_status(view)}
                if seen < 0:
                    update |= self._opened(view)
                if not given and view.measured is not None:
                    given = True
                    update |= self._given(view, shown)
                for i, run in enumerate(view.runs):
                    if run.version > seen:
                        update |= {self.columns[i].head: run_head(i, run), self.columns[i].figures: run_figures(run)}
                    if run.image is not None and images_seen.get(i) is not run.image:
                        images_seen[i] = run.image
                        update[self.columns[i].slider] = compared(view, i, left, shown)
                if any(run.version > seen for run in view.runs):
                    update |= {self.plot: quality_plot(lines(view)), self.table: table(view)}
                if view.over:
                    update |= self._files(view, Path(folder))
                seen = view.version
                yield update

    def compare(self, view: JobView, left: str) -> Iterator[Update]:
        """The sliders with the other picture on their left."""
        with tempfile.TemporaryDirectory() as folder:
            runs = [i for i, run in enumerate(view.runs) if run.image is not None]
            yield {self.columns[i].slider: compared(view, i, left, Shown(folder)) for i in runs}

    def _opened(self, view: JobView) -> Update:
        """Show as many columns as the job has methods, with nothing of the job before in them."""
        update: Update = {self.given_row: gr.update(visible=False), self.summary: gr.update(visible=True)}
        update[self.left] = gr.update(visible=False)
        update[self.hint] = gr.update(visible=False)
        update[self.about] = about(view, self.models.get(view.model))
        update[self.pasted_box] = gr.update(visible=False)
        for button in (self.archive, self.sheet, self.json):
            update[button] = gr.update(interactive=False)
        for i, column in enumerate(self.columns):
            update[column.box] = gr.update(visible=i < len(view.runs))
            update[column.slider] = None
            update[column.download] = gr.update(interactive=False)
            update[column.paste] = gr.update(visible=False)
        return update

    def _given(self, view: JobView, shown: Shown) -> Update:
        """What the methods see. A reconstruction sees the picture itself, so there is nothing more to show."""
        both = view.truth is not None
        return {
            self.given_row: gr.update(visible=view.task != "reconstruct"),
            self.measured: shown.path("measured", view.measured),
            self.truth_box: gr.update(visible=both),
            self.truth: shown.path("truth", view.truth),
            self.left: gr.update(visible=both and view.task != "reconstruct"),
        }

    def _files(self, view: JobView, folder: Path) -> Update:
        """What can be downloaded now that the job is over."""
        files = export.export(view, folder)
        if files is None:
            return {}
        ready = [(self.archive, files.archive), (self.sheet, files.sheet), (self.json, files.figures)]
        ready += [(self.columns[i].download, path) for i, path in files.pictures.items()]
        update: Update = {button: gr.update(value=str(path), interactive=True) for button, path in ready}
        if view.crop.quad is not None:
            update |= {self.columns[i].paste: gr.update(visible=True) for i in files.pictures}
        return update

    def paste(self, picture: np.ndarray) -> Iterator[Update]:
        """Show the upload with a result in it, and offer it in full size."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "my-picture.png"
            images.write_png(path, picture)
            yield {
                self.pasted_box: gr.update(visible=True),
                self.pasted: Shown(folder).path("pasted", picture, largest=1024),
                self.pasted_file: gr.update(value=str(path)),
            }


def picture_view(name: str, elem_id: str) -> gr.Image:
    """A picture that is only looked at."""
    return gr.Image(
        format="png", show_label=False, container=False, interactive=False, buttons=["download", "fullscreen"],
        height=230, elem_id=elem_id, alt_text=name,
    )  # fmt: skip


def compared(view: JobView, index: int, left: str, shown: Shown) -> tuple[str | None, str | None]:
    """Files of the left and the right picture of a slider; smaller while the run goes on, for speed."""
    run = view.runs[index]
    largest = PREVIEW if run.state == "running" else None
    name = "truth" if view.truth is not None and (left == "truth" or view.task == "reconstruct") else "measured"
    before = view.truth if name == "truth" else view.measured
    return shown.path(f"{name}-{largest}", before, largest), shown.path(f"result-{index}-{largest}", run.image, largest)


def lines(view: JobView) -> list[Line]:
    """Every run's PSNR over its seconds."""
    return [Line(run.label, COLUMN_COLOURS[i], run.track) for i, run in enumerate(view.runs)]


def table(view: JobView) -> list[list[Any]]:
    """One line a run under HEADERS."""
    cells = []
    for run in view.runs:
        row = run.row or {}
        figures = [figure(row, key, digits) for key, _, digits, _ in FIGURES]
        cells.append([run.label, *figures, fixed(run.seconds, 1), row.get("steps", run.step), run.state])
    return cells
