"""The page's own HTML: status line, column heads, figures. Holds no text of a user's that is not escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from inversion.editing.requests import Edited
from inversion.serving.catalogue import ModelCard
from inversion.serving.session import JobView, RunView
from ui.theme import COLUMN_COLOURS

# Key in a row, name, digits, what it means.
FIGURES = (
    ("psnr", "PSNR", 2, "Peak signal-to-noise ratio against your picture in dB; higher is closer"),
    ("ssim", "SSIM", 3, "Structural similarity to your picture; 1 is the same"),
    ("lpips", "LPIPS", 3, "Learned perceptual distance; lower is closer; a dash where its network is not at hand"),
    ("identity", "Identity", 3, "Cosine of ArcFace embeddings; a dash where its network is not at hand"),
    ("synthetic_identity", "Synthetic id.", 3, "Cosine of the embedded predictor's embeddings; for synthetic faces"),
)
OTHERS = 3  # attributes that an edit was not to change, shown with their changes
STATES = {"queued": "waiting", "running": "running", "done": "", "cancelled": "cancelled", "failed": "failed"}

READY = "Ready."
HINT = """<div class="hint"><b>Results appear here, one column a method.</b><br>
Give a picture or take an example, choose some methods, and press Run.</div>"""


def slot(name: str) -> str:
    """The place of a property in an HTML component's template, which Gradio may fill in before it has the value."""
    return f"${{typeof {name} === 'undefined' ? '' : {name}}}"


def fixed(value: float | None, digits: int) -> str:
    """A number with so many digits, or a dash."""
    return "\N{EM DASH}" if value is None else f"{value:.{digits}f}"


def figure(row: Mapping[str, Any], key: str, digits: int) -> str:
    """A figure of a row, or a dash. LPIPS on VGG16, which does not compare with the usual one, says what it is."""
    if key == "lpips" and row.get("lpips_vgg") is not None:
        return f"{fixed(row['lpips_vgg'], digits)} (VGG)"
    return fixed(row.get(key), digits)


def megabytes(size: int | None) -> str:
    """A file's size in words."""
    if not size:
        return "size not known"
    return f"{size / 1e6:.0f} MB" if size >= 9.5e6 else f"{size / 1e6:.1f} MB"


def head(title: str, note: str, colour: str) -> str:
    """A column's title with a note at its right."""
    return f'<div class="head" style="--hue:{colour}"><b>{escape(title)}</b><span>{escape(note)}</span></div>'


def run_head(index: int, run: RunView) -> str:
    """A run's title, with the step it is at or its state."""
    note = STATES[run.state]
    if run.state == "running" and run.total:
        note = f"{run.step} / {run.total}" if run.stage == run.label else f"{run.stage} {run.step} / {run.total}"
    elif run.state == "done":
        note = f"{run.seconds:.1f} s"
    return head(run.label, note, COLUMN_COLOURS[index])


def run_figures(run: RunView) -> str:
    """The run's figures and what it has to say."""
    row: Mapping[str, Any] = run.row or {}
    shown = [(name, figure(row, key, digits), hint) for key, name, digits, hint in FIGURES if key != "identity"]
    shown.append(("Seconds", fixed(run.seconds, 1), "Computing time of this method"))
    cells = "".join(
        f'<div title="{escape(hint)}"><dt>{escape(name)}</dt><dd>{value}</dd></div>' for name, value, hint in shown
    )
    message = f"<p>{escape(run.message[:1].upper() + run.message[1:])}</p>" if run.message else ""
    return f'<dl class="figures">{cells}{message}</dl>'


def status_line(text: str, part: float | None = None, bad: bool = False) -> str:
    """The status line; `part` (0 to 1) draws a bar. `text` is ours, but for names that are escaped by the caller."""
    bar = "" if part is None else f'<div class="bar"><i style="width:{100 * min(1.0, max(0.0, part)):.0f}%"></i></div>'
    return f'<div class="status{" bad" if bad else ""}" role="status">{f"<div>{text}</div>"}{bar}</div>'


