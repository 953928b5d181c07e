"""HTML of the page: status line, column heads, notes. All text from users is escaped here."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from html import escape

import numpy as np

from inversion import images
from inversion.methods import PRESETS
from inversion.serving.catalogue import ModelCard
from inversion.serving.session import JobView, RunView
from ui.theme import COLUMN_COLOURS

DOT = " \N{MIDDLE DOT} "
ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")
STATES = {"queued": "waiting", "running": "running", "done": "", "cancelled": "cancelled", "failed": "failed"}
READY = "Ready."
HINT = """<div class="hint"><b>Each method gets a column here.</b><br>
Upload a picture or choose an example, tick some methods, and press Run.</div>"""


def slot(name: str) -> str:
    """The place of a property in the template of an HTML component; Gradio may fill it in before the value exists."""
    return f"${{typeof {name} === 'undefined' ? '' : {name}}}"


def fixed(value: float | None, digits: int) -> str:
    """A number with this many digits after the point, or a dash."""
    return "\N{EM DASH}" if value is None else f"{value:.{digits}f}"


def clock(seconds: float | None) -> str:
    """A measured time in seconds without its unit, with two digits where one would show 0.0, or a dash."""
    return fixed(seconds, 1 if seconds is None or seconds >= 0.1 else 2)


def megabytes(size: int | None) -> str:
    """A file's size in words."""
    if not size:
        return "unknown size"
    return f"{size / 1e6:.0f} MB" if size >= 9.5e6 else f"{size / 1e6:.1f} MB"


def paper_link(paper: str) -> str:
    """A paper as HTML; its arXiv number is a link."""
    address = r'<a href="https://arxiv.org/abs/\1" target="_blank" rel="noopener noreferrer">arXiv \1</a>'
    return ARXIV.sub(address, escape(paper))


def note(text: str, bad: bool = False) -> str:
    """A line of small print. The text is escaped."""
    return f'<div class="note{" bad" if bad else ""}">{escape(text[:1].upper() + text[1:])}</div>'


def missing_note(reasons: Mapping[str, str], labels: Mapping[str, str] | None = None) -> str:
    """Why some choices are not offered, "" if all are. reasons by key; labels, if there are any, stand before them."""
    names = {key: f"<b>{escape(label)}</b>: " for key, label in (labels or {}).items()}
    lines = "".join(f"<p>{names.get(key, '')}{escape(reason)}</p>" for key, reason in reasons.items())
    return f'<div class="note">Not available with this model:{lines}</div>' if reasons else ""


def problem_list(problems: Mapping[str, str]) -> str:
    """Problems by the name of what they concern, as a line of HTML."""
    return "; ".join(f"<b>{escape(name)}</b>: {escape(problem)}" for name, problem in problems.items())


def head(title: str, note: str, colour: str, sides: tuple[str, str] | None = None) -> str:
    """A column's title with a note on its right. sides: names of the two pictures, if both are results."""
    names = "" if sides is None else f' data-left="{escape(sides[0])}" data-right="{escape(sides[1])}"'
    words = f"<b>{escape(title)}</b><span>{escape(note)}</span>"
    return f'<div class="head" style="--hue:{colour}"{names}>{words}</div>'


def run_head(index: int, run: RunView) -> str:
    """A run's title, with its step or state."""
    note = STATES[run.state]
    if run.state == "running" and run.total:
        note = DOT.join([*([run.stage] if run.stage != run.label else []), f"{run.step} / {run.total}"])
    elif run.state == "done":
        preset = (run.row or {}).get("preset", "")
        note = DOT.join([*([PRESETS[preset]] if preset else []), f"{clock(run.seconds)} s"])
    return head(run.label, note, COLUMN_COLOURS[index])


def status_line(text: str, part: float | None = None, bad: bool = False, kind: str = "") -> str:
    """The status line; `part` (0 to 1) draws a bar. `text` is HTML: the caller escapes names in it. kind: a class."""
    bar = "" if part is None else f'<div class="bar"><i style="width:{100 * min(1.0, max(0.0, part)):.0f}%"></i></div>'
    classes = " ".join(["status", *(["bad"] if bad else []), *([kind] if kind else [])])
    return f'<div class="{classes}" role="status"><div>{text}</div>{bar}</div>'


def begun_line() -> str:
    """The first status line of a job. Scripts know it by its class: from here on, Cancel finds the job."""
    return status_line("<b>Starting</b>", 0.0, kind="begun")


