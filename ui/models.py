"""The tab that lists the models: what they are, whether they are here, and a button that gets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from inversion.session import Session
from ui.inputs import explained
from ui.markup import megabytes

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
Card = Mapping[str, Any]  # a row of `Session.models`


@dataclass(frozen=True)
class Row:
    """The components that show one model."""

    text: gr.HTML
    button: gr.Button


class Models:
    """Lays the list out when made; to be wired with `wire` when the page is complete."""

    def __init__(self, session: Session) -> None:
        self.session = session
        gr.Markdown(INTRO, elem_classes="intro")
        with gr.Row(elem_classes="model-tools"):
            self.refresh = gr.Button("Refresh", size="sm", min_width=110, scale=0, elem_id="models-refresh")
        self.rows: dict[str, Row] = {}
        left = session.models()
        for title, kinds in SECTIONS.items():
            cards = [card for card in left if not kinds or card["kind"] in kinds]
            left = [card for card in left if card not in cards]
            if cards:
                with gr.Accordion(f"{title} ({len(cards)})", open=title == "Generators", elem_classes="models"):
                    for card in cards:
                        self.rows[card["name"]] = _row(card)
        gr.Markdown(GRADES, elem_classes="note")

    def wire(self, tab: gr.Tab) -> None:
        """Buttons, and a fresh list whenever somebody looks."""
        for name, row in self.rows.items():
            # "multiple": the button that started a download is the one that cancels it.
            row.button.click(self._pressed(name), None, [row.text, row.button], trigger_mode="multiple", **EVENTS)
        everything: list[Any] = [part for row in self.rows.values() for part in (row.text, row.button)]
        for event in (self.refresh.click, tab.select):
            event(self._list, None, everything, **EVENTS)

    def _list(self, request: gr.Request) -> list[Any]:
        cards = {card["name"]: card for card in self.session.models(request.session_hash or "")}
        return [part for name in self.rows for part in _shown(cards[name])]

    def _pressed(self, name: str) -> Callable[..., Iterator[tuple[Any, Any]]]:
        """The handler of a model's button. (Gradio hands its request to functions, but to no partial.)"""

        def pressed(request: gr.Request) -> Iterator[tuple[Any, Any]]:
            visitor = request.session_hash or ""
            if self.session.model(name, visitor)["mine"]:
                self.session.cancel_download(name, visitor)
            else:
                with explained():
                    self.session.download(name, visitor)
                card = self.session.model(name, visitor)
                yield _shown(card)
                for download in self.session.follow_download(name, visitor):
                    # With the button: a list that was asked for before the click may arrive after it.
                    yield _shown({**card, "download": download, "mine": True})
            yield _shown(self.session.model(name, visitor))

        return pressed


def _row(card: Card) -> Row:
    """Lay out one model."""
    with gr.Row(elem_classes="model", elem_id=f"model-{card['name']}"):
        text = gr.HTML(describe(card), min_width=200)
        return Row(text, gr.Button(size="sm", min_width=110, scale=0, **button(card)))


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


def button(card: Card) -> dict[str, Any]:
    """What the model's button says, and whether there is one."""
    lacking = card["damage"] or not card["cached"]
    wanted = lacking and not card["embedded"] and not card["by_hand"]
    label = "Cancel" if card["mine"] else "Download again" if card["damage"] else "Download"
    return {"value": label, "visible": bool(wanted)}


def _shown(card: Card) -> tuple[str, dict[str, Any]]:
    return describe(card), gr.update(**button(card))
