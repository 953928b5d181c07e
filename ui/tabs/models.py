"""The tab that lists all model files: what they are, with their state, and buttons that download them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape
from typing import ClassVar

import gradio as gr

from inversion.serving.files import FileCard
from ui.parts.add_file import AddFile
from ui.parts.events import DOWNLOADS, PRIVATE, VIEWS
from ui.parts.inputs import errors_as_messages
from ui.parts.markup import DOT, megabytes, slot
from ui.static import script
from ui.tabs.base import Tab

INTRO = """
All model files that can be used here. Files that are built in or available work without a network. Generators are
downloaded on first use, encoders when you press their button. A file is opened only if its size and sha256 are correct.
"""
GRADES = """
Official file: the authors of the network link to it. Copy: published by a third party. A licence also covers the
pictures that are made with a model: read it before you publish them.
"""
GRADE_LABELS = {"A": "official file", "B": "copy"}
SECTIONS = {"Generators": ("generator",), "Encoders": ("encoder",), "Other networks": ()}  # (): all other kinds
YOURS = "Yours"  # section of the files that were added
ALL_YOURS = ""  # key of the whole section in the value of the list
# The component's value is {model: its row as HTML}, of the rows that have changed. Open notes stay open.
SCRIPT = script("models")


class Models(Tab):
    """The list, in one component however long it is."""

    key: ClassVar[str] = "models"
    label: ClassVar[str] = "Models"

    def build(self, tab: gr.Tab) -> None:
        gr.Markdown(INTRO, elem_classes="intro")
        with gr.Row(elem_classes="model-tools"):
            self.refresh = gr.Button("Refresh", size="sm", min_width=110, scale=0, elem_id="models-refresh")
        self.adding = AddFile(self.context.session)
        self.adding.build()
        allowed = self.context.session.additions.allowed
        rows = listing(self.context.session.files.cards(), allowed)
        self.list = gr.HTML({}, rows=rows, html_template=slot("rows"), js_on_load=SCRIPT, apply_default_css=False)
        gr.Markdown(GRADES, elem_classes="note")
        # "multiple": the button that started a download also cancels it.
        self.list.press(self.pressed, None, self.list, trigger_mode="multiple", **DOWNLOADS, **PRIVATE)
        for event in (self.refresh.click, tab.select):
            event(self.rows, None, self.list, **DOWNLOADS, **PRIVATE)
        self.changes = []
        if allowed:
            removed = self.list.remove(self.remove, None, self.list, **VIEWS, **PRIVATE)
            self.changes = [self.adding.wire(self.list, self.rows), removed]

    def model_changes(self) -> list[gr.events.Dependency]:
        return self.changes

    def rows(self, request: gr.Request) -> dict[str, str]:
        """All rows as they are now."""
        allowed = self.context.session.additions.allowed
        cards = self.context.session.files.cards(request.session_hash or "")
        return {ALL_YOURS: yours(cards, allowed), **{card.entry.name: row(card, allowed) for card in cards}}

    def remove(self, request: gr.Request, event: gr.EventData) -> dict[str, str]:
        """Remove a file of the user's."""
        with errors_as_messages():
            gone = self.context.session.additions.remove(str(getattr(event, "name", None)))
        gr.Info(escape(f"Removed: {', '.join(gone)}."))
        return self.rows(request)

    def pressed(self, request: gr.Request, event: gr.EventData) -> Iterator[dict[str, str]]:
        """Start or leave the download of the model whose button was pressed."""
        files, visitor = self.context.session.files, request.session_hash or ""
        with errors_as_messages():
            card = files.card(str(getattr(event, "name", None)), visitor)
            name = card.entry.name
            if not card.wanted:
                files.download(name, visitor)
        if card.wanted:
            files.cancel(name, visitor)
        else:
            card = files.card(name, visitor)
            yield {name: row(card)}
            for download in files.follow(name, visitor):
                # With the button: a list that was asked for before the click may arrive after it.
                yield {name: row(replace(card, download=download, wanted=True))}
        yield {name: row(files.card(name, visitor))}


