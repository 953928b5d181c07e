"""The results of a tab for translations: a gallery that is filled when a job is over, and its status."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import gradio as gr
from gradio.components import Component

from inversion import images
from inversion.common.names import safe_name
from inversion.common.rows import RowView
from inversion.serving.session import JobView, Session
from inversion.translations import TRANSLATIONS
from ui.parts.markup import DOT, clock, job_status, other_results, problem_list, status_line
from ui.parts.results import STATUS_SCRIPT, viewer_button
from ui.parts.values import Update
from ui.parts.views import pictures_view


class Shown(NamedTuple):
    """Choices of the pictures that are shown. kind: None if the input has changed since."""

    kind: str | None
    models: list[str]


class TranslationPanel:
    """The components; `updates` turns views of a job into values for them. first: the status when the page opens."""

    def __init__(self, key: str, first: str) -> None:
        self.status = gr.HTML(status_line(first), js_on_load=STATUS_SCRIPT, elem_id=f"{key}-status")
        self.other = gr.HTML(elem_id=f"{key}-other")  # says when the pictures belong to other choices
        gr.HTML(viewer_button(key), elem_classes="viewer-opener")
        self.gallery = pictures_view("Pictures", f"{key}-gallery", columns=4)
        self.shown = gr.State(None)  # a `Shown`

    def outputs(self) -> list[Component]:
        """Every component that `updates` may name."""
        return [self.status, self.other, self.gallery, self.shown]

    def updates(self, session: Session, key: str, problems: Mapping[str, str]) -> Iterator[Update]:
        """Follow a job until it is over. problems: of models that are not in the job. Raises UnknownJob."""
        for view in session.follow(key):
            if not view.over:
                yield {self.status: job_status(view, "model")}
                continue
            failed = {
                model: run.message for model, run in zip(view.models, view.runs, strict=True) if run.report is None
            }
            if len(failed) == len(view.runs) and all(run.state == "cancelled" for run in view.runs):
                yield {self.status: job_status(view, "model")}
                return
            with tempfile.TemporaryDirectory() as folder:
                yield self._results(view, {**problems, **failed}, Path(folder))

    def _results(self, view: JobView, problems: Mapping[str, str], folder: Path) -> Update:
        """Every picture as a file with its recipe, and the problems by model."""
        items = [one for run in range(len(view.runs)) for one in _files(view, run, folder)]
        if not items:
            return {self.status: status_line(problem_list(problems), bad=True)}
        seconds = sum(run.seconds for run in view.runs)
        text = f"<b>Done</b>{DOT}{clock(seconds)} s" + (f"{DOT}{problem_list(problems)}" if problems else "")
        shown = Shown(view.runs[0].method, [*view.models])
        status = status_line(text, bad=bool(problems))
        return {self.gallery: items, self.status: status, self.other: None, self.shown: shown}


def _files(view: JobView, index: int, folder: Path) -> list[tuple[str, str]]:
    """The pictures of a run as (path, caption)."""
    run, model = view.runs[index], view.models[index]
    if run.report is None or run.row is None:
        return []
    items = []
    for i, one in enumerate(run.report.pictures):
        path = folder / f"{picture_name(run.row)}-{i}.png"
        images.write_png(path, one.pixels, {**run.row, "image": i})
        items.append((str(path), f"{model}: {one.title.lower()}" if len(view.runs) > 1 else one.title))
    return items


def picture_name(row: RowView) -> str:
    """The beginning of the names of a translation's files."""
    return safe_name(f"{row['translation']}-{row['model']}-s{row['seed']}")


def other_choices(shown: Shown | None, kind: str | None, models: list[str]) -> str | None:
    """That the pictures belong to another input, kind or models than the chosen ones, None if they do not."""
    if shown is None:
        return None
    if shown.kind is None:
        of = "the previous input"
    elif kind not in (shown.kind, None):
        of = f"\N{LEFT DOUBLE QUOTATION MARK}{TRANSLATIONS[shown.kind].label}\N{RIGHT DOUBLE QUOTATION MARK}"
    elif sorted(models) != sorted(shown.models):
        of = ", ".join(shown.models)
    else:
        return None
    return other_results(f"These pictures belong to {of}. Press Make pictures for new ones.")
