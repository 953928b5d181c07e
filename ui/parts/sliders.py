"""The sliders of the Edit tab, in one component however many a model has, and the edit that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import NamedTuple

import gradio as gr
import numpy as np
from gradio.components import Component
from gradio.events import Dependency

from inversion.align import Crop
from inversion.common.rows import Row
from inversion.directions import DirectionCard
from inversion.editing.local import region_of
from inversion.editing.requests import Edited, EditOptions, check_moves, read_layers
from inversion.serving.session import JobView, Session
from ui.parts.inputs import InputError, number
from ui.parts.markup import slot
from ui.parts.values import Update, Values
from ui.static import script

UNFOLDED = 12  # attributes that are shown at once; the others are folded
STEP = 0.05
GROUPS = {
    "attributes": "Attributes",
    "sefa": "Unnamed directions (SeFa)",
    "ganspace": "Unnamed directions (GANSpace)",
}
INTRO = """**Edit.** 0 leaves the picture unchanged. The limits keep it realistic. After the first edit, each column
shows the picture before the edits on the left and after them on the right."""
# The component's value is {name: strength}, without zeros. Its event `drag` comes while a slider is dragged, `move`
# when the hand rests.
SCRIPT = script("sliders")


class Region(NamedTuple):
    """The region to which the edits of a job's results are limited. mask: of its picture, uint8 (H, W)."""

    job: str
    mask: np.ndarray


class DirectionSliders:
    """The sliders, which get a model's directions when a job is over, and what else an edit depends on."""

    def __init__(self, key: str) -> None:
        self._cards: dict[str, Sequence[DirectionCard]] = {}
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
                info="Attributes that must not change.",
                min_width=180,
                elem_id=f"{key}-keep",
            )
            self.layers = gr.Textbox(
                label="Layers",
                info="First and last layer to change. Empty: all.",
                placeholder="0-5",
                max_lines=1,
                max_length=20,
                min_width=180,
                elem_id=f"{key}-layers",
            )
            self.identity = gr.Slider(
                0,
                1,
                0,
                step=0.01,
                label="Keep identity",
                info="Smallest similarity to the unedited picture. 0: no limit.",
                min_width=180,
                elem_id=f"{key}-identity",
            )
        self.region = gr.State(None)  # a Region

    @property
    def tell_drawn(self) -> str:
        """A script that tells the sliders that the answer to their last event `drag` has come."""
        row = f"document.querySelector('#{self.sliders.elem_id} .move')"
        return f"() => {{ {row}?.dispatchEvent(new Event('drawn', {{bubbles: true}})); }}"

    def inputs(self) -> set[Component]:
        """Components that `read` reads."""
        return {self.sliders, self.layers, self.keep, self.identity, self.region}

    def read(self, cards: Sequence[DirectionCard], values: Values, job: str) -> EditOptions:
        """The edit that the components ask for; its mask is that of the whole picture. Raises UserError."""
        options = read_edit(cards, values[self.sliders], values[self.layers], values[self.keep])
        region: Region | None = values[self.region]
        limit = number(values[self.identity], "Keep identity", 0, 1)
        mask = region.mask if region is not None and region.job == job else None
        return replace(options, mask=mask, keep_identity=limit or None)

    def outputs(self) -> list[Component]:
        """Components that `closed` and `opened` update."""
        return [self.sliders, self.keep]

    def events(self) -> list[Callable[..., Dependency]]:
        """Events after which the results are edited again."""
        return [
            self.sliders.move,
            self.keep.input,
            self.layers.submit,
            self.layers.blur,
            self.identity.release,
        ]

    def cards(self, session: Session, model: str) -> Sequence[DirectionCard]:
        """The model's directions. Raises UserError."""
        if model not in self._cards:
            self._cards[model] = session.edits.directions(model)
        return self._cards[model]

    def shown(self, session: Session, key: str | None) -> tuple[JobView, Sequence[DirectionCard]]:
        """The job with a key, and the directions of its model. Raises UserError."""
        view = session.snapshot(key or "")
        return view, self.cards(session, view.model)

    def closed(self) -> Update:
        """No sliders."""
        return {self.sliders: gr.update(value={}, rows=""), self.keep: gr.update(choices=[], value=[])}

    def opened(self, model: str, cards: Sequence[DirectionCard]) -> Update:
        """A slider for each of the model's directions, at 0."""
        self._cards[model] = cards
        attributes = [(card["label"], card["name"]) for card in cards if card["group"] == "attributes"]
        return {
            self.sliders: gr.update(value={}, rows=sliders(cards)),
            self.keep: gr.update(choices=attributes, value=[]),
        }


def sliders(cards: Sequence[DirectionCard]) -> str:
    """The sliders as HTML: the first attributes; more attributes and other directions are folded."""
    groups = {group: [card for card in cards if card["group"] == group] for group in GROUPS}
    attributes = groups.pop("attributes")
    first = attributes[:UNFOLDED]
    parts = [_grid(first)] if first else ['<p class="note">This model has no directions for attributes.</p>']
    folded = {f"More attributes ({len(attributes) - UNFOLDED})": attributes[UNFOLDED:]}
    folded |= {GROUPS[group]: members for group, members in groups.items()}
    parts += [
        f"<details><summary>{escape(title)}</summary>{_grid(members)}</details>"
        for title, members in folded.items()
        if members
    ]
    return "".join(parts) + '<button type="button" class="zero">Reset all</button>'


def _grid(cards: Sequence[DirectionCard]) -> str:
    return f'<div class="moves">{"".join(_slider(card) for card in cards)}</div>'


def _slider(card: DirectionCard) -> str:
    name, label = escape(card["name"]), escape(card["label"])
    bounds = f'min="{card["low"]:g}" max="{card["high"]:g}" step="{STEP}" value="0"'
    return (
        f'<div class="move"><span>{label}</span>'
        f'<input type="range" name="{name}" aria-label="{label}" {bounds}>'
        f'<input type="number" aria-label="{label}, strength" {bounds}>'
        f'<button type="button" title="Back to 0" aria-label="{label} back to 0">\N{ANTICLOCKWISE OPEN CIRCLE ARROW}'
        f"</button></div>"
    )


def read_edit(
    cards: Sequence[DirectionCard], strengths: object, layers: str | None, keep: Sequence[str] | None
) -> EditOptions:
    """The edit that was asked for; strengths {name: number}, layers "first-last". Zeros are dropped.

    Raises InputError or SettingError.
    """
    if not isinstance(strengths, Mapping):
        raise InputError('moves must be an object such as {"yaw": 1.5}.')
    moves = {name: strength for name, strength in check_moves(cards, strengths).items() if strength}
    kept = (keep,) if isinstance(keep, str) else tuple(keep or ())
    if not all(isinstance(name, str) for name in kept):
        raise InputError('keep must be a list of attributes such as ["smile"].')
    check_moves(cards, dict.fromkeys(kept, 0.0))  # refuses unknown names
    return EditOptions(moves, read_layers(layers or ""), kept)


def recipe(change: EditOptions, edited: Edited) -> Row:
    """The edit and its figures as plain JSON."""
    return {**change.row(), **edited.row()}


def in_region(options: EditOptions, crop: Crop, size: int) -> EditOptions:
    """The edit with its mask cut like the picture, uint8 (size, size). Raises SettingError."""
    return options if options.mask is None else replace(options, mask=region_of(options.mask, crop, size))
