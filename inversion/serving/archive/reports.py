"""Reports of analyses as JSON and picture files, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial

from inversion import images
from inversion.analysis import Column, Report, Shown, Table
from inversion.common.plot import Plot, Series
from inversion.common.rows import Row, RowView


def picture_name(index: int, number: int) -> str:
    """The file of a picture in the report of a run."""
    return f"run-{index}-shown-{number}.png"


def report_record(report: Report) -> Row:
    """A report as JSON, without its pixels."""
    return {
        "pictures": [[shown.title, shown.figures] for shown in report.pictures],
        "plots": [{**asdict(plot), "series": [[*one] for one in plot.series]} for plot in report.plots],
        "columns": [[*column] for column in report.table.columns],
        "rows": [[*row] for row in report.table.rows],
        "finding": report.finding,
        "across": report.across,
    }


def report_parts(report: Report, index: int) -> dict[str, Callable[[], bytes]]:
    """The pictures of a report as files."""
    return {picture_name(index, n): partial(images.packed_png, one.pixels) for n, one in enumerate(report.pictures)}


def read_report(record: RowView, index: int, read: Callable[[str], bytes], files: Mapping[str, int]) -> Report:
    """The report of a run; pictures that were not kept are left out. Raises what `read` raises."""
    pictures = [
        Shown(title, figures, images.unpacked_png(read(picture_name(index, n))))
        for n, (title, figures) in enumerate(record["pictures"])
        if picture_name(index, n) in files
    ]
    plots = [
        Plot(
            **{
                **plot,
                "series": tuple(Series(label, [(x, y) for x, y in points]) for label, points in plot["series"]),
                "ticks": tuple(plot["ticks"]),
            }
        )
        for plot in record["plots"]
    ]
    table = Table(tuple(Column(*one) for one in record["columns"]), tuple(tuple(row) for row in record["rows"]))
    return Report(pictures, plots, table, record["finding"], record["across"])
