"""The tab that lists the runs of this browser, to open them again, to run them again, and to delete them."""

from __future__ import annotations

from html import escape
from typing import ClassVar

import gradio as gr

from inversion.serving import catalogue
from ui.history.listing import listing
from ui.parts.events import PRIVATE, VIEWS
from ui.parts.inputs import errors_as_messages
from ui.parts.markup import slot
from ui.static import script
from ui.tabs.base import Tab

INTRO = "The runs of this browser, in all its windows. A link opens a run in another window, for anyone who has it."
TOOLS = f"""
<div class="past-tools"><span class="note">{slot("ends")}</span>
<button type="button" data-do="file">Open a result file</button>
<button type="button" data-do="all">Delete all</button></div>
"""


class PastRuns(Tab):
    """The list, in one component however long it is."""

    key: ClassVar[str] = "history"
    label: ClassVar[str] = "History"

    def build(self, tab: gr.Tab) -> None:
        gr.Markdown(INTRO, elem_classes="intro")
        self.list = gr.HTML(
            "",
            rows="",
            ends=self._ends(),
            html_template=TOOLS + slot("rows"),
            js_on_load=script("history"),
            apply_default_css=False,
            elem_id="history-list",
        )
        owner = self.context.own_jobs.owner
        for event in (tab.select, self.list.renewed):
            event(self.shown, owner, self.list, **VIEWS, **PRIVATE)
        self.list.deleted(self.delete, owner, self.list, **VIEWS, **PRIVATE)

    def shown(self, owner: str | None) -> object:
        """The list as it is now."""
        entries = self.context.session.history.entries(owner or "")
        rows = listing(entries, self.context.openers, catalogue.models(), self.context.methods)
        return gr.update(rows=rows, ends=self._ends())

    def delete(self, owner: str | None, event: gr.EventData) -> object:
        """Delete one run, or all that are over."""
        history, key = self.context.session.history, getattr(event, "key", None)
        with errors_as_messages():
            over = [entry.key for entry in history.entries(owner or "") if entry.state != "running"]
            history.forget(owner or "", [str(key)] if key else over)
        return self.shown(owner)

    def _ends(self) -> str:
        """How long runs are kept, and why new ones are not kept on disk if that is so."""
        history = self.context.session.history
        problem = f' <b class="bad">{escape(history.problem)}</b>' if history.problem else ""
        return escape(history.ends) + problem
