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
from inversion.serving.catalogue import ModelCard
from inversion.serving.session import JobView, Session
from ui.parts import export
from ui.parts.export import Shown
from ui.parts.markup import (
    FIGURES,
    HINT,
    READY,
    about,
    figure,
    fixed,
    head,
    job_status,
    run_figures,
    run_head,
    slot,
    status_line,
)
from ui.parts.plots import Line, quality_plot
from ui.parts.streams import Update
from ui.static import script
from ui.theme import COLUMN_COLOURS

COLUMNS = len(COLUMN_COLOURS)  # methods that one job may compare
PREVIEW = 384  # pixels a side of pictures that are shown while a run goes on
HEADERS = ["Method", "PSNR (dB)", "SSIM", "LPIPS", "Identity", "Synthetic identity", "Seconds", "Steps", "State"]


# The button is shown with the figures, when there is a photo to put the result into.
PUT = '<button type="button" class="put">Paste into my picture</button>'
COLUMN_SCRIPT = script("column")


@dataclass(frozen=True)
class Column:
    """The components that show one method. `box` holds the others, and words above and below them: see `words`."""

    box: gr.HTML
    slider: gr.ImageSlider
    download: gr.DownloadButton


class Panel:
    """Lays the components out when made; `updates` turns views of a job into values for them.

    What is empty the stylesheet does not show. `visible` of what holds others stays as it is: Gradio 6 would take them
    out of the page and put them back in, and what is sent to them meanwhile may be lost.
    """

    def __init__(self, key: str, models: Mapping[str, ModelCard]) -> None:
        self.models = models
        self.status = gr.HTML(status_line(READY), elem_id=f"{key}-status")
        self.about = gr.HTML(elem_id=f"{key}-about")
        self.hint = gr.HTML(HINT, elem_classes="hint-box")
        with gr.Row(elem_classes=["cards", "given"]):
            with gr.Column(min_width=230, elem_classes="card"):
                gr.HTML(head("Measured", "", "var(--body-text-color-subdued)"))
                self.measured = picture_view("measured", f"{key}-measured")
            with gr.Column(min_width=230, elem_classes="card"):
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
        with gr.Column(elem_classes=["card", "pasted"]):
            gr.HTML(head("Your picture with the result in it", "", "var(--body-text-color-subdued)"))
            self.pasted = picture_view("pasted", f"{key}-pasted")
            self.pasted_file = gr.DownloadButton("Download it in full size (png)", size="sm", elem_id=f"{key}-whole")
        with gr.Column(elem_classes="summary"):
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
        with gr.HTML(
            above="",
            below="",
            html_template=f"{slot('above')}@children{slot('below')}",
            js_on_load=COLUMN_SCRIPT,
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
            download = gr.DownloadButton("Download (png)", size="sm", interactive=False)
        return Column(box, slider, download)

    def outputs(self) -> list[gr.components.Component]:
        """Every component that `updates` may name."""
        own = [self.status, self.about, self.hint, self.measured, self.truth, self.left]
        own += [self.plot, self.table, self.archive, self.sheet, self.json, self.pasted]
        return own + [part for c in self.columns for part in (c.box, c.slider, c.download)]

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
                if view.measured is not None and not given:
                    given = True
                    update |= self._given(view, shown)
                for i, run in enumerate(view.runs):
                    if run.version > seen or view.over:
                        update[self.columns[i].box] = gr.update(**words(view, i))
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
        """Clear everything of the job before."""
        update: Update = dict.fromkeys((self.hint, self.measured, self.truth, self.pasted))
        update[self.left] = gr.update(visible=False)
        update[self.about] = about(view, self.models.get(view.model))
        for button in (self.archive, self.sheet, self.json):
            update[button] = gr.update(interactive=False)
        for column in self.columns:
            update[column.box] = gr.update(above="", below="")
            update[column.slider] = None
            update[column.download] = gr.update(interactive=False)
        return update

    def _given(self, view: JobView, shown: Shown) -> Update:
        """What the methods see. A reconstruction sees the picture itself, so there is nothing more to show."""
        if view.task == "reconstruct":
            return {}
        return {
            self.measured: shown.path("measured", view.measured),
            self.truth: shown.path("truth", view.truth),
            self.left: gr.update(visible=view.truth is not None),
        }

    def _files(self, view: JobView, folder: Path) -> Update:
        """What can be downloaded now that the job is over."""
        files = export.export(view, folder)
        if files is None:
            return {}
        ready = [(self.archive, files.archive), (self.sheet, files.sheet), (self.json, files.figures)]
        ready += [(self.columns[i].download, path) for i, path in files.pictures.items()]
        return {button: gr.update(value=str(path), interactive=True) for button, path in ready}

    def paste(self, picture: np.ndarray) -> Iterator[Update]:
        """Show the upload with a result in it, and offer it in full size."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "my-picture.png"
            images.write_png(path, picture)
            yield {
                self.pasted: Shown(folder).path("pasted", picture, largest=1024),
                self.pasted_file: gr.update(value=str(path)),
            }


def words(view: JobView, index: int) -> dict[str, Any]:
    """What stands above and below a run's picture."""
    run = view.runs[index]
    put = view.over and run.image is not None and view.crop.quad is not None
    return {"above": run_head(index, run), "below": run_figures(run) + (PUT if put else "")}


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
