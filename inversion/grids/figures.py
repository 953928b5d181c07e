"""The figures of a grid: what is best where that can be compared, and a table with a line for each cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from inversion.common.names import safe_name
from inversion.common.rows import Row
from inversion.grids.plans import Layout
from inversion.metrics import METRICS, Metric
from inversion.serving.jobs import RunView

MAX_GROUPS = 8  # problems whose best cells are named
FACTS = ("task", "method", "model", "picture", "seed")  # of a row, in the table


def metric_text(name: str, value: float) -> str:
    """A figure with its unit, or with its label if it has no unit."""
    metric = METRICS[name]
    text = f"{value:.{metric.digits}f}"
    return f"{text} {metric.unit}" if metric.unit else f"{metric.label} {text}"


def figures(run: RunView) -> dict[str, float]:
    """The metrics of a run that have a value."""
    return {name: run.row[name] for name in METRICS if run.row is not None and run.row.get(name) is not None}


def caption(run: RunView) -> str:
    """The first metric and the seconds of a run that has a picture; else its state."""
    if run.image is None:
        return "" if run.state == "done" else run.state
    first = [metric_text(name, value) for name, value in list(figures(run).items())[:1]]
    time = f"{run.seconds:.1f} s" if run.seconds >= 0.1 else f"{run.seconds:.2f} s"
    return ", ".join([*first, time, *(["partial"] if run.state != "done" else [])])


def best_cells(layout: Layout, runs: Sequence[RunView], name: str) -> dict[tuple[str, ...], list[int]]:
    """The cells with the best value of a metric, for each problem that has at least two finished runs with it.

    Problems are told apart by the values of axes whose figures cannot be compared, such as pictures and tasks.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for cell, run in enumerate(layout.runs):
        if runs[run].state == "done" and name in figures(runs[run]):
            labels = layout.labels(cell)
            problem = tuple(f"{axis.label} {labels[axis.label]}" for axis in layout.axes if not axis.comparable)
            groups.setdefault(problem, []).append(cell)
    sign = 1 if METRICS[name].better == "higher" else -1
    value = {cell: sign * figures(runs[layout.runs[cell]])[name] for cells in groups.values() for cell in cells}
    several = {key: cells for key, cells in groups.items() if len({layout.runs[cell] for cell in cells}) > 1}
    highest = {key: max(value[cell] for cell in cells) for key, cells in several.items()}
    return {key: [cell for cell in cells if value[cell] == highest[key]] for key, cells in several.items()}


def summary(layout: Layout, runs: Sequence[RunView]) -> list[str]:
    """What is best, in sentences; only figures of the same problem are compared.

    For a single problem every metric is named, for several ones only the first metric.
    """
    lines: dict[tuple[str, str], list[str]] = {}
    for name, metric in METRICS.items():
        best = best_cells(layout, runs, name)
        if len(best) > MAX_GROUPS or (lines and () not in best):
            continue
        for problem, cells in best.items():
            text = _figure(metric, figures(runs[layout.runs[cells[0]]])[name])
            if where := _shared_place(layout, cells):
                lines.setdefault((", ".join(problem), where), []).append(text)
    return [_sentence(problem, where, texts) for (problem, where), texts in lines.items()]


def _shared_place(layout: Layout, cells: Sequence[int]) -> str:
    """The values that cells have in common on the axes whose figures can be compared, "" if they have none."""
    places = [layout.labels(cell) for cell in cells]
    labels = [axis.label for axis in layout.axes if axis.comparable and len({one[axis.label] for one in places}) == 1]
    return ", ".join(f"{label} {places[0][label]}" for label in labels)


def _figure(metric: Metric, value: float) -> str:
    return f"{metric.label} {value:.{metric.digits}f}{f' {metric.unit}' if metric.unit else ''}"


def _sentence(problem: str, where: str, texts: Sequence[str]) -> str:
    return f"{f'{problem}: best' if problem else 'Best'} {', '.join(texts)}: {where}."


def picture_names(layout: Layout, runs: Sequence[RunView]) -> dict[int, str]:
    """Names of the files of results, by run: the number of its first cell, and the values there."""
    names = {}
    for run in range(len(runs)):
        cell = layout.runs.index(run)
        values = "_".join(layout.labels(cell).values())
        if runs[run].image is not None:
            names[run] = f"{cell + 1:02}_{safe_name(values.replace('.', '-'), 80)}.png"
    return names


def rows(layout: Layout, runs: Sequence[RunView], names: Mapping[int, str] | None = None) -> list[Row]:
    """A row for each cell: its values on the axes, then the figures and the recipe of its run as plain JSON."""
    found = []
    for cell, run in enumerate(layout.runs):
        view = runs[run]
        state = {"state": view.state, "message": view.message, "image": (names or {}).get(run)}
        found.append({"cell": cell + 1, **layout.labels(cell), **(view.row or {}), **state, "run": run + 1})
    return found


def table(layout: Layout, runs: Sequence[RunView], names: Mapping[int, str] | None = None) -> str:
    """The cells as CSV: values on the axes, facts, metrics, seconds, steps, state, name of the picture."""
    lines = rows(layout, runs, names)
    known = [name for name in METRICS if any(line.get(name) is not None for line in lines)]
    axes = [axis.label for axis in layout.axes]
    columns = [*axes, *FACTS, *known, "seconds", "steps", "state", "message", "image", "run"]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if line.get(name) is None else line[name] for name in columns] for line in lines])
    return out.getvalue()
