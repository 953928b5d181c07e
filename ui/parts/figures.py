"""Figures of results, derived from METRICS: for cards, captions, and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import gradio as gr
from gradio.components.dataframe import DataframeData

from inversion.common.rows import Row, RowView
from inversion.editing.requests import Edited
from inversion.metrics import METRICS, Metric
from inversion.serving.session import RunView
from ui.parts.markup import clock, fixed

MOST_CHANGED = 3  # attributes that are shown, of those that the edit did not move


@dataclass(frozen=True)
class Figure:
    """A figure as text; `help` is shown when the pointer rests on it."""

    label: str
    text: str
    help: str


def metric_figures(row: RowView) -> list[Figure]:
    """The metrics of a row that could be computed."""
    return [
        Figure(metric.label, fixed(row[name], metric.digits), f"{metric.help} {metric.better.capitalize()} is better.")
        for name, metric in METRICS.items()
        if row.get(name) is not None
    ]


def not_computed(runs: Sequence[RunView]) -> str:
    """Which metrics finished runs lack and why, as a line of HTML; "" if they lack none."""
    rows = [run.row for run in runs if run.state == "done" and run.row]
    known = {METRICS[name].needs for row in rows for name in METRICS if row.get(name) is not None}
    lacking = [metric.label for metric in METRICS.values() if metric.needs and metric.needs not in known]
    if not rows or not lacking or "" not in known:  # without a picture to compare with, nothing is computed
        return ""
    names = escape(", ".join(lacking))
    return f'<div class="note">Not computed, because the model has no network for it: {names}.</div>'


def run_figures(run: RunView) -> str:
    """A run's figures and message as HTML."""
    figures = metric_figures(run.row or {})
    if run.state != "done" and run.seconds:  # the column's head shows the time of a finished run
        figures.append(Figure("Seconds", clock(run.seconds), "Computing time"))
    return figure_list(figures, run.message)


def edit_figures(moves: Mapping[str, float], edited: Edited) -> str:
    """The changes by an edit according to the predictor, as HTML: moved attributes, then the largest changes."""
    changes = {name: change.after - change.before for name, change in edited.attributes.items()}
    moved = [name for name in changes if name in moves]
    unmoved = sorted((name for name in changes if name not in moves), key=lambda name: -abs(changes[name]))
    figures = [
        Figure(edited.attributes[name].label, f"{changes[name]:+.2f}", "moved" if name in moves else "not moved")
        for name in moved + unmoved[:MOST_CHANGED]
    ]
    if edited.factor < 1:
        figures.insert(0, Figure("Edit shrunk to", f"{100 * edited.factor:.0f} %", "To keep the identity."))
    figures += metric_figures(edited.figures)
    return figure_list(figures)


def figure_list(figures: Sequence[Figure], message: str = "") -> str:
    """Figures, and a message below them, as HTML."""
    cells = "".join(
        f'<div title="{escape(one.help)}"><dt>{escape(one.label)}</dt><dd>{escape(one.text)}</dd></div>'
        for one in figures
    )
    below = f"<p>{escape(message[:1].upper() + message[1:])}</p>" if message else ""
    return f'<dl class="figures">{cells}{below}</dl>'


def caption(run: RunView) -> str:
    """The figures that every preview has, the seconds and an unusual state in one line."""
    row = run.row or {}
    cheap = {name: metric for name, metric in METRICS.items() if metric.cheap and row.get(name) is not None}
    parts = [with_unit(metric, fixed(row[name], metric.digits)) for name, metric in cheap.items()]
    parts.append(f"{clock(run.seconds)} s")
    return "  ".join(parts + ([run.state] if run.state in ("cancelled", "failed") else []))


def with_unit(metric: Metric, text: str) -> str:
    """A figure with its unit, or with its label if it has no unit."""
    return f"{text} {metric.unit}" if metric.unit else f"{metric.label} {text}"


class FigureTable(gr.Dataframe):
    """A table that takes the lines of `table` as they are. Gradio's own loads pandas, which takes half a second."""

    is_template = True  # the browser shows it as its base class

    def postprocess(self, value: Row | None) -> DataframeData:  # type: ignore[override]
        """As of Gradio's components. None: no lines."""
        lines = value or {"headers": self.headers, "data": []}
        return DataframeData(headers=lines["headers"], data=lines["data"])


def table(runs: Sequence[RunView]) -> Row:
    """A line per run, a column per metric that any run has; as `FigureTable` takes it."""
    shown = {
        name: metric for name, metric in METRICS.items() if any((run.row or {}).get(name) is not None for run in runs)
    }
    labels = [f"{metric.label} ({metric.unit})" if metric.unit else metric.label for metric in shown.values()]
    cells = []
    for run in runs:
        row = run.row or {}
        figures = [fixed(row.get(name), metric.digits) for name, metric in shown.items()]
        cells.append([run.label, *figures, clock(run.seconds), row.get("steps", run.step), run.state])
    return {"headers": ["Method", *labels, "Seconds", "Steps", "State"], "data": cells}
