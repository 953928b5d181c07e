"""Fields of a tab that keep their values: after a reload, by a link, from the history, and from a file.

A form is {name of a field: value}. `static/reopen.js` stores the form of a tab in the browser and asks for it again;
see `ui.history.reopen` for the events. Tabs of tasks have richer forms of their own, see `ui.history.form`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component

from inversion.common.names import safe_name
from inversion.serving import catalogue
from inversion.serving.runs import Request
from inversion.serving.session import Session, UnknownJob
from ui.history.form import fits
from ui.history.reopen import ASKED, GONE, OTHER_KEEPS, cached_picture, changed, filled, opener
from ui.parts.events import QUIET
from ui.parts.framing import Framing
from ui.parts.inputs import errors_as_messages
from ui.parts.values import Update, Value

Pictures = Callable[[tuple[Request, ...]], Value]  # what a field for pictures gets from a run


class KeptFields:
    """The fields of a tab, by name. opener: the component that talks with the script.

    readers: fields whose own script stores their values; each makes what the field may get of a stored value.
    models: names of menus of models. framings: the squares on photos.
    """

    def __init__(
        self,
        key: str,
        fields: Mapping[str, Component],
        readers: Mapping[str, Callable[[object], Value]] | None = None,
        models: Collection[str] = ("model",),
        framings: Mapping[str, Framing] | None = None,
    ) -> None:
        self.key, self.fields, self.models = key, fields, models
        self.readers, self.framings = readers or {}, framings or {}
        self.opener = opener(key)
        self._answers = count(1)

    def outputs(self) -> list[Component]:
        """Every component that `answer` may name."""
        return [*self.fields.values(), *(one.component for one in self.framings.values()), self.opener]

    def wire(self, session: Session, pictures: Mapping[str, tuple[Component, Pictures]]) -> None:
        """Connect the events that store the fields, and those that put the pictures of a run into their fields.

        pictures: name of an event of the opener -> the field that it fills.
        """
        held = {name: part for name, part in self.fields.items() if name not in self.readers}
        held |= {name: framing.component for name, framing in self.framings.items()}
        names = json.dumps([self.key, list(held)])
        save = f"(...values) => {{ window.hub?.save(...{names}, values); return []; }}"
        changes = [part.change for part in held.values()]  # type: ignore[attr-defined]
        gr.on(changes, None, list(held.values()), None, js=save, **QUIET)

        def put(made: Pictures) -> Callable[[gr.EventData], Value]:
            def files(event: gr.EventData) -> Value:
                with errors_as_messages():
                    return made(session.history.requests(str(getattr(event, "key", None))))

            return files

        for name, (field, made) in pictures.items():
            filled(getattr(self.opener, name)(put(made), None, field, **ASKED), field)

    def answer(self, form: object, key: str | None = None, events: Mapping[str, Component] | None = None) -> Update:
        """The fields with the values of a form as far as they fit; then the script asks for the pictures of a run.

        key: of the run. events: name of an event of the opener -> the field that it fills.
        """
        given = form if isinstance(form, Mapping) else {}
        number = next(self._answers)
        update: Update = {}
        for name, part in self.fields.items():
            if name not in given:
                continue
            if name in self.readers:
                update[part] = gr.update(value=self.readers[name](given[name]), restored=number)
            elif self._fits(name, part, given[name]):
                update[part] = given[name]
        for name, framing in self.framings.items():
            if isinstance(given.get(name), Mapping):
                update[framing.component] = gr.update(restored={**given[name], "answer": number})
        # A field for files may be in a closed fold: its picture is asked for at once.
        asked = {name: "" if isinstance(one, gr.File) else one.elem_id for name, one in (events or {}).items() if key}
        answered = {"number": number, "form": dict(given) or None, "key": key, "events": asked}
        return {**update, self.opener: gr.update(answered=answered)}

    def _fits(self, name: str, part: Component, value: Value) -> bool:
        """Whether a field can have the value. Menus of models change while the page is open."""
        if name not in self.models:
            return fits(part, value)
        chosen = value if isinstance(value, list) else [value]
        return bool(chosen) and all(isinstance(one, str) and one in catalogue.models() for one in chosen)


def kept_requests(session: Session, detail: Mapping[str, Any]) -> tuple[Request, ...]:
    """The requests of the run that an event names; () with a message if its pictures are no longer kept."""
    key = detail.get("key") or detail.get("picture")
    try:
        return session.history.requests(str(key)) if key else ()
    except UnknownJob:
        gr.Info(OTHER_KEEPS)
        return ()


def reopened(session: Session, detail: Mapping[str, Any], owner: str, place: str, shown: str | None) -> str:
    """The key of the run that an event of the opener names, or of its copy that runs again.

    owner, place, shown: as for `Session.submit`. Raises gr.Error.
    """
    key = str(detail.get("key"))
    with errors_as_messages():
        if not detail.get("run"):
            if not session.history.has(key):
                raise UnknownJob(GONE)
            return key
        requests = changed(session.history.requests(key), detail, session)
        about = session.snapshot(key).about
        return session.submit(requests, owner=owner, place=place, replaces=shown, about=about)


def picture_file(pixels: np.ndarray, name: str, field: Component) -> str:
    """A picture uint8 (H, W, 3) as a file that a field can show; name: of its first file."""
    return cached_picture(pixels, safe_name(Path(name).stem or "picture") + ".png", field)
