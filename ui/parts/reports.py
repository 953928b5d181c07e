"""A report of an analysis as HTML and as files."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from inversion.analysis import Analysis, Report, Shown, Table
from inversion.analysis.export import Files, write
from inversion.common.names import safe_name
from inversion.common.plot import COLOURS, draw
from inversion.serving.session import JobView
from ui.parts.markup import DOT, clock, job_status, note, paper_link, status_line

LARGEST = 256  # pixels a side of pictures on the page; the sheet has them in full size
WIDE, NARROW = 720, 520  # units of a plot that is alone, and of one that has a neighbour
PALETTE = "".join(f".report .m{i} {{ --c: {colour}; }} " for i, colour in enumerate(COLOURS))


def introduction(analysis: Analysis) -> str:
    """The three sentences that open an analysis."""
    parts = {"The claim": analysis.claim, "What to look at": analysis.look}
    rows = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in parts.items())
    where = f"<dt>In the paper</dt><dd>{escape(analysis.where)} <small>{paper_link(analysis.paper)}</small></dd>"
    return f'<dl class="claim">{rows}{where}</dl>'


def report_html(report: Report) -> str:
    """A report as one block: the finding, plots, pictures, table."""
    drawn = [plot for plot in report.plots if not plot.empty]
    width = WIDE if len(drawn) == 1 else NARROW
    plots = "".join(
        f'<figure class="curve"><figcaption>{escape(plot.title)}</figcaption>{draw(plot, width)}</figure>'
        for plot in drawn
    )
    finding = f'<p class="finding">{escape(report.finding)}</p>' if report.finding else ""
    parts = [finding, f'<div class="curves">{plots}</div>' if plots else "", _pictures(report), _table(report.table)]
    return f'<div class="report"><style>{PALETTE}</style>{"".join(parts)}</div>'


def report_status(view: JobView) -> str:
    """The status line of a job with an analysis."""
    run = view.runs[0]
    if run.state == "done":
        message = f"{DOT}{escape(run.message)}" if run.message else ""
        return status_line(f"<b>Done</b>{DOT}{clock(run.seconds)} s{message}")
    if run.state == "cancelled":
        return status_line("<b>Cancelled.</b> The results so far are kept.")
    return job_status(view)


def report_notes(view: JobView) -> str:
    """The model and the part of the picture that was used, as a line of HTML."""
    return note(DOT.join(filter(None, (f"Model: {view.model}", view.crop.note))))


def report_files(view: JobView, folder: Path) -> Files | None:
    """The files of a report; None without one."""
    run = view.runs[0]
    if run.report is None or run.row is None:
        return None
    return write(run.report, run.row, folder, safe_name(f"{run.row['analysis']}-{view.model}-s{run.row['seed']}"))


def _pictures(report: Report) -> str:
    if not report.pictures:
        return ""
    columns = f' style="--across:{report.across}"' if report.across else ""
    kind = "rows" if report.across else "flow"
    return f'<div class="shown {kind}"{columns} tabindex="0">{"".join(_figures(report.pictures))}</div>'


def _figures(pictures: Iterable[Shown]) -> Iterable[str]:
    for shown in pictures:
        figures = f"<span>{escape(shown.figures)}</span>" if shown.figures else ""
        words = f"<figcaption><b>{escape(shown.title)}</b>{figures}</figcaption>" if shown.title or figures else ""
        yield f'<figure><img src="{_address(shown.pixels)}" alt="{escape(shown.title)}">{words}</figure>'


def _address(pixels: np.ndarray) -> str:
    """A picture as a data address, at most LARGEST pixels a side."""
    image, file = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((LARGEST, LARGEST))
    image.save(file, "JPEG", quality=92, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    heads = "".join(f'<th scope="col">{escape(column.label)}</th>' for column in table.columns)
    body = ""
    for first, *cells in table.rows_as_text():
        line = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        body += f'<tr><th scope="row">{escape(first)}</th>{line}</tr>'
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