def job_status(view: JobView, unit: str = "method") -> str:
    """Method, step, remaining time, and place in the queue. unit: what a run is called."""
    if view.over:
        return _result(view, unit)
    if view.download is not None:
        done, total = view.download
        of = f"{DOT}{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else ""
        return status_line(f"<b>Downloading the model</b>{of}", done / total if total else 0.0)
    over = sum(run.state in ("done", "cancelled", "failed") for run in view.runs)
    running = next((run for run in view.runs if run.state == "running"), None)
    if running is None:
        ahead = f"{view.position} before you" if view.position else "you are next"
        wait = "" if view.wait is None else f"{DOT}starts in about {duration(view.wait)}"
        return status_line(f"<b>In the queue</b>{DOT}{ahead}{wait}", 0.0)
    parts = [f"<b>{escape(running.label)}</b>"]
    if running.stage != running.label:
        parts.append(escape(running.stage))
    if running.total:
        parts.append(f"step {running.step} of {running.total}")
    if running.remaining is not None:
        parts.append(_time_left(running, view.remaining))
    if len(view.runs) > 1:
        parts.append(f"{unit} {over + 1} of {len(view.runs)}")
    done_part = running.step / running.total if running.total else 0.0
    return status_line(DOT.join(parts), (over + done_part) / len(view.runs))


def _time_left(run: RunView, job: float | None) -> str:
    """Expected time of the present run, and of the whole job if more runs follow."""
    left = run.remaining or 0.0
    whole = f", {duration(job)} in all" if job is not None and job >= left + 1 else ""
    return f"about {duration(left)} left{f' for {escape(run.label)}' if whole else ''}{whole}"


def duration(seconds: float) -> str:
    """A time in words, rounded; at least a second."""
    if seconds < 119.5:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 119.5 * 60 else f"{seconds / 3600:.0f} h"


def _result(view: JobView, unit: str) -> str:
    done, failed, cancelled = ([r for r in view.runs if r.state == s] for s in ("done", "failed", "cancelled"))
    if failed:
        names = ", ".join(escape(label) for label in dict.fromkeys(run.label for run in failed))
        text = f"<b>{len(done)} of {len(view.runs)} done</b>{DOT}{names}: {escape(failed[0].message)}"
        return status_line(text, bad=True)
    if view.abandoned:
        text = f"<b>Stopped because this page was inactive.</b> {len(done)} of {len(view.runs)} {unit}s done, partial"
        return status_line(f'{text} results kept. <button type="button" class="again">Run again</button>')
    if view.interrupted:
        text = f"<b>Interrupted, because the server stopped.</b> {len(done)} of {len(view.runs)} methods done."
        return status_line(f'{text} <button type="button" class="again">Run again</button>')
    if cancelled:
        return status_line(f"<b>Cancelled.</b> {len(done)} of {len(view.runs)} {unit}s done, partial results kept.")
    seconds = sum(run.seconds - (run.row or {}).get("spent", 0.0) for run in view.runs)
    return status_line(f"<b>Done</b>{DOT}{len(done)} {unit}{'s' * (len(done) != 1)} in {clock(seconds)} s")


def precomputed_status(view: JobView, given: bool) -> str:
    """That a comparison was computed in advance, and of what. given: Run would take its picture."""
    then = "Press Run to compute it live." if given else "Upload your picture or choose an example, and press Run."
    return status_line(f'<b class="precomputed">Precomputed</b>{DOT}{len(view.runs)} methods on an example. {then}')


def other_picture(picture: np.ndarray | None) -> str:
    """That the results belong to another picture, uint8 (H, W, 3) or None if it is not known, with a small copy."""
    copy = "" if picture is None else f'<img src="{data_address(picture, 64)}" alt="the previous picture">'
    return other_results("These results belong to the previous picture. Press Run for the new one.", copy)


def other_model(shown: str, chosen: str) -> str:
    """That the results belong to the model `shown`, and Run takes the model `chosen`."""
    return other_results(f"These results belong to {shown}. Press Run for {chosen}.")


def other_results(text: str, before: str = "") -> str:
    """A note that dims the results beside it. The text is escaped. before: HTML that stands in front of it."""
    return f'<div class="note other-results">{before}{escape(text)}</div>'


def data_address(picture: np.ndarray, largest: int) -> str:
    """A copy of uint8 (H, W, 3) as a data address, at most `largest` pixels a side."""
    return f"data:image/jpeg;base64,{base64.b64encode(images.thumbnail(picture, largest)).decode()}"


def about(view: JobView, card: ModelCard | None) -> str:
    """The model of the results with its domain and licence, and which part of the upload was used."""
    facts = [f"Model: {view.model}"]
    if card is not None:
        facts += [f"domain: {card.domain}"] if card.domain != view.model else []
        facts.append(f"licence: {card.licence}")
    line = DOT.join(escape(fact) for fact in facts)
    notes = " ".join(dict.fromkeys(note for note in (view.crop.note, *view.notes) if note))
    return f'<div class="note">{line}{f"<br>{escape(notes)}" if notes else ""}</div>'
