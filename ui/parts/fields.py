"""The settings of the chosen methods and of a custom pipeline, in two components however many settings there are.

A page with a Gradio component for every setting of every method takes seconds to open, because the browser looks
through all components whenever one of them changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape

import gradio as gr

from inversion.common.rows import Row
from inversion.common.settings import SettingError
from inversion.methods import METHODS, PRESETS, STAGES
from inversion.serving import catalogue
from inversion.serving.catalogue import FieldCard, MethodCard
from ui.parts.events import FIELDS, PRIVATE
from ui.parts.inputs import InputError
from ui.parts.markup import missing_note, note, slot
from ui.parts.values import Options, Update, Values
from ui.static import script

DEFAULT_PRESET = next(iter(PRESETS))
KINDS = {"embed": "Embed", "optimise": "Optimise", "refine": "Refine"}
CUSTOM = "+"  # stands for the custom pipeline among the methods
INTRO = "<b>Custom pipeline</b>: runs together with the selected methods."
# The component's value is {method: {field: value}}. It keeps the values of methods that are no longer selected.
FIELDS_SCRIPT = script("fields")
# The component's value is {kind: stage}. A stage that is no longer offered is deselected.
STAGES_SCRIPT = script("stages")


class Fields:
    """The components; `chosen` reads them. preset: the menu of PRESETS."""

    def __init__(self, key: str, preset: gr.Dropdown, selected: Sequence[str]) -> None:
        self.preset = preset
        self.cards = {name: catalogue.methods(name) for name in PRESETS}
        # `restored` counts the times that the value was set by the server.
        common: Options = {"html_template": slot("rows"), "apply_default_css": False, "restored": 0}
        self.stages = gr.HTML({}, rows=stage_menus({}), js_on_load=STAGES_SCRIPT, elem_id=f"{key}-stages", **common)
        rows = sections(self.cards[DEFAULT_PRESET], selected)
        self.typed = gr.HTML({}, rows=rows, js_on_load=FIELDS_SCRIPT, elem_id=f"{key}-fields", **common)

    def wire(self, methods: gr.HTML) -> None:
        """Show the settings of the chosen methods and stages."""

        def show(selected: Sequence[str], stages: object, preset: str) -> Update:
            cards = self.cards.get(preset, self.cards[DEFAULT_PRESET])
            return {self.typed: gr.update(rows=sections(cards, selected) + custom_section(pipeline(stages)))}

        # A component that appears when its fold is opened may have missed an answer: it asks once more.
        for event in (methods.change, self.stages.staged, self.preset.input, self.typed.mounted):
            # Without preprocessing: the choices may have changed since the page sent its values.
            event(
                show,
                [methods, self.stages, self.preset],
                self.typed,
                preprocess=False,
                trigger_mode="always_last",
                **FIELDS,
                **PRIVATE,
            )

    def inputs(self) -> list[gr.HTML]:
        """Every component that `chosen` reads."""
        return [self.typed, self.stages]

    def offered(self, lacking: Mapping[str, str]) -> Update:
        """Updates that leave out the stages in `lacking`, with the reasons."""
        return {self.stages: gr.update(rows=stage_menus(lacking))}

    def chosen(self, selected: Sequence[str], values: Values) -> list[tuple[str, Row]]:
        """The selected methods and the custom pipeline, each with its settings that differ from their defaults.

        Raises InputError or SettingError.
        """
        typed, preset = values[self.typed], values[self.preset]
        cards = self.cards[preset]
        chosen = [(key, METHODS[key].changed(preset, changed_settings(cards[key], typed, key))) for key in selected]
        custom = pipeline(values[self.stages])
        if custom:
            chosen.append((custom, changed_settings(catalogue.method(custom), typed, CUSTOM)))
        return chosen


def pipeline(stages: object) -> str:
    """The stages of {kind: stage} as `parse_method` reads them, "" for none."""
    given = stages if isinstance(stages, Mapping) else {}
    return "+".join(str(given[kind]) for kind in KINDS if given.get(kind))


def changed_settings(card: MethodCard, typed: object, key: str) -> Row:
    """The settings of a method that {key: {field: value}} changes. Raises InputError for an empty field."""
    of_method = typed.get(key) if isinstance(typed, Mapping) else None
    given = of_method if isinstance(of_method, Mapping) else {}
    settings = {}
    for spec in card.fields:
        value = given.get(spec.name, spec.default)
        if value is None:
            raise InputError(f"{card.label}, {spec.label}: enter a number.")
        if value != spec.default:
            settings[spec.name] = value
    return settings


def sections(methods: Mapping[str, MethodCard], selected: Sequence[str]) -> str:
    """The settings of the selected methods as HTML, in the order of `methods`."""
    return "".join(section(key, card) for key, card in methods.items() if key in (selected or ()))


def section(key: str, card: MethodCard) -> str:
    """One method's settings as HTML; `key` is in data-method."""
    words = f": {escape(card.description)} <i>{escape(card.paper)}</i>" if card.description else ""
    staged = len({spec.owner for spec in card.fields}) > 1
    rows = "".join(_field(key, spec, staged) for spec in card.fields)
    return (
        f'<section class="method-fields"><p class="note"><b>{escape(card.label)}</b>{words}</p>'
        f'<div class="fields">{rows}</div></section>'
    )


