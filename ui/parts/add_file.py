"""The form of the Models tab that adds a checkpoint of the user, and shows how far that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

import gradio as gr
from gradio.blocks import Block

from inversion.checkpoints.registry import Kind
from inversion.common.errors import UserError
from inversion.serving import catalogue
from inversion.serving.additions import CROPS, MAX_BYTES, OFF, SUFFIXES, Adding, Facts, Upload, roles
from inversion.serving.session import Session
from ui.parts.events import ADDITIONS, PRIVATE, QUIET
from ui.parts.inputs import InputError, sentence
from ui.parts.markup import DOT, note, status_line
from ui.parts.values import Update, Values

KINDS: dict[str, Kind] = {"Generator": "generator", "Encoder": "encoder", "Direction": "directions"}
CROP_LABELS = {"none": "Central square", "ffhq": "Aligned face (FFHQ)", "synthetic-faces": "Drawn face"}
ABOUT = f"""
A StyleGAN2, StyleGAN or PGGAN as its trainers save it (.safetensors, .pt, .pth, .pkl), up to {MAX_BYTES >> 30} GB. Code
in the file is not run. A converted copy stays on this computer until you remove it. Domain, licence and crop are
optional.
"""
BY_KIND = "Reconstruction, by its kind"  # the role of an encoder unless another one is chosen
PHASES = {"reading": "Reading the file", "converting": "Converting it"}


class AddFile:
    """The form. `events` are those after which the list of models has changed."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def build(self) -> None:
        """Lay out the form, or the sentence why there is none."""
        if not self.session.additions.allowed:
            gr.HTML(note(OFF), elem_id="models-add-off")
            return
        with gr.Accordion("Add a file", open=False, elem_id="models-add"):
            gr.Markdown(ABOUT, elem_classes="note")
            with gr.Row(equal_height=False):
                suffixes = [*SUFFIXES]
                self.file = gr.File(label="Checkpoint", file_types=suffixes, height=170, elem_id="models-file")
                with gr.Column(min_width=320):
                    self.kind = gr.Radio(list(KINDS), value="Generator", label="Use it as", elem_id="models-kind")
                    self.owner = gr.Dropdown(
                        [*catalogue.models()], label="Belongs to the model", visible=False, elem_id="models-owner"
                    )
                    labels = {role: capitalised(label) for role, label in roles().items()}
                    choices = [(BY_KIND, ""), *((label, role) for role, label in labels.items())]
                    self.role = gr.Dropdown(
                        choices, value="", label="What the encoder is for", visible=False, elem_id="models-role"
                    )
                    with gr.Row():
                        hint = "such as cats"
                        self.domain = gr.Textbox(label="Domain", placeholder=hint, max_length=60, min_width=120)
                        self.licence = gr.Textbox(
                            label="Licence", placeholder="such as CC BY 4.0", max_length=60, min_width=120
                        )
                    crops = [(CROP_LABELS.get(crop, crop), crop) for crop in CROPS]
                    self.crop = gr.Dropdown(crops, value="none", label="Crop of the pictures", elem_id="models-crop")
            with gr.Row(elem_classes="add-bar"):
                self.add = gr.Button("Add", variant="primary", scale=3, min_width=90, elem_id="models-add-run")
                self.stop = gr.Button("Cancel", scale=1, min_width=90, elem_id="models-add-cancel")
            self.status = gr.HTML(elem_id="models-add-status")
        self.kind.change(self.fields, self.kind, [self.owner, self.role], **QUIET)
        self.stop.click(self.cancel, None, None, **QUIET)

    def fields(self, kind: str) -> Update:
        """The fields that a kind of file has besides its facts."""
        models, encoder = [*catalogue.models()], KINDS[kind] == "encoder"
        owner = gr.update(choices=models, visible=KINDS[kind] != "generator")
        return {self.owner: owner, self.role: gr.update(visible=encoder)}

    def wire(self, shown: gr.HTML, rows: Callable[[gr.Request], dict[str, str]]) -> gr.events.Dependency:
        """Connect the button. shown: the list of models, whose rows `rows` gives."""
        self.shown, self.rows = shown, rows
        given: set[Block] = {self.file, self.kind, self.owner, self.role, self.domain, self.crop, self.licence}
        return self.add.click(self.run, given, [self.status, self.file, shown], **ADDITIONS, **PRIVATE)

    def run(self, values: Values, request: gr.Request) -> Iterator[Update]:
        """Add the chosen file, and show its progress."""
        yield {self.status: status_line("<b>Waiting</b> for another file that is being added", 0.0)}
        try:
            views = self.session.additions.add(request.session_hash or "", self._upload(values))
            for view in views:
                if not view.over:
                    yield {self.status: progress(view)}
        except UserError as error:
            yield {self.status: status_line(escape(sentence(error)), bad=True), self.file: None}
            return
        if not view.name:
            yield {self.status: status_line("<b>Cancelled.</b> Nothing was added."), self.file: None}
            return
        left_out = self.session.files.card(view.name).entry.note
        done = f"<b>Added</b>{DOT}{escape(view.name)}{DOT}it can be chosen in every tab now"
        done += f"<p>{escape(left_out)}</p>" if left_out else ""
        yield {self.status: status_line(done), self.file: None, self.shown: self.rows(request)}

    def _upload(self, values: Values) -> Upload:
        """The file and its facts. Raises InputError."""
        if not values[self.file]:
            raise InputError("Choose a file first.")
        kind = KINDS[values[self.kind]]
        if kind != "generator" and not values[self.owner]:
            raise InputError(f"Choose the model that the {values[self.kind].lower()} belongs to.")
        given = [(values[part] or "").strip() or None for part in (self.domain, self.crop, self.licence)]
        # A file that is added again keeps the facts that are not given.
        role = values[self.role] or None if kind == "encoder" else None
        facts = Facts(given[0], None if given[1] == "none" else given[1], given[2], role)
        return Upload(Path(values[self.file]), kind, None if kind == "generator" else values[self.owner], facts)

    def cancel(self, request: gr.Request) -> None:
        """End the visitor's addition, if there is one."""
        self.session.additions.cancel(request.session_hash or "")


def capitalised(label: str) -> str:
    """A label with a capital letter, unless it begins with a name such as pSp or e4e."""
    return label[:1].upper() + label[1:] if label[1:2].islower() else label


def progress(view: Adding) -> str:
    """The status of an addition, as HTML. The bar shows the phase: the size of a file does not tell its time."""
    part = 0.25 if view.phase == "reading" else 0.75
    return status_line(f"<b>{PHASES[view.phase]}</b>{DOT}{view.seconds:.0f} s", part)
