"""The report of a batch: one HTML file with a table of means, a plot and all pictures. It needs no other file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from statistics import fmean
from string import Template

from inversion.cli.html import figures, picture, seconds
from inversion.common.plot import COLOURS, Series, scatter
from inversion.common.rows import RowView
from inversion.metrics import METRICS

PAGE = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
DASH = "\N{EM DASH}"
COLUMNS = {"original": "Original", "input": "Input to the methods"}  # of the pictures before those of the methods


@dataclass(frozen=True)
class Entry:
    """A row of a batch, with `data:` addresses of its pictures: original, input, result."""

    row: RowView
    pictures: Mapping[str, str] = field(default_factory=dict)


def page(title: str, facts: Sequence[str], entries: Sequence[Entry], labels: Mapping[str, str]) -> str:
    """The report. facts: lines below the title. labels: of the methods by key, in the order of their columns."""
    done = [entry.row for entry in entries if not entry.row["error"]]
    common = _common(done, labels)
    rows = [row for row in done if row["picture"] in common] or done
    failed = sum(bool(entry.row["error"]) for entry in entries)
    lines = [*facts, _count(len(done), "result"), *([_count(failed, "failure")] if failed else [])]
    return PAGE.substitute(
        title=escape(title),
        facts="".join(f"<li>{escape(line)}</li>" for line in lines),
        note=escape(_means_note(done, rows, common)),
        means=_means(rows, labels),
        plot=_plot(rows, labels),
        pictures=_pictures(entries, labels),
        colours="".join(f".m{i} {{ --c: {colour}; }} " for i, colour in enumerate(COLOURS)),
    )


def _common(done: Sequence[RowView], labels: Mapping[str, str]) -> set[str]:
    """The pictures for which all methods have a result."""
    by_method = [{row["picture"] for row in done if row["method"] == method} for method in labels]
    return set.intersection(*by_method) if by_method else set()


def _means_note(done: Sequence[RowView], rows: Sequence[RowView], common: set[str]) -> str:
    if not done:
        return "No picture has a result."
    pictures = _count(len({row["picture"] for row in rows}), "picture")
    if not common:
        return f"Means over {pictures}. No picture has a result of every method, so the means cannot be compared."
    return f"Means over the {pictures} that have a result of every method. The best value is bold."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _means(rows: Sequence[RowView], labels: Mapping[str, str]) -> str:
    """A line for each method with the means of its figures."""
    by_method = {method: means([row for row in rows if row["method"] == method]) for method in labels}
    known = [name for name in (*METRICS, "seconds") if any(name in values for values in by_method.values())]
    best = {}
    for name in known:
        choose = max if name in METRICS and METRICS[name].better == "higher" else min
        best[name] = choose(values[name] for values in by_method.values() if name in values)
    heads = "".join(f'<th scope="col">{escape(_head(name))}</th>' for name in known)
    body = ""
    for i, (method, values) in enumerate(by_method.items()):
        cells = ""
        for name in known:
            text = _text(name, values.get(name))
            strong = len(by_method) > 1 and name in values and text == _text(name, best[name])
            cells += f"<td>{f'<b>{text}</b>' if strong else text}</td>"
        body += f'<tr><th scope="row"><i class="dot m{i % len(COLOURS)}"></i>{escape(labels[method])}</th>{cells}</tr>'
    return f'<thead><tr><th scope="col">Method</th>{heads}</tr></thead><tbody>{body}</tbody>'


def means(rows: Sequence[RowView]) -> dict[str, float]:
    """The means of the figures that all rows have."""
    names = [name for name in (*METRICS, "seconds") if rows and all(row.get(name) is not None for row in rows)]
    return {name: fmean(row[name] for row in rows) for name in names}


def _head(name: str) -> str:
    if name == "seconds":
        return "Time"
    metric = METRICS[name]
    return metric.label + (f" ({metric.unit})" if metric.unit else "")


def _text(name: str, value: float | None) -> str:
    if value is None:
        return DASH
    return seconds(value) if name == "seconds" else f"{value:.{METRICS[name].digits}f}"


def _plot(rows: Sequence[RowView], labels: Mapping[str, str]) -> str:
    """The first metric that the rows have against their times, as SVG in a figure; "" if there is none."""
    for name, metric in METRICS.items():
        points = {
            method: [
                (row["seconds"], row[name])
                for row in rows
                if row["method"] == method and row.get(name) is not None and row["seconds"] > 0
            ]
            for method in labels
        }
        if any(points.values()):
            drawn = scatter([Series(labels[key], found) for key, found in points.items()], _head(name))
            side = "Up" if metric.better == "higher" else "Down"
            text = f"A dot for each picture, a ring for the mean of a method. {side} and to the left is better."
            return f"<figure>{drawn}<figcaption>{text}</figcaption></figure>"
    return ""


def _pictures(entries: Sequence[Entry], labels: Mapping[str, str]) -> str:
    """A line for each picture: its name, the original, the input, and a cell for each method."""
    by_picture: dict[str, list[Entry]] = {}
    for entry in entries:
        by_picture.setdefault(entry.row["picture"], []).append(entry)
    before = [name for name in COLUMNS if any(name in entry.pictures for entry in entries)]
    heads = ["Picture", *(COLUMNS[name] for name in before), *labels.values()]
    body = ""
    for name, found in by_picture.items():
        body += f'<tr><th scope="row">{escape(Path(name).name)}</th>{"".join(_cells(found, before, labels))}</tr>'
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    return f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"


def _cells(found: Sequence[Entry], before: Sequence[str], labels: Mapping[str, str]) -> Iterator[str]:
    """The cells of a picture after its name."""
    whole = next((entry.row["error"] for entry in found if entry.row["method"] is None), None)
    if whole is not None and len(found) == 1:
        yield f'<td class="error" colspan="{len(before) + len(labels)}"><div>{escape(whole)}</div></td>'
        return
    shown = {key: address for entry in reversed(found) for key, address in entry.pictures.items()}
    for key in before:
        yield f"<td>{picture(shown[key], COLUMNS[key]) if key in shown else DASH}</td>"
    by_method = {entry.row["method"]: entry for entry in found}
    for method, label in labels.items():
        entry = by_method.get(method)
        yield f"<td>{whole and escape(whole) or DASH}</td>" if entry is None else _result(entry, label)


def _result(entry: Entry, label: str) -> str:
    """The cell of a result: its picture, which leads to its file, its figures, and a message if there is one."""
    row = entry.row
    if row["error"]:
        return f'<td class="error">{escape(row["error"])}</td>'
    shown = picture(entry.pictures["result"], f"Result of {label}")
    linked = f'<a href="{escape(row["image"])}">{shown}</a>' if row["image"] else shown
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in figures(row).items())
    message = f"<p>{escape(row['message'])}</p>" if row["message"] else ""
    return f"<td>{linked}<dl>{lines}</dl>{message}</td>"
