"""The endpoint /grid: the cells of the tab Grid for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import gradio as gr
import numpy as np
from gradio.components import Component

from inversion.common.settings import SettingValue
from inversion.grids import (
    GridPlan,
    Materials,
    axes_of,
    given_choices,
    grid_requests,
    originals,
    parameters,
    plan_grid,
    sheet,
)
from inversion.grids.figures import picture_names, rows
from inversion.serving.session import JobView, Session
from inversion.tasks import DEFAULT_TASK
from ui.parts import inputs
from ui.parts.arguments import naming
from ui.parts.endpoint import Answer, Endpoint, job_answers
from ui.parts.export import PictureFiles
from ui.parts.inputs import errors_as_messages
from ui.parts.values import Parameters

SUMMARY = "Vary one, two or three things on a picture: a cell for each combination of their values."
NOTES = {
    "x": 'NAME=LIST, such as "method=psp,w", "w.steps=10,30" or "w.lr=0.01..0.1 [3]"; at most 64 cells in all.',
    "y": 'What varies down the rows, written as x; "" for nothing.',
    "z": 'What varies from table to table, written as x; "" for nothing.',
    "settings": '{name: value} of all cells, such as {"task": "superres", "factor": 8, "method": "w", "w.lr": 0.05}.',
}
EVENTS = """Every event has rows (one object per cell, with its values, figures and state) and pictures (one per run, in
the order of the cells; equal cells share a run). The last event also has a sheet of all cells."""
SHARED = ("model", "seed", "settings", "budget", "align")


def grid_endpoint(session: Session, common: Mapping[str, Component]) -> Endpoint:
    """The endpoint. common: parameters that endpoints share."""
    axes = {name: gr.Textbox(value, label=name) for name, value in {"x": "method=psp,w", "y": "", "z": ""}.items()}
    parameters = {"picture": common["picture"], **axes, **{name: common[name] for name in SHARED}}

    def run(values: Parameters) -> Iterator[Answer]:
        with errors_as_messages():
            plan, materials = _planned(session, values)
            requests = grid_requests(plan.setups, materials)
            key = session.submit(requests)
        pictures = originals(requests).pictures

        def finish(view: JobView, files: PictureFiles) -> Answer:
            page = sheet(plan.layout, view.runs, plan.title, pictures)
            return _answer(plan, view, files)._replace(sheet=files.path("sheet", np.asarray(page)))

        yield from job_answers(session, key, finish, lambda view, files: _answer(plan, view, files))

    return Endpoint("grid", SUMMARY, parameters, run, NOTES, EVENTS)


def _planned(session: Session, values: Parameters) -> tuple[GridPlan, Materials]:
    decoded = inputs.decoded_picture(values["picture"])
    known = parameters(["picture"])
    base: dict[str, SettingValue] = {
        "picture": "picture",
        "task": DEFAULT_TASK,
        "method": "w",
        "model": values["model"],
        "align": values["align"],
        "seed": inputs.whole(values["seed"], "seed"),
        "budget": inputs.number(values["budget"], "budget", 1, session.budget),
    }
    with naming("settings"):
        base |= given_choices(known, values["settings"])
    plan = plan_grid(known, base, axes_of(values[name] for name in ("x", "y", "z")))
    return plan, Materials({"picture": decoded})


def _answer(plan: GridPlan, view: JobView, files: PictureFiles) -> Answer:
    names = picture_names(plan.layout, view.runs)
    shown = [
        (files.path(name.removesuffix(".png"), view.runs[run].image), ", ".join(plan.layout.labels(cell).values()))
        for run, name in names.items()
        for cell in [plan.layout.runs.index(run)]
    ]
    return Answer(rows(plan.layout, view.runs, names), shown, None)
