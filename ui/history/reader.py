"""Opens what reaches the page from outside: the link of a run, or a file with a recipe that is dropped on the page."""

from __future__ import annotations

from collections.abc import Collection
from html import escape
from typing import Any

import gradio as gr

from inversion.common.names import safe_name
from inversion.serving import catalogue
from inversion.serving.session import Session, UnknownJob
from ui.history.recipes import Recipe, read_recipe
from ui.parts.events import PRIVATE, VIEWS
from ui.parts.inputs import errors_as_messages
from ui.parts.own_jobs import OwnJobs
from ui.static import script

LINK = "run"  # parameter of the page's address
GONE = "The run of this link is no longer kept."
OTHER = "A run of this kind opens only in the window where it was started."


def tab_of(tab: str, task: str, openers: Collection[str]) -> str:
    """The tab that can open a run of a tab ("" if it is unknown) and a task; "" if none can."""
    return next((key for key in (tab or task,) if key in openers), "")


class Reader:
    """The component: its property `opened` tells the script which tab to open, and with which details.

    openers: key -> label of the tabs that can open a run.
    """

    def __init__(self, session: Session, owner: OwnJobs, openers: dict[str, str]) -> None:
        self.session, self.own_jobs, self.openers = session, owner, openers
        self.component = gr.HTML(
            "", opened=None, js_on_load=script("reader"), elem_id="hub-reader", apply_default_css=False
        )

    def wire(self, page: gr.Blocks) -> None:
        """Connect the events."""
        page.load(self.follow_link, None, self.component, **VIEWS, **PRIVATE)
        self.component.dropped(self.read, self.own_jobs.owner, self.component, **VIEWS, **PRIVATE)

    def follow_link(self, request: gr.Request) -> object:
        """Open the run that the page's address names."""
        key = dict(request.query_params).get(LINK)
        if not key:
            return gr.skip()
        try:
            view = self.session.snapshot(str(key))
        except UnknownJob:
            return gr.update(value=note(GONE), opened={"link": True})
        tab = tab_of(view.tab, view.task, self.openers)
        if not tab:
            return gr.update(value=note(OTHER), opened={"link": True})
        return gr.update(opened={"tab": tab, "key": view.key, "link": True})

    def read(self, owner: str | None, event: gr.EventData) -> object:
        """Restore the settings of a recipe, and its picture if this browser's runs hold it."""
        with errors_as_messages():
            recipe = read_recipe(str(getattr(event, "text", "")))
        detail, lines = self._found(recipe, owner or "")
        label = self.openers[detail["tab"]]
        about = f"The settings of a result of {label} are in place. {' '.join([*lines, *recipe.differences()])}"
        return gr.update(value=note(about), opened=detail)

    def _found(self, recipe: Recipe, owner: str) -> tuple[dict[str, Any], list[str]]:
        """What the tab has to open, and sentences on the picture and on what a recipe cannot hold."""
        entries = self.session.history.entries(owner)
        whose = f"{recipe.name or 'a picture'} (sha256 of its pixels: {safe_name(recipe.picture)})"
        for entry in entries:
            if recipe.matches(entry):
                tab = tab_of(entry.tab, entry.task, self.openers) or recipe.tab
                return {"tab": tab, "key": entry.key}, [f"It is one of your runs on {whose}, which is opened."]
        lines, form = self._not_held(recipe), {"tab": recipe.tab, "form": recipe.form()}
        same = next((entry for entry in entries if recipe.picture and entry.picture == recipe.picture), None)
        if same is not None:
            return {**form, "picture": same.key}, [f"Its picture {whose} is put in.", *lines]
        needed = [f"It belongs to {whose}: upload that picture, then press Run."] if recipe.picture else []
        return form, [*needed, *lines]

    def _not_held(self, recipe: Recipe) -> list[str]:
        """What the user has to give once more."""
        cards = catalogue.task(recipe.task).fields if recipe.inverts else ()
        fields = [card.label for card in cards if card.kind != "number"]
        lines = [f"A file does not hold these inputs: {', '.join(fields)}."] if fields else []
        lines += ["It started from a code: upload that, too."] if recipe.first.get("start") else []
        moves = (recipe.first.get("edit") or {}).get("moves")
        return [*lines, *([f"After Run, move the sliders: {_words(moves)}."] if moves else [])]


def _words(moves: object) -> str:
    """Strengths by direction, in words."""
    given = moves.items() if isinstance(moves, dict) else []
    return ", ".join(f"{str(name)[:40]} {value}" for name, value in given)


def note(text: str) -> str:
    """A note with a button that closes it. The text is escaped."""
    close = '<button type="button" class="close" aria-label="Close this note">\N{MULTIPLICATION SIGN}</button>'
    return f'<div class="note" role="status"><span>{escape(text)}</span>{close}</div>'
