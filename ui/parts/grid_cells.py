"""The cells of a grid on the page: tables whose pictures appear as their runs finish, and the files of the grid."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import chain
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.data_classes import FileData
from PIL import Image

from inversion import images
from inversion.grids import Layout, best_cells, pack_grid, summary, write_grid
from inversion.grids.figures import figures, metric_text
from inversion.metrics import METRICS
from inversion.serving.session import JobView, RunView, Session
from ui.parts.markup import READY, clock, job_status, status_line
from ui.parts.values import Options, Update
from ui.static import script

EVERY = 0.3  # seconds between two updates
THUMBNAIL = 256  # pixels a side of the pictures in the table; the viewer opens them as they are
HINT = """<div class="hint"><b>Each combination of values gets a cell here.</b><br>
Upload a picture or choose an example, choose what varies on X and Y, and press Run.</div>"""
SCRIPT = script("grid_cells")
STATUS_SCRIPT = script("status")


@dataclass(frozen=True)
class ShownGrid:
    """What the page remembers of a grid: its layout, a title for the sheet, and its pictures by run.

    originals: index of the original of each run in `pictures`, None if the picture is the input already.
    """

    layout: Layout
    title: str
    pictures: Sequence[tuple[str, np.ndarray]] = ()
    originals: Sequence[int | None] = ()


@dataclass
class _Files:
    """Files of pictures in the cache of a component, under a name that cannot be guessed."""

    folder: Path
    written: dict[str, tuple[np.ndarray, Options]] = field(default_factory=dict)

    @classmethod
    def of(cls, component: gr.HTML) -> _Files:
        """A new folder in the cache of a component."""
        folder = Path(component.GRADIO_CACHE) / secrets.token_hex(16)
        folder.mkdir(parents=True)
        return cls(folder)

    def pictures(self, name: str, array: np.ndarray) -> Options:
        """Files of a picture and its small copy, as the component's value takes them."""
        if name not in self.written or self.written[name][0] is not array:
            path = self.folder / f"{name}.png"
            images.write_png(path, array)
            small = path
            if array.shape[1] > THUMBNAIL:
                small = self.folder / f"{name}-small.jpg"
                picture = Image.fromarray(array)
                picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
                picture.save(small, quality=90)
            self.written[name] = array, {"picture": _file(path), "small": _file(small)}
        return self.written[name][1]


def _file(path: Path) -> Options:
    return FileData(path=str(path), orig_name=path.name).model_dump()


class GridPanel:
    """The components of a grid's results; `updates` turns views of a job into values for them."""

    def __init__(self, key: str) -> None:
        self.status = gr.HTML(status_line(READY), js_on_load=STATUS_SCRIPT, elem_id=f"{key}-status")
        self.about = gr.HTML(elem_id=f"{key}-about")
        self.cells = gr.HTML(
            None,
            html_template=f'<div class="cells-host">{HINT}</div>',
            js_on_load=SCRIPT,
            apply_default_css=False,
            elem_id=f"{key}-cells",
            elem_classes="grid-cells",
        )
        with gr.Column(elem_classes="summary"):
            self.summary = gr.HTML(elem_id=f"{key}-summary")
            with gr.Row(equal_height=True):
                self.sheet = gr.DownloadButton("Sheet (png)", interactive=False, elem_id=f"{key}-sheet")
                self.table = gr.DownloadButton("Table (csv)", interactive=False, elem_id=f"{key}-table")
                self.archive = gr.DownloadButton("All files (zip)", interactive=False, elem_id=f"{key}-archive")

    def outputs(self) -> list[gr.components.Component]:
        """Every component that `updates` may name."""
        return [self.status, self.about, self.cells, self.summary, self.sheet, self.table, self.archive]

    def updates(self, session: Session, key: str, shown: ShownGrid) -> Iterator[Update]:
        """Follow a job until it is over. Raises UnknownJob."""
        files, first = _Files.of(self.cells), True
        buttons = (self.sheet, self.table, self.archive)
        for view in session.follow(key, EVERY):
            update: Update = {self.status: job_status(view, "run"), self.cells: cells(view, shown, files)}
            if first:
                update |= {self.summary: "", self.about: f'<div class="note">{escape(shown.title)}</div>'}
                update |= {button: gr.update(interactive=False) for button in buttons}
                first = False
            if not view.over:
                yield update
                continue
            lines = "".join(f"<p>{escape(line)}</p>" for line in summary(shown.layout, view.runs))
            yield {**update, self.summary: lines}
            update = {}
            with tempfile.TemporaryDirectory() as folder:  # Gradio has copied its files when the next update is due
                if any(run.image is not None for run in view.runs):
                    made = write_grid(Path(folder) / "grid", shown.layout, view.runs, shown.title, shown.pictures)
                    paths = (made.sheet, made.table, pack_grid(made))
                    for button, path in zip(buttons, paths, strict=True):
                        update[button] = gr.update(value=str(path), interactive=True)
                yield update


def cells(view: JobView, shown: ShownGrid, files: _Files) -> Options:
    """The value of the component: headers, the state and the picture of each run, the best cells, the originals."""
    layout = shown.layout
    best = {name: [*chain(*best_cells(layout, view.runs, name).values())] for name in METRICS}
    names = [(name, metric) for name, metric in METRICS.items() if any(name in figures(run) for run in view.runs)]
    return {
        "key": view.key,
        "axes": [{"label": axis.label, "values": list(axis.values)} for axis in layout.axes],
        "cells": list(layout.runs),
        "runs": [_run(run, files, i) for i, run in enumerate(view.runs)],
        "best": {name: found for name, found in best.items() if found},
        "figures": [[name, metric.label] for name, metric in names] + [["seconds", "Seconds"]],
        "originals": [
            {"name": name, **files.pictures(f"original-{i}", one)} for i, (name, one) in enumerate(shown.pictures)
        ],
        "original": list(shown.originals),
    }


def _run(run: RunView, files: _Files, index: int) -> Options:
    """The state of a run, and its figures and picture once it is over."""
    if not run.over:
        part = f"{run.step} / {run.total}" if run.state == "running" and run.total else run.state
        return {"state": run.state, "note": "waiting" if run.state == "queued" else part}
    texts = {name: metric_text(name, value) for name, value in figures(run).items()}
    texts["seconds"] = f"{clock(run.seconds)} s"
    shown = {} if run.image is None else files.pictures(f"cell-{index}", run.image)
    told = run.message if run.state == "failed" else "partial" if run.image is not None else "cancelled"
    return {"state": run.state, "note": "" if run.state == "done" else told, "figures": texts, **shown}