def job_status(view: JobView) -> str:
    """Which method, which step, how long, which place in the queue."""
    over = sum(run.state in ("done", "cancelled", "failed") for run in view.runs)
    if view.over:
        return _ending(view)
    running = next((run for run in view.runs if run.state == "running"), None)
    if view.download is not None:
        done, total = view.download
        of = f" \N{MIDDLE DOT} {done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else ""
        return status_line(f"<b>Downloading the model</b>{of}", done / total if total else 0.0)
    if running is None:
        ahead = f"{view.position} before you" if view.position else "you are next"
        return status_line(f"<b>In the queue</b> \N{MIDDLE DOT} {ahead}", 0.0)
    part = running.step / running.total if running.total else 0.0
    text = f"<b>{escape(running.label)}</b>"
    if running.stage != running.label:
        text += f" \N{MIDDLE DOT} {escape(running.stage)}"
    if running.total:
        text += f" \N{MIDDLE DOT} step {running.step} of {running.total}"
    if running.step >= 3 and running.seconds > 0:
        left = (running.seconds - running.stage_began) / running.step * (running.total - running.step)
        left = min(left, max(0.0, running.budget - running.seconds))
        text += f" \N{MIDDLE DOT} about {left:.0f} s left in this stage"
    if len(view.runs) > 1:
        text += f" \N{MIDDLE DOT} method {over + 1} of {len(view.runs)}"
    return status_line(text, (over + part) / len(view.runs))


def about(view: JobView, card: ModelCard | None) -> str:
    """Which model made the results, of which domain, under which licence, and which part of the upload it saw."""
    facts = [view.model] if card is None else [view.model, card.domain, f"licence: {card.licence}"]
    line = " \N{MIDDLE DOT} ".join(escape(fact) for fact in facts)
    note = f"<br>{escape(view.crop.note)}" if view.crop.note else ""
    return f'<div class="note">{line}{note}</div>'


def _ending(view: JobView) -> str:
    done, failed, cancelled = ([r for r in view.runs if r.state == s] for s in ("done", "failed", "cancelled"))
    seconds = sum(run.seconds for run in view.runs)
    if failed:
        names = ", ".join(escape(run.label) for run in failed)
        return status_line(
            f"<b>{len(done)} of {len(view.runs)} done</b> \N{MIDDLE DOT} {names}: {escape(failed[0].message)}", bad=True
        )
    if cancelled:
        return status_line(
            f"<b>Cancelled</b> \N{MIDDLE DOT} {len(done)} of {len(view.runs)} done, the rest as far as it came"
        )
    return status_line(f"<b>Done</b> \N{MIDDLE DOT} {len(done)} method{'s' * (len(done) != 1)} in {seconds:.1f} s")


def note(text: str, bad: bool = False) -> str:
    """A line of small print; the text may be a user's."""
    return f'<div class="note{" bad" if bad else ""}">{escape(text[:1].upper() + text[1:])}</div>'


def edited_head(index: int, run: RunView) -> str:
    """The title of a column that shows a run's result before and after an edit."""
    return head(run.label, "inverted | edited", COLUMN_COLOURS[index])


def edit_figures(moves: Mapping[str, float], edited: Edited) -> str:
    """What an edit changed, as the predictor sees it: the moved attributes, those that changed most with them."""
    changes = {name: after - before for name, (before, after) in edited.attributes.items()}
    moved = [name for name in changes if name in moves]
    others = sorted((name for name in changes if name not in moves), key=lambda name: -abs(changes[name]))
    cells = [
        (name.replace("_", " ").capitalize(), f"{changes[name]:+.2f}", "moved" if name in moves else "moved along")
        for name in moved + others[:OTHERS]
    ]
    cells.append(("Synthetic id.", fixed(edited.synthetic_identity, 3), "Cosine to the unedited picture's embedding"))
    shown = "".join(
        f'<div title="{escape(hint)}"><dt>{escape(name)}</dt><dd>{value}</dd></div>' for name, value, hint in cells
    )
    return f'<dl class="figures">{shown}</dl>'


def listed(problems: Mapping[str, str]) -> str:
    """What went wrong with each of several things, as a line of HTML."""
    return "; ".join(f"<b>{escape(name)}</b>: {escape(problem)}" for name, problem in problems.items())