def stage_menus(lacking: Mapping[str, str]) -> str:
    """A menu per kind of stage as HTML, and the reasons for the `lacking` stages."""
    boxes = "".join(
        f'<label>{label}<select data-kind="{kind}">{_options(menu(kind, lacking))}</select></label>'
        for kind, label in KINDS.items()
    )
    reasons = missing_note(lacking, {key: stage.label for key, stage in STAGES.items()})
    intro = f'<p class="note">{INTRO}</p>'
    return f'<section class="method-fields">{intro}<div class="stages">{boxes}</div>{reasons}</section>'


def menu(kind: str, lacking: Mapping[str, str]) -> list[tuple[str, str]]:
    """The available stages of a kind, as (label, key)."""
    usable = [(stage.label, key) for key, stage in STAGES.items() if stage.kind == kind and key not in lacking]
    return [("none", ""), *usable]


def custom_section(stages: str) -> str:
    """The settings of the custom pipeline as HTML, or why its stages do not fit together; "" without stages."""
    if not stages:
        return ""
    try:
        card = catalogue.method(stages)
    except SettingError as error:
        return note(str(error), bad=True)
    return section(CUSTOM, card)


def _options(choices: Sequence[tuple[str, str]]) -> str:
    return "".join(f'<option value="{escape(value)}">{escape(label)}</option>' for label, value in choices)


def _field(method: str, spec: FieldCard, staged: bool) -> str:
    """A setting's name, help and control as HTML."""
    label = f"{spec.owner}: {spec.label.lower()}" if staged else spec.label
    first = escape(json.dumps(spec.default))
    info = f"<small>{escape(spec.help)}</small>" if spec.help else ""
    return (
        f'<div class="field" data-method="{escape(method)}" data-field="{escape(spec.name)}" data-first="{first}">'
        f"<span>{escape(label)}</span>{info}{_control(spec, escape(label))}</div>"
    )


def _control(spec: FieldCard, label: str) -> str:
    """Tick box, menu, text, or number; with a slider unless it would be too coarse."""
    named = f'aria-label="{label}"'
    if spec.choices:
        return f"<select {named}>{_options([(str(one), json.dumps(one)) for one in spec.choices])}</select>"
    if isinstance(spec.default, bool):
        return f'<input type="checkbox" {named}>'
    if isinstance(spec.default, str):
        return f'<input type="text" maxlength="200" {named}>'
    ends = {"min": spec.low, "max": spec.high, "step": spec.step or 1}
    bounds = "".join(f' {name}="{value:g}"' for name, value in ends.items() if value is not None)
    number = f'<input type="number" {named}{bounds}>'
    if spec.low is not None and spec.high is not None and spec.step and (spec.high - spec.low) / spec.step <= 100:
        return f'<div class="slide"><input type="range" {named}{bounds}>{number}</div>'
    return number
