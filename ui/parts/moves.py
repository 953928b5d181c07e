"""The sliders of the Edit tab, in one component however many a model has, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from inversion.directions import Layers
from inversion.editing.requests import Edited, read_layers
from inversion.serving.session import Session
from ui.parts.inputs import InputError
from ui.parts.markup import slot
from ui.static import script

Card = Mapping[str, Any]  # of a slider, see `Edits.directions`
OPEN = 12  # attributes that are not folded away
STEP = 0.05
GROUPS = {
    "attributes": "Attributes",
    "sefa": "SeFa: what the generator's weights change most",
    "ganspace": "GANSpace: how random codes differ most",
}
INTRO = """**Edit.** Strengths count standard deviations of random codes; ranges stay in the domain. The columns show
the inverted picture at the left and the edited one at the right."""
# The page's value is {name: strength}, without zeros. It changes when a slider is let go, not while it is dragged.
SCRIPT = script("moves")


@dataclass(frozen=True)
class Change:
    """One edit: strengths by direction, the styles that it moves (None: all), attributes to hold."""

    moves: Mapping[str, float]
    layers: Layers | None
    keep: tuple[str, ...]


class Moves:
    """Lays the sliders out when made; they are filled in with a model's directions when a job is over."""

    def __init__(self, key: str) -> None:
        self._cards: dict[str, Sequence[Card]] = {}
        gr.Markdown(INTRO, elem_classes="note")
        self.sliders = gr.HTML(
            {},
            rows="",
            html_template=slot("rows"),
            js_on_load=SCRIPT,
            apply_default_css=False,
            elem_id=f"{key}-sliders",
        )
        with gr.Row():
            self.keep = gr.Dropdown(
                [],
                value=[],
                multiselect=True,
                label="Keep",
                info="Attributes that the edit is to leave alone.",
                min_width=180,
                elem_id=f"{key}-keep",
            )
            self.layers = gr.Textbox(
                label="Layers",
                info="First and last style that is moved; empty: all.",
                placeholder="0-5",
                max_lines=1,
                max_length=20,
                min_width=180,
                elem_id=f"{key}-layers",
            )

    def inputs(self) -> list[Any]:
        """What `read` reads, in its order."""
        return [self.sliders, self.layers, self.keep]

    def outputs(self) -> list[Any]:
        """What `closed` and `opened` name."""
        return [self.sliders, self.keep]

    def events(self) -> list[Callable[..., Any]]:
        """Those of a change that is to be looked at."""
        return [self.sliders.move, self.keep.input, self.layers.submit, self.layers.blur]

    def cards(self, session: Session, model: str) -> Sequence[Card]:
        """The model's directions. Raises LaneError."""
        if model not in self._cards:
            self._cards[model] = session.edits.directions(model)
        return self._cards[model]

    def closed(self) -> dict[Any, Any]:
        """No sliders."""
        return {self.sliders: gr.update(value={}, rows=""), self.keep: gr.update(choices=[], value=[])}

    def opened(self, model: str, cards: Sequence[Card]) -> dict[Any, Any]:
        """A slider for each of the model's directions, at 0."""
        self._cards[model] = cards
        held = [(card["label"], card["name"]) for card in cards if card["group"] == "attributes"]
        return {self.sliders: gr.update(value={}, rows=sliders(cards)), self.keep: gr.update(choices=held, value=[])}


def sliders(cards: Sequence[Card]) -> str:
    """The sliders as HTML: the first attributes, the rest of them and other directions folded."""
    groups = {group: [card for card in cards if card["group"] == group] for group in GROUPS}
    attributes = groups.pop("attributes")
    first = attributes[:OPEN]
    parts = [_grid(first)] if first else ['<p class="note">This model has no directions of attributes.</p>']
    folded = {f"More attributes ({len(attributes) - OPEN})": attributes[OPEN:]}
    folded |= {GROUPS[group]: members for group, members in groups.items()}
    parts += [
        f"<details><summary>{escape(title)}</summary>{_grid(members)}</details>"
        for title, members in folded.items()
        if members
    ]
    return "".join(parts) + '<button type="button" class="zero">Reset all</button>'


def _grid(cards: Sequence[Card]) -> str:
    return f'<div class="moves">{"".join(_slider(card) for card in cards)}</div>'


def _slider(card: Card) -> str:
    name, label = escape(card["name"]), escape(card["label"])
    bounds = f'min="{card["low"]:g}" max="{card["high"]:g}" step="{STEP}" value="0"'
    return (
        f'<div class="move"><span>{label}</span>'
        f'<input type="range" name="{name}" aria-label="{label}" {bounds}>'
        f'<input type="number" aria-label="{label}, strength" {bounds}>'
        f'<button type="button" title="Back to 0" aria-label="{label} back to 0">\N{ANTICLOCKWISE OPEN CIRCLE ARROW}'
        f"</button></div>"
    )


def read(cards: Sequence[Card], strengths: object, layers: str | None, keep: Sequence[str] | None) -> Change:
    """The edit that was asked for; strengths {name: number}, zeros dropped, layers "first-last".

    Raises InputError or SettingError.
    """
    ranges = {card["name"]: (card["low"], card["high"]) for card in cards}
    if not isinstance(strengths, Mapping):
        raise InputError('moves must be an object such as {"yaw": 1.5}.')
    moves = {}
    for name, strength in strengths.items():
        if name not in ranges:
            raise InputError(f"There is no direction {name!r}: choose from {', '.join(ranges) or 'none'}.")
        low, high = ranges[name]
        if isinstance(strength, bool) or not isinstance(strength, int | float) or not low <= strength <= high:
            raise InputError(f"{name} must be a number between {low:g} and {high:g}.")
        if strength:
            moves[name] = float(strength)
    return Change(moves, read_layers(layers or ""), tuple(keep or ()))


def recipe(change: Change, edited: Edited) -> dict[str, Any]:
    """The edit and its figures as plain JSON."""
    return {
        "moves": dict(change.moves),
        "layers": change.layers,
        "keep": list(change.keep),
        "attributes": {name: list(values) for name, values in edited.attributes.items()},
        "synthetic_identity": edited.synthetic_identity,
    }
