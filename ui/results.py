"""The shared result panel: status line, one column a method, table, plot, downloads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from inversion.session import JobView, RunView, Session
from ui import export
from ui.markup import FIGURES, HINT, READY, fixed, head, job_status, run_figures, run_head, status_line
from ui.plots import Line, quality_plot
from ui.theme import COLUMN_COLOURS

COLUMNS = len(COLUMN_COLOURS)  # methods that one job may compare
PREVIEW = 512  # pixels a side of pictures that are shown while a run goes on
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


class Panel:
    """Lays the components out when made; `updates` turns views of a job into values for them."""

    def __init__(self, key: str) -> None:
        self.status = gr.HTML(status_line(READY), elem_id=f"{key}-status")
        self.hint = gr.HTML(HINT)
        with gr.Row(elem_classes="cards", visible=False) as self.given_row:
            with gr.Column(min_width=230, elem_classes="card"):
                gr.HTML(head("What was measured", "", "var(--body-text-color-subdued)"))
                self.measured = picture_view("measured", f"{key}-measured")
            with gr.Column(min_width=230, elem_classes="card") as self.truth_box:
                gr.HTML(head("Your picture", "", "var(--body-text-color-subdued)"))
                self.truth = picture_view("truth", f"{key}-truth")
            with gr.Column(min_width=230):
                self.left = gr.Radio(
                    [("What was measured", "measured"), ("Your picture", "truth")],
                    value="measured",
                    label="Left side of the sliders below",
                    visible=False,
                )
        with gr.Row(elem_classes="cards"):
            self.columns = [self._column(key, i) for i in range(COLUMNS)]
        with gr.Column(visible=False) as self.summary:
            self.plot = gr.HTML(elem_id=f"{key}-plot")
            self.table = gr.Dataframe(
                headers=HEADERS,
                interactive=False,
                label="All methods",
                wrap=True,
                elem_id=f"{key}-table",
                elem_classes="figure-table",
                buttons=["copy"],
            )
            with gr.Row():
                self.archive = gr.DownloadButton("All pictures (zip)", interactive=False)
                self.sheet = gr.DownloadButton("Comparison sheet (png)", interactive=False, elem_id=f"{key}-sheet")
                self.json = gr.DownloadButton("Figures and recipe (json)", interactive=False)

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
        return Column(box, top, slider, figures, download)

    def outputs(self) -> list[gr.components.Component | gr.blocks.BlockContext]:
        """Every component that `updates` may name."""
        own = [
            self.status,
            self.hint,
            self.given_row,
            self.measured,
            self.truth_box,
            self.truth,
            self.left,
            self.summary,
        ]
        own += [self.plot, self.table, self.archive, self.sheet, self.json]
        return own + [part for c in self.columns for part in (c.box, c.head, c.slider, c.figures, c.download)]

    def updates(self, session: Session, key: str, left: str) -> Iterator[Update]:
        """Follow a job until it is over. Each update holds only what changed. Raises UnknownJob."""
        images_seen: dict[int, np.ndarray] = {}
        seen, given = -1, False
        for view in session.follow(key):
            update: Update = {self.status: job_status(view)}
            if seen < 0:
                update |= self._opened(view)
            if not given and view.measured is not None:
                given = True
                update |= self._given(view)
            for i, run in enumerate(view.runs):
                if run.version > seen:
                    update |= self._run(i, run)
                if run.image is not None and images_seen.get(i) is not run.image:
                    images_seen[i] = run.image
                    update[self.columns[i].slider] = compared(view, run, left)
            if any(run.version > seen for run in view.runs):
                update[self.plot] = quality_plot(lines(view))
                update[self.table] = table(view)
            seen = view.version
            if view.over:
                yield from self._last(view, update)
                return
            yield update

    def compare(self, view: JobView, left: str) -> Update:
        """The sliders with the other picture on their left."""
        return {
            self.columns[i].slider: compared(view, run, left)
            for i, run in enumerate(view.runs)
            if run.image is not None
        }

    def _opened(self, view: JobView) -> Update:
        """Show as many columns as the job has methods, with nothing of the job before in them."""
        update: Update = {self.given_row: gr.update(visible=False), self.summary: gr.update(visible=True)}
        update[self.hint] = gr.update(visible=False)
        for button in (self.archive, self.sheet, self.json):
            update[button] = gr.update(interactive=False)
        for i, column in enumerate(self.columns):
            update[column.box] = gr.update(visible=i < len(view.runs))
            update[column.slider] = None
            update[column.download] = gr.update(interactive=False)
        return update

    def _given(self, view: JobView) -> Update:
        """What the methods see. A reconstruction sees the picture itself, so there is nothing more to show."""
        both = view.truth is not None
        return {
            self.given_row: gr.update(visible=view.task != "reconstruct"),
            self.measured: view.measured,
            self.truth_box: gr.update(visible=both),
            self.truth: view.truth,
            self.left: gr.update(visible=both),
        }

    def _run(self, index: int, run: RunView) -> Update:
        column = self.columns[index]
        return {column.head: run_head(index, run), column.figures: run_figures(run)}

    def _last(self, view: JobView, update: Update) -> Iterator[Update]:
        """The last update, with the files. They live until the server has copied them."""
        with tempfile.TemporaryDirectory() as folder:
            files = export.export(view, Path(folder))
            if files is not None:
                ready = [(self.archive, files.archive), (self.sheet, files.sheet), (self.json, files.figures)]
                ready += [(self.columns[i].download, path) for i, path in files.pictures.items()]
                update |= {button: gr.update(value=str(path), interactive=True) for button, path in ready}
            yield update


def picture_view(name: str, elem_id: str) -> gr.Image:
    """A picture that is only looked at."""
    return gr.Image(
        format="png", show_label=False, container=False, interactive=False, buttons=["download", "fullscreen"],
        height=230, elem_id=elem_id, alt_text=name,
    )  # fmt: skip


def compared(view: JobView, run: RunView, left: str) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Left and right picture of a slider; smaller than they are while the run goes on, for speed."""
    before = view.truth if (left == "truth" or view.task == "reconstruct") and view.truth is not None else view.measured
    pair = before, run.image
    if run.state == "running":
        return _shrunk(pair[0]), _shrunk(pair[1])
    return pair


def _shrunk(picture: np.ndarray | None) -> np.ndarray | None:
    if picture is None or picture.shape[0] <= PREVIEW:
        return picture
    return np.asarray(Image.fromarray(picture).resize((PREVIEW, PREVIEW), Image.Resampling.BILINEAR))


def lines(view: JobView) -> list[Line]:
    """Every run's PSNR over its seconds."""
    return [Line(run.label, COLUMN_COLOURS[i], run.track) for i, run in enumerate(view.runs)]


def table(view: JobView) -> list[list[Any]]:
    """One line a run under HEADERS."""
    cells = []
    for run in view.runs:
        row = run.row or {}
        figures = [fixed(row.get(key), digits) for key, _, digits, _ in FIGURES]
        cells.append([run.label, *figures, fixed(run.seconds, 1), row.get("steps", run.step), run.state])
    return cells
