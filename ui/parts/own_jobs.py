"""The jobs of this browser, in all its windows: one line above the tabs, with a button to cancel each."""

from __future__ import annotations

import secrets
from contextlib import suppress
from html import escape

import gradio as gr

from inversion.serving import catalogue
from inversion.serving.session import JobView, Session, UnknownJob
from ui.parts.events import PRIVATE, QUIET, VIEWS
from ui.parts.markup import DOT, duration
from ui.parts.values import Update
from ui.static import script

EVERY = 3  # seconds between two updates while there are jobs
NAMED = 3  # methods of a job that waits


class OwnJobs:
    """The line, and the browser's secret that identifies its jobs in the session. The page asks only while it has jobs.

    owner: None until the page has loaded in this browser for the first time. tabs: key -> label, for those of the jobs.
    """

    def __init__(self, session: Session) -> None:
        self.session, self.tabs = session, dict[str, str]()
        # As with the keys of jobs, this "secret" only has to be the same after a restart.
        self.owner = gr.BrowserState(None, storage_key="inversion-hub-owner", secret="owner-of-jobs")  # noqa: S106
        self.line = gr.HTML("", elem_id="my-jobs", js_on_load=script("own_jobs"), apply_default_css=False)
        self.timer = gr.Timer(EVERY, active=False)

    def wire(self, page: gr.Blocks) -> None:
        """Connect the events."""
        shown = [self.line, self.timer]
        page.load(self.identify, self.owner, [self.owner, *shown], **VIEWS, **PRIVATE)
        self.timer.tick(self.show, self.owner, shown, **QUIET)
        self.line.press(self.cancel, self.owner, shown, **QUIET)

    def started(self) -> Update:
        """The update when a job has been submitted."""
        return {self.timer: gr.Timer(active=True)}

    def identify(self, owner: object) -> list[object]:
        """The browser's secret, made for a new browser, and its jobs."""
        name = owner if isinstance(owner, str) and owner else secrets.token_urlsafe(16)
        return [name, *self.show(name)]

    def show(self, owner: str | None) -> list[object]:
        """The line, and the timer that asks again while there are jobs."""
        views = self.session.own_jobs(owner or "")
        return ["".join(map(self._job, views)), gr.Timer(active=bool(views))]

    def cancel(self, owner: str | None, event: gr.EventData) -> list[object]:
        """Cancel a job of this browser."""
        key = getattr(event, "key", None)
        if key in [view.key for view in self.session.own_jobs(owner or "")]:
            with suppress(UnknownJob):  # it has just been forgotten
                self.session.cancel(str(key))
        return self.show(owner)

    def _job(self, view: JobView) -> str:
        """The tab and the state of a job, with its button."""
        label = escape(self.tabs.get(view.tab) or catalogue.task(view.task).label)
        run = next((run for run in view.runs if run.state == "running"), None)
        state = f"in the queue{DOT}{_methods(view)}" if run is None else f"{escape(run.label)} is running"
        if view.download is not None:
            state = "downloading the model"
        left = "" if run is None or view.remaining is None else f"{DOT}about {duration(view.remaining)} left"
        button = f'<button type="button" data-key="{escape(view.key)}" aria-label="Cancel {label}">Cancel</button>'
        return f'<span class="job"><b>{label}</b>{DOT}{state}{left} {button}</span>'


def _methods(view: JobView) -> str:
    """The first runs of a job, as HTML."""
    labels = list(dict.fromkeys(escape(run.label) for run in view.runs))
    named = ", ".join(labels[:NAMED])
    return named if len(labels) <= NAMED else f"{named} and {len(labels) - NAMED} more"
