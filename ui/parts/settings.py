"""Choices that all tasks share: methods, model, seed, time budget, and the settings of each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import gradio as gr
from gradio.components import Component

from inversion.common.rows import Row
from inversion.methods import METHODS, PRESETS
from inversion.serving.catalogue import ModelCard
from inversion.serving.session import Request
from ui.parts.codes import StartField, read_start
from ui.parts.context import PageContext
from ui.parts.events import FIELDS, PRIVATE
from ui.parts.fields import DEFAULT_PRESET, Fields
from ui.parts.inputs import InputError, number, whole
from ui.parts.markup import DOT, megabytes, missing_note
from ui.parts.method_menu import MethodMenu, times
from ui.parts.model_fields import ModelFields
from ui.parts.results import MAX_METHODS
from ui.parts.seed import seed_field
from ui.parts.values import Options, Update, Values

BUDGET = (5.0, 120.0)  # lowest and first value of the time budget, seconds


class Settings:
    """The menu of methods; `more` and `advanced` lay out the other controls, `requests` reads them all.

    key: of the tab. selected: methods that are selected at first. measured: label of the tick box for pictures that are
    already the input to the methods, "" for no such box.
    """

    def __init__(self, key: str, context: PageContext, selected: Sequence[str], measured: str) -> None:
        self.key, self.context, self.selected = key, context, selected
        self.menu = MethodMenu(key, context.methods, selected)
        self.methods = self.menu.component
        self.can_be_measured = bool(measured)
        self._measured_label = measured or "Measured"

    def more(self) -> None:
        """Lay out model, seed, and the tick box for pictures that are already the input."""
        context = self.context
        self.missing = gr.HTML(visible=False, elem_classes="note")
        with gr.Row():
            self.model = gr.Dropdown(
                model_choices(context.models), value=context.model, label="Model", min_width=170, scale=3
            )
            self.preset = gr.Dropdown(
                [(label, key) for key, label in PRESETS.items()],
                value=DEFAULT_PRESET,
                label="Preset",
                min_width=110,
                scale=1,
                elem_id=f"{self.key}-preset",
            )
            self.seed = seed_field(min_width=90, scale=1)
        self.options = ModelFields(self.key)
        self.options.controls(context.model)
        self.measured = gr.Checkbox(False, label=self._measured_label, visible=self.can_be_measured)

    def advanced(self, start: str) -> None:
        """Lay out the time budget, the settings of methods and of a custom pipeline, and the field for a code.

        start: label of that field.
        """
        longest = self.context.session.budget
        with gr.Accordion("Advanced", open=False, elem_id=f"{self.key}-advanced"):
            low, first = BUDGET
            self.budget = gr.Slider(
                low, longest, min(first, longest), step=5, label="Time budget for each method (seconds)"
            )
            self.fields = Fields(self.key, self.preset, self.selected)
            self.start = StartField(self.key, start)
        self.fields.wire(self.methods)

        def show_times(preset: str, model: str) -> Update:
            settings = {key: METHODS[key].preset(preset) for key in self.context.methods}
            return {self.methods: gr.update(times=times(self.context.session.expected(model, settings)))}

        self.preset.input(show_times, [self.preset, self.model], self.methods, **FIELDS, **PRIVATE)

    def inputs(self) -> set[Component]:
        """Every component that `requests` reads."""
        own = self.options.menus.values()
        first = {self.methods, self.model, self.preset, self.seed, self.measured, self.budget, self.start.file}
        return {*first, *own, *self.fields.inputs()}

    def menus(self) -> list[Component]:
        """Every component that `offered` updates."""
        return [self.methods, self.missing, self.fields.stages, *self.options.menus.values()]

    def offered(
        self,
        missing: Mapping[str, str],
        lacking: Mapping[str, str],
        selected: Sequence[str],
        model: str,
        preset: str = DEFAULT_PRESET,
    ) -> Update:
        """Updates that leave out `missing` methods and `lacking` stages, with the reasons; the others stay selected."""
        labels = {key: card.label for key, card in self.context.methods.items()}
        usable = {key: METHODS[key].preset(preset) for key in labels if key not in missing}
        seconds = self.context.session.expected(model, usable)
        return {
            **self.menu.offered(missing, selected, seconds),
            self.missing: gr.update(value=missing_note(missing, labels), visible=bool(missing)),
            **self.fields.offered(lacking),
            **self.options.offered(model),
        }

    def seed_of(self, values: Values) -> int:
        """The seed. Raises InputError."""
        return whole(values[self.seed], "The seed")

    def requests(self, values: Values, fields: Options, task: str) -> list[Request]:
        """One request per method, from the components' values and the fields that the tab gives.

        Raises UserError.
        """
        selected = self.menu.selected(values[self.methods])
        common = {
            "model": values[self.model],
            "options": self.options.read(values, values[self.model]),
            "seed": self.seed_of(values),
            "start": read_start(values[self.start.file]),
            "measured": self.can_be_measured and bool(values[self.measured]),
            "budget": number(values[self.budget], "The time budget", 1, self.context.session.budget),
        }
        return requests(task, self.fields.chosen(selected, values), {**fields, **common})


def requests(task: str, methods: Sequence[tuple[str, Row]], fields: Options) -> list[Request]:
    """One request per method with its settings, and the `fields` that all share. Raises InputError for none."""
    if not methods:
        raise InputError("Choose at least one method.")
    if len(methods) > MAX_METHODS:
        raise InputError(f"Choose at most {MAX_METHODS} methods at a time.")
    return [Request(task=task, method=key, settings=settings, **fields) for key, settings in methods]


def model_choices(models: Mapping[str, ModelCard]) -> list[tuple[str, str]]:
    """The available models as (label, key): all but those whose manual download is missing."""
    usable = [card for card in models.values() if card.cached or card.embedded or not card.by_hand]
    return [(_model_label(card), card.key) for card in usable]


def _model_label(card: ModelCard) -> str:
    """A model's name with its resolution and the size of its download."""
    label = f"{card.key}{DOT}{card.resolution} px"
    if card.embedded or card.cached:
        return label
    return f"{label}{DOT}{megabytes(card.bytes)} to download"
