"""Edits under a name: those of the domain, those that this browser keeps, and files to share."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from inversion.checkpoints.registry import registry
from inversion.common.errors import UserError
from inversion.common.names import safe_name
from inversion.directions import DirectionCard
from inversion.editing.presets import preset_edits
from inversion.editing.requests import EditOptions
from inversion.serving.session import JobView, Session
from ui.parts.codes import fetch_script
from ui.parts.events import EDITS, PRIVATE, QUIET
from ui.parts.inputs import InputError, errors_as_messages, existing, number
from ui.parts.sliders import DirectionSliders, read_edit
from ui.parts.values import Update, Value, Values

Edit = Callable[[Values, gr.Request], Iterator[Update]]  # edits all results again
MAX_SAVED, MAX_NAME, MAX_FILE = 40, 40, 64 * 1024  # edits, characters, bytes
NO_EDIT = "This file holds no edit. Choose a file that Share has written here."


class SavedEdits:
    """The fold; `wire` connects the events."""

    def __init__(self, key: str, session: Session, sliders: DirectionSliders) -> None:
        self.session, self.sliders = session, sliders
        # The "secret" is none, as that of the tab's job: it only has to be the same after a restart.
        self.own = gr.BrowserState({}, storage_key="inversion-hub-edits", secret="edits-of-a-browser")  # noqa: S106
        with gr.Accordion("Saved edits", open=False, elem_id=f"{key}-saved"):
            with gr.Row():
                self.menu = gr.Dropdown(
                    [],
                    value=None,
                    label="Load an edit",
                    info="Kept in this browser.",
                    min_width=180,
                    elem_id=f"{key}-load",
                )
                self.name = gr.Textbox(
                    label="Name", info="Of the present sliders.", max_lines=1, max_length=MAX_NAME, min_width=180
                )
            with gr.Row():
                self.save = gr.Button("Save", size="sm", min_width=80, elem_id=f"{key}-save-edit")
                self.drop = gr.Button("Delete", size="sm", min_width=80)
                self.share = gr.Button("Share (json)", size="sm", min_width=80)
                self.upload = gr.UploadButton("Open a file (json)", file_types=[".json"], size="sm", min_width=80)
            self.file = gr.DownloadButton("Edit", elem_id=f"{key}-shared", elem_classes="unseen")

    def wire(self, job: gr.State, edit: Edit, outputs: list[Component]) -> None:
        """Connect the events. job: that is shown. edit, outputs: edit all results again."""
        self.job = job
        given: set[Block] = {job, self.own, self.menu, self.name, *self.sliders.inputs()}
        moved = [*self.sliders.inputs() - {self.sliders.region}]
        # Without preprocessing: the choices of the menu are those of the present model, not of the page.
        self.menu.focus(self.choices, {job, self.own}, self.menu, **QUIET)
        loaded = self.menu.input(self.load, {job, self.own, self.menu}, moved, preprocess=False, **EDITS, **PRIVATE)
        opened = self.upload.upload(self.open, {job, self.upload}, moved, **EDITS, **PRIVATE)
        for event in (loaded, opened):
            event.success(edit, {job, *self.sliders.inputs()}, outputs, **EDITS, **PRIVATE)
        kept: list[Component] = [self.own, self.menu, self.name]
        self.save.click(self.saved, given - {self.menu}, kept, **EDITS, **PRIVATE)
        self.drop.click(self.deleted, {job, self.own, self.menu}, kept, preprocess=False, **EDITS, **PRIVATE)
        shared = self.share.click(self.shared, given - {self.menu}, [self.file], **EDITS, **PRIVATE)
        shared.success(None, None, None, js=fetch_script(str(self.file.elem_id)), **QUIET)

    def choices(self, values: Values) -> Update:
        """The names of all edits that fit the model."""
        try:
            view, cards = self.sliders.shown(self.session, values[self.job])
        except UserError:  # the results are gone; Load says so
            return {self.menu: gr.skip()}
        return {self.menu: gr.update(choices=[*presets(view, cards), *saved_in(values[self.own])])}

    def load(self, values: Values) -> Update:
        """The sliders of the chosen edit."""
        with errors_as_messages():
            view, cards = self.sliders.shown(self.session, values[self.job])
            name = str(values[self.menu])
            found: dict[str, Mapping[str, Value]] = {k: {"moves": moves} for k, moves in presets(view, cards).items()}
            found |= saved_in(values[self.own])
            if name not in found:
                raise InputError("This edit is not saved in this browser. Choose another one.")
            return self._filled(cards, found[name])

    def open(self, values: Values) -> Update:
        """The sliders of an uploaded edit."""
        with errors_as_messages():
            _, cards = self.sliders.shown(self.session, values[self.job])
            return self._filled(cards, read_file(values[self.upload]))

    def saved(self, values: Values) -> Update:
        """The sliders under a name, instead of those that had it."""
        with errors_as_messages():
            view, options = self._options(values)
            name, own = str(values[self.name] or "").strip()[:MAX_NAME], saved_in(values[self.own])
            if not name:
                raise InputError("Give the edit a name first.")
            if len(own) >= MAX_SAVED and name not in own:
                raise InputError(f"This browser keeps {MAX_SAVED} edits. Delete one first.")
            own[name] = plain(options)
        return self._kept(own, name, view)

    def deleted(self, values: Values) -> Update:
        """The edits of this browser without the chosen one."""
        with errors_as_messages():
            view, _ = self.sliders.shown(self.session, values[self.job])
            own = saved_in(values[self.own])
            if own.pop(str(values[self.menu]), None) is None:
                raise InputError("Choose an edit of yours first.")
        return self._kept(own, None, view)

    def shared(self, values: Values) -> Iterator[Update]:
        """A file with the sliders."""
        with errors_as_messages():
            view, options = self._options(values)
            name = str(values[self.name] or "").strip()[:MAX_NAME]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{safe_name(f'edit-{name}' if name else 'edit')}.json"
            path.write_text(json.dumps({"edit": plain(options), "model": view.model}, indent=1), encoding="utf-8")
            yield {self.file: gr.update(value=str(path))}

    def _kept(self, own: Mapping[str, Value], chosen: str | None, view: JobView) -> Update:
        """The edits of this browser, and the menu with one of them chosen."""
        cards = self.sliders.cards(self.session, view.model)
        return {self.own: own, self.menu: gr.update(choices=[*presets(view, cards), *own], value=chosen), self.name: ""}

    def _filled(self, cards: Sequence[DirectionCard], edit: Mapping[str, Value]) -> Update:
        """The sliders and limits of a saved edit. Raises UserError."""
        parts, layers = self.sliders, edit.get("layers")
        text = "-".join(str(end) for end in layers) if isinstance(layers, list | tuple) else ""
        options = read_edit(cards, edit.get("moves"), text, edit.get("keep"))
        limit = number(edit.get("keep_identity") or 0, "Keep identity", 0, 1)
        return {
            parts.sliders: dict(options.moves),
            parts.keep: [*options.keep],
            parts.layers: text,
            parts.identity: limit,
        }

    def _options(self, values: Values) -> tuple[JobView, EditOptions]:
        """The job that is shown, and its edit. Raises UserError."""
        view, cards = self.sliders.shown(self.session, values[self.job])
        options = self.sliders.read(cards, values, view.key)
        if not options.moves:
            raise InputError("Move a slider first.")
        return view, options


def presets(view: JobView, cards: Sequence[DirectionCard]) -> dict[str, dict[str, float]]:
    """Name -> moves of the edits that come with the domain of a job's model."""
    entry = registry().get(view.model)
    return {} if entry is None else preset_edits(entry.domain, cards)


def plain(options: EditOptions) -> dict[str, Value]:
    """An edit as JSON, without its region, which belongs to one picture."""
    row = options.row()
    return {name: row[name] for name in ("moves", "layers", "keep", "keep_identity")}


def saved_in(value: Value) -> dict[str, Mapping[str, Value]]:
    """The edits that a browser keeps, by name; what is no edit is left out."""
    found = value.items() if isinstance(value, Mapping) else ()
    return {str(name)[:MAX_NAME]: edit for name, edit in found if isinstance(edit, Mapping)}


def read_file(path: str | None) -> Mapping[str, Value]:
    """The edit in a file of Share, or in a row of the command `edit`. Raises InputError."""
    file = Path(existing(path or ""))
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file.stat().st_size <= MAX_FILE else None
    except (ValueError, RecursionError):
        found = None
    edit = found.get("edit") if isinstance(found, Mapping) else None
    if not isinstance(edit, Mapping) or not isinstance(edit.get("moves"), Mapping):
        raise InputError(NO_EDIT)
    return edit
