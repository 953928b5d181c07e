"""The interface of a tab."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import gradio as gr
from gradio.components import Component

from inversion.serving.session import UnknownJob
from ui.history.reader import LINK, tab_of
from ui.parts.context import PageContext
from ui.parts.endpoint import Endpoint
from ui.parts.inputs import errors_as_messages
from ui.parts.values import Update


class Tab(ABC):
    """One tab of the page. A new tab is a subclass in a file of its own and a line in `TABS`.

    The page makes the tab outside the tabs, so that `__init__` can make components that must exist before the tab is
    opened (browser state). Then it calls `build` inside the tab, and `on_load` at the end.
    """

    key: ClassVar[str]  # part of the ids of the tab's elements
    label: ClassVar[str]
    takes_pictures: ClassVar[bool] = False  # pictures can be sent to its field `KEY-picture`
    paints = False  # True if that field is an editor

    def __init__(self, context: PageContext) -> None:
        self.context = context

    @abstractmethod
    def build(self, tab: gr.Tab) -> None:
        """Lay out the tab and wire its events."""

    def on_load(self, page: gr.Blocks) -> None:  # noqa: B027 - most tabs have none
        """Wire events that happen when the page opens."""

    def opens_link(self, request: gr.Request) -> bool:
        """Whether the page was opened by the link of a run of this tab: then it does not show what it showed before."""
        key = dict(getattr(request, "query_params", None) or {}).get(LINK)
        if not key:
            return False
        try:
            view = self.context.session.snapshot(str(key))
        except UnknownJob:
            return False
        return tab_of(view.tab, view.task, self.context.openers) == self.key

    def place(self, request: gr.Request) -> str:
        """Where this tab's job is shown; a new job of the same place replaces it."""
        return f"{request.session_hash} {self.key}"

    def copied(self, key: str | None, owner: str | None, request: gr.Request) -> str:
        """The key of a new job that repeats one that ended because no client was connected. Raises gr.Error."""
        with errors_as_messages():
            return self.context.session.run_again(str(key), owner=owner or "", place=self.place(request))

    def endpoint(self, common: Mapping[str, Component]) -> Endpoint | None:
        """The tab's function for scripts, None if it has none. `common`: parameters that endpoints share."""
        return None

    def model_menus(self) -> list[Component]:
        """Menus of models, which get the newest choices when the page opens."""
        return []

    def model_changes(self) -> list[gr.events.Dependency]:
        """Events of the tab after which other models are available."""
        return []

    def method_menus(self) -> list[Component]:
        """Components that `offered` updates."""
        return []

    def offered(self, missing: Mapping[str, str], lacking: Mapping[str, str]) -> Update:
        """Updates when the first model is loaded: `missing` methods and `lacking` stages with the reasons."""
        return {}
