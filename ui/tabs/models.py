"""The tab that lists the models: what they are, whether they are here, and a button that gets them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr

from inversion.serving.session import Session
from ui.parts.inputs import explained
from ui.parts.markup import megabytes, slot
from ui.static import script

INTRO = """
Every file that this hub knows. Those marked *here* work with no network. Others come from the Hugging Face Hub:
generators when a run asks for one or ahead of it, what belongs to them with the button alone. A file is opened only if
its size and sha256 are right.
"""
GRADES = """
Grade A: the network's own authors point at the file. Grade B: somebody else's copy of it. A licence covers what is made
with a model as well: look it up before you publish results.
"""
SECTIONS = {"Generators": ("generator",), "Encoders": ("encoder",), "Other networks": ()}  # (): all kinds left
EVENTS: dict[str, Any] = {
    "concurrency_id": "downloads",
    "concurrency_limit": 24,  # watching a download costs nothing
    "api_visibility": "private",
    "show_progress": "hidden",
}
# The page's value is {model: its row as HTML}, of those rows that have changed: notes that are open stay open.
SCRIPT = script("models")
Card = Mapping[str, Any]  # a row of `ModelFiles.cards`


class Models:
    """Lays the list out when made, in one component however long it is; to be wired with `wire`."""

    def __init__(self, session: Session) -> None:
        self.files = session.files
        gr.Markdown(INTRO, elem_classes="intro")
        with gr.Row(elem_classes="model-tools"):
            self.refresh = gr.Button("Refresh", size="sm", min_width=110, scale=0, elem_id="models-refresh")
        self.list = gr.HTML(
            {}, rows=listing(self.files.cards()), html_template=slot("rows"), js_on_load=SCRIPT, apply_default_css=False
        )
        gr.Markdown(GRADES, elem_classes="note")

    def wire(self, tab: gr.Tab) -> None:
        """Buttons, and a fresh list whenever somebody looks."""
        # "multiple": the button that started a download is the one that cancels it.
        self.list.press(self._pressed, None, self.list, trigger_mode="multiple", **EVENTS)
        for event in (self.refresh.click, tab.select):
            event(self._list, None, self.list, **EVENTS)

    def _list(self, request: gr.Request) -> dict[str, str]:
        return {card["name"]: row(card) for card in self.files.cards(request.session_hash or "")}

    def _pressed(self, request: gr.Request, event: gr.EventData) -> Iterator[dict[str, str]]:
        """Start or leave the download of the model whose button was pressed."""
        visitor = request.session_hash or ""
        with explained():
            card = self.files.card(str(event._data.get("name")), visitor)
            name = card["name"]
            if not card["mine"]:
                self.files.download(name, visitor)
        if card["mine"]:
            self.files.cancel(name, visitor)
        else:
            card = self.files.card(name, visitor)
            yield {name: row(card)}
            for download in self.files.follow(name, visitor):
                # With the button: a list that was asked for before the click may arrive after it.
                yield {name: row({**card, "download": download, "mine": True})}
        yield {name: row(self.files.card(name, visitor))}


def listing(cards: Sequence[Card]) -> str:
    """Every model under its section, as HTML."""
    parts, left = [], list(cards)
    for title, kinds in SECTIONS.items():
        members = [card for card in left if not kinds or card["kind"] in kinds]
        left = [card for card in left if card not in members]
        rows = "".join(f'<div class="model" id="model-{escape(card["name"])}">{row(card)}</div>' for card in members)
        if members:
            fold = "details open" if title == "Generators" else "details"
            parts.append(f'<{fold} class="models"><summary>{title} ({len(members)})</summary>{rows}</details>')
    return "".join(parts)


def row(card: Card) -> str:
    """One model as HTML: what it is, and a button where there is something to do."""
    label = button(card)
    return describe(card) + (f'<button type="button" class="sm">{label}</button>' if label else "")


def state(card: Card) -> str:
    """Where the model's file is, as HTML."""
    download = card["download"]
    if card["mine"]:
        total = download["total"] or card["bytes"]
        part = min(1.0, download["done"] / total) if total else 0.0
        of = f" of {megabytes(total)}" if total else ""
        bar = f'<div class="bar"><i style="width:{100 * part:.0f}%"></i></div>'
        return f'<div class="state">downloading, {megabytes(download["done"] or 1)}{of}{bar}</div>'
    if download is not None and download["state"] == "failed" and not card["cached"]:
        return f'<div class="state bad">{escape(download["message"])}</div>'
    if card["damage"]:
        return f'<div class="state bad">damaged: it {escape(card["damage"])}</div>'
    if card["embedded"]:
        return '<div class="state here">here, built in</div>'
    if card["cached"]:
        return '<div class="state here">here</div>'
    if card["by_hand"]:
        return '<div class="state">by hand</div>'
    return '<div class="state">not here</div>'


def describe(card: Card) -> str:
    """A model in a few lines of HTML."""
    facts = [escape(card["domain"]), *([f"{card['resolution']} px"] if card["resolution"] else [])]
    facts += [escape(card["licence"]), megabytes(card["bytes"])]
    if card["grade"]:
        facts.append(f"grade {escape(card['grade'])}")
    source = escape(card["source"])
    link = f'<a href="{source}" target="_blank" rel="noopener noreferrer">{source}</a>'
    more = [f"<p>From {link if card['source'].startswith('https://') else source}</p>"]
    if card["by_hand"] and (card["damage"] or not card["cached"]):
        command = f"python -m inversion convert FILE --as {escape(card['name'])}"
        more.insert(0, f"<p>Download it by hand from the address below, then <code>{command}</code></p>")
    if card["generator"]:
        more.append(f"<p>Belongs to {escape(card['generator'])}.</p>")
    if card["note"]:
        more.append(f"<p>{escape(card['note'])}</p>")
    line = " \N{MIDDLE DOT} ".join(facts)
    return (
        f'<div class="what"><b>{escape(card["name"])}</b><span>{line}</span>'
        f"{state(card)}<details><summary>Source and notes</summary>{''.join(more)}</details></div>"
    )


def button(card: Card) -> str:
    """What the model's button says, "" for none."""
    lacking = card["damage"] or not card["cached"]
    if not lacking or card["embedded"] or card["by_hand"]:
        return ""
    return "Cancel" if card["mine"] else "Download again" if card["damage"] else "Download"