def listing(cards: Sequence[FileCard], removable: bool = False) -> str:
    """All models in their sections, as HTML. removable: the user's own files have a button that removes them."""
    left = [card for card in cards if not card.entry.own]
    parts = [f'<div class="yours">{yours(cards, removable)}</div>']
    for title, kinds in SECTIONS.items():
        members = [card for card in left if not kinds or card.entry.kind in kinds]
        left = [card for card in left if card not in members]
        parts.append(section(title, members))
    return "".join(parts)


def yours(cards: Sequence[FileCard], removable: bool) -> str:
    """The section of the user's own files, "" without files."""
    return section(YOURS, [card for card in cards if card.entry.own], removable)


def section(title: str, cards: Sequence[FileCard], removable: bool = False) -> str:
    """Models under a title, as HTML; "" for none."""
    if not cards:
        return ""
    rows = "".join(
        f'<div class="model" id="model-{escape(card.entry.name)}">{row(card, removable)}</div>' for card in cards
    )
    fold = "details open" if title in (YOURS, "Generators") else "details"
    return f'<{fold} class="models"><summary>{title} ({len(cards)})</summary>{rows}</details>'


def row(card: FileCard, removable: bool = False) -> str:
    """One model as HTML, with a button if there is something to do."""
    if card.entry.own and removable:
        return describe(card) + '<button type="button" class="sm" data-remove>Remove</button>'
    label = button(card)
    return describe(card) + (f'<button type="button" class="sm">{label}</button>' if label else "")


def state(card: FileCard) -> str:
    """Whether the model's file is available, as HTML."""
    download = card.download
    if card.wanted and download is not None:
        total = download.total or card.bytes
        part = min(1.0, download.done / total) if total else 0.0
        of = f" of {megabytes(total)}" if total else ""
        bar = f'<div class="bar"><i style="width:{100 * part:.0f}%"></i></div>'
        return f'<div class="state">downloading, {megabytes(download.done or 1)}{of}{bar}</div>'
    if download is not None and download.state == "failed" and not card.cached:
        return f'<div class="state bad">{escape(download.message)}</div>'
    if card.damage:
        return f'<div class="state bad">damaged: the file {escape(card.damage)}</div>'
    if card.embedded:
        return '<div class="state here">built in</div>'
    if card.cached:
        return '<div class="state here">available</div>'
    if card.entry.by_hand:
        return '<div class="state">manual download</div>'
    return '<div class="state">not downloaded</div>'


def describe(card: FileCard) -> str:
    """A model in a few lines of HTML."""
    entry = card.entry
    facts = [escape(entry.domain), *([f"{entry.resolution} px"] if entry.resolution else [])]
    facts += [escape(entry.licence), megabytes(card.bytes)]
    if entry.grade:
        facts.append(GRADE_LABELS.get(entry.grade, f"grade {escape(entry.grade)}"))
    source = escape(entry.source)
    link = f'<a href="{source}" target="_blank" rel="noopener noreferrer">{source}</a>'
    more = [f"<p>From {link if entry.source.startswith('https://') else source}</p>"]
    if entry.own:
        more.insert(0, f"<p>Remove it with <code>python -m inversion models --remove {escape(entry.name)}</code></p>")
    elif entry.by_hand and (card.damage or not card.cached):
        command = f"python -m inversion convert FILE --as {escape(entry.name)}"
        more.insert(0, f"<p>Download the file from the address below, then run <code>{command}</code></p>")
    if entry.generator:
        more.append(f"<p>Belongs to {escape(entry.generator)}.</p>")
    if entry.note:
        more.append(f"<p>{escape(entry.note)}</p>")
    line = DOT.join(facts)
    return (
        f'<div class="facts"><b>{escape(entry.name)}</b><span>{line}</span>'
        f"{state(card)}<details><summary>Source and notes</summary>{''.join(more)}</details></div>"
    )


def button(card: FileCard) -> str:
    """The label of the model's button, "" for no button."""
    lacking = card.damage or not card.cached
    if not lacking or card.embedded or card.entry.by_hand:
        return ""
    return "Cancel" if card.wanted else "Download again" if card.damage else "Download"
