"""The tab for editing: a picture is inverted by some methods, then all results are moved along the same directions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr

from inversion import images
from inversion.common.errors import UserError
from inversion.editing.requests import Edited
from inversion.serving.catalogue import ModelCard
from inversion.serving.session import JobView, Session
from ui.parts import moves
from ui.parts.export import Shown
from ui.parts.inputs import explained
from ui.parts.markup import edit_figures, edited_head, note
from ui.parts.moves import Change, Moves
from ui.parts.pair import Pair
from ui.parts.results import Panel, compared, words
from ui.parts.streams import Update
from ui.parts.workbench import PRIVATE, Workbench
from ui.tab import Desk, PictureTab

# Edits are answered between two steps of what runs; so many visitors may wait for one at a time.
EDITS: dict[str, Any] = {"concurrency_id": "edits", "concurrency_limit": 8}


class Edit(PictureTab):
    key: ClassVar[str] = "edit"
    task: ClassVar[str] = "reconstruct"
    label: ClassVar[str] = "Edit"
    intro: ClassVar[str] = (
        "Invert your picture by some methods, then move the sliders: every result gets the same edit. How well it "
        "holds still otherwise shows what its code is worth."
    )
    methods: ClassVar[tuple[str, ...]] = ("w", "wplus")


class EditPanel(Panel):
    """Result columns that show, once the job is over, inverted and edited pictures."""

    def __init__(self, desk: Desk, models: Mapping[str, ModelCard]) -> None:
        self.desk = desk
        super().__init__(Edit.key, models)

    def more(self, key: str) -> None:
        with gr.Column(elem_id=f"{key}-box"):
            self.moves = Moves(key)
            self.pair = Pair(self.desk)

    def outputs(self) -> list[gr.components.Component]:
        return [*super().outputs(), *self.moves.outputs(), *self.pair.outputs()]

    def updates(self, session: Session, key: str, left: str) -> Iterator[Update]:
        """As for every tab; the sliders come with the end of the job. Raises UnknownJob."""
        closed: Update = {**self.moves.closed(), **self.pair.closed()}
        for update in super().updates(session, key, left):
            yield {**closed, **update}
            closed = {}
        view = session.snapshot(key)
        if any(run.image is not None for run in view.runs):
            with explained():
                cards = session.edits.directions(view.model)
            yield self.moves.opened(view.model, cards)

    def edited(self, view: JobView, index: int, change: Change, edited: Edited, folder: Path) -> Update:
        """A column with the inverted picture at the left, the edited one at the right, and what else changed."""
        run, column, shown = view.runs[index], self.columns[index], Shown(str(folder))
        name = "".join(c if c.isalnum() else "-" for c in run.method)
        path = folder / f"edited-{name}-{index}.png"
        images.write_png(path, edited.picture, {**(run.row or {}), "edit": moves.recipe(change, edited)})
        return {
            column.box: gr.update(above=edited_head(index, run), below=edit_figures(change.moves, edited)),
            column.slider: (shown.path(f"inverted-{index}", run.image), str(path)),
            column.download: gr.update(value=str(path), interactive=True),
        }

    def unedited(self, view: JobView, index: int, folder: Path) -> Update:
        """A column as it was when the job was over."""
        run, column = view.runs[index], self.columns[index]
        assert run.image is not None  # noqa: S101 - only columns with a picture are edited
        path = folder / f"inverted-{index}.png"
        images.write_png(path, run.image, dict(run.row or {}))
        return {
            column.box: gr.update(**words(view, index)),
            column.slider: compared(view, index, "truth", Shown(str(folder))),
            column.download: gr.update(value=str(path), interactive=True),
        }


class EditBench(Workbench):
    """A workbench whose results can be edited, and joined with those of a second picture."""

    panel: EditPanel

    def _panel(self) -> Panel:
        return EditPanel(self.desk, self.desk.models)

    def _wire(self) -> None:
        super()._wire()
        parts, outputs = self.panel.moves, self.panel.outputs()
        for event in parts.events():
            event(self._edit, [self.job, *parts.inputs()], outputs, trigger_mode="always_last", **EDITS, **PRIVATE)
        self.panel.pair.wire(self.controls["picture"], self.settings, self.crop, self.job, self.streams)

    def _edit(
        self, key: str | None, strengths: object, layers: str, keep: list[str], request: gr.Request
    ) -> Iterator[Update]:
        yield from self.streams.newest(request, self._edits(key, strengths, layers, keep), "edits")

    def _edits(self, key: str | None, strengths: object, layers: str, keep: list[str]) -> Iterator[Update]:
        """Apply the sliders to every result; a column that cannot be edited says why."""
        with explained():
            view = self.desk.session.snapshot(key or "")
            change = moves.read(self.panel.moves.cards(self.desk.session, view.model), strengths, layers, keep)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for index in [i for i, run in enumerate(view.runs) if run.image is not None]:
                if not change.moves:
                    yield self.panel.unedited(view, index, folder)
                    continue
                try:
                    edited = self.desk.session.edits.move(view.key, index, change.moves, change.layers, change.keep)
                except UserError as error:
                    said = {**words(view, index), "below": note(str(error), bad=True)}
                    yield {self.panel.columns[index].box: gr.update(**said)}
                else:
                    yield self.panel.edited(view, index, change, edited, folder)
