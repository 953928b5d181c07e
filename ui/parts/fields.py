"""The fields of the chosen methods, and a method of the user's own: two components however many fields there are.

A page with a Gradio component for every field of every method takes seconds to open: the browser looks through all
components whenever one changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr

from inversion.methods import STAGES, SettingError
from inversion.serving import catalogue
from inversion.serving.catalogue import FieldCard, MethodCard
from ui.parts.inputs import InputError
from ui.parts.markup import slot
from ui.static import script

KINDS = {"embed": "Embed", "optimise": "Optimise", "refine": "Refine"}
OWN = "+"  # stands for the combination among the methods
INTRO = "<b>A combination of your own</b>: it runs beside the methods that are ticked."
# The page's value is {method: {field: value}}. It keeps what is typed for a method that is chosen no more; what nobody
# has typed has its default.
FIELDS_SCRIPT = script("fields")
# The page's value is {kind: stage}. A stage that is no longer offered is chosen no more.
STAGES_SCRIPT = script("stages")


class Fields:
    """Lays the components out when made; `chosen` reads them."""

    def __init__(self, key: str, methods: Mapping[str, MethodCard], ticked: Sequence[str]) -> None:
        self.methods = methods
        common: dict[str, Any] = {"html_template": slot("rows"), "apply_default_css": False}
        self.stages = gr.HTML({}, rows=menus({}), js_on_load=STAGES_SCRIPT, elem_id=f"{key}-stages", **common)
        self.typed = gr.HTML(
            {}, rows=sections(methods, ticked), js_on_load=FIELDS_SCRIPT, elem_id=f"{key}-fields", **common
        )

    def wire(self, methods: gr.CheckboxGroup) -> None:
        """The fields of what is chosen show."""
        for event in (methods.change, self.stages.staged):
            event(
                lambda ticked, picked: gr.update(rows=sections(self.methods, ticked) + own_section(joined(picked))),
                [methods, self.stages],
                self.typed,
                preprocess=False,  # the choices may have changed since the page sent what is chosen
                trigger_mode="always_last",
                queue=False,
                show_progress="hidden",
                api_visibility="private",
            )

    def inputs(self) -> list[Any]:
        """Every component that `chosen` reads."""
        return [self.typed, self.stages]

    def offered(self, lacking: Mapping[str, str]) -> dict[Any, Any]:
        """Updates that leave out the stages that a model lacks something for, and say what."""
        return {self.stages: gr.update(rows=menus(lacking))}

    def chosen(self, ticked: Sequence[str], values: Mapping[Any, Any]) -> list[tuple[str, dict[str, Any]]]:
        """The ticked methods and the combination, each with its fields that differ from their defaults.

        Raises InputError.
        """
        typed = values[self.typed]
        chosen = [(key, changed(self.methods[key], typed, key)) for key in ticked]
        own = joined(values[self.stages])
        if own:
            try:
                chosen.append((own, changed(catalogue.method(own), typed, OWN)))
            except SettingError as error:
                raise InputError(str(error)) from None
        return chosen


def joined(picked: object) -> str:
    """The stages of {kind: stage} as `parse_method` reads them, "" for none."""
    given = picked if isinstance(picked, Mapping) else {}
    return "+".join(str(given[kind]) for kind in KINDS if given.get(kind))


def changed(card: MethodCard, typed: object, key: str) -> dict[str, Any]:
    """Those of a method's fields that {key: {field: value}} changes. Raises InputError for an empty one."""
    of_method = typed.get(key) if isinstance(typed, Mapping) else None
    given = of_method if isinstance(of_method, Mapping) else {}
    settings = {}
    for spec in card.fields:
        value = given.get(spec.name, spec.default)
        if value is None:
            raise InputError(f"{card.label}, {spec.label}: give a number.")
        if value != spec.default:
            settings[spec.name] = value
    return settings


def sections(methods: Mapping[str, MethodCard], ticked: Sequence[str]) -> str:
    """The fields of the ticked methods as HTML, in the methods' order."""
    return "".join(section(key, card) for key, card in methods.items() if key in (ticked or ()))


def section(key: str, card: MethodCard) -> str:
    """One method's fields as HTML; data-method says `key`."""
    words = f": {escape(card.description)} <i>{escape(card.paper)}</i>" if card.description else ""
    staged = len({spec.owner for spec in card.fields}) > 1
    rows = "".join(_field(key, spec, staged) for spec in card.fields)
    return (
        f'<section class="method-fields"><p class="note"><b>{escape(card.label)}</b>{words}</p>'
        f'<div class="fields">{rows}</div></section>'
    )


def menus(lacking: Mapping[str, str]) -> str:
    """A menu for each kind of stage with those that can be chosen, and why the `lacking` ones cannot."""
    boxes = "".join(
        f'<label>{label}<select data-kind="{kind}">{_options(menu(kind, lacking))}</select></label>'
        for kind, label in KINDS.items()
    )
    reasons = "; ".join(f"<b>{escape(STAGES[key].label)}</b>: {escape(reason)}" for key, reason in lacking.items())
    note = f'<p class="note">Not with this model: {reasons}.</p>' if lacking else ""
    return (
        f'<section class="method-fields"><p class="note">{INTRO}</p><div class="stages">{boxes}</div>{note}</section>'
    )


def menu(kind: str, lacking: Mapping[str, str]) -> list[tuple[str, str]]:
    """The stages of a kind that can be chosen."""
    usable = [(stage.label, key) for key, stage in STAGES.items() if stage.kind == kind and key not in lacking]
    return [("none", ""), *usable]


def own_section(own: str) -> str:
    """The stages of the combination in order with their fields, or why they do not fit together; "" for none."""
    if not own:
        return ""
    try:
        card = catalogue.method(own)
    except SettingError as error:
        return f'<p class="note bad">{escape(str(error))}</p>'
    return section(OWN, card)


def _options(choices: Sequence[tuple[str, str]]) -> str:
    return "".join(f'<option value="{escape(value)}">{escape(label)}</option>' for label, value in choices)


def _field(method: str, spec: FieldCard, staged: bool) -> str:
    """A field's name, help and control as HTML."""
    label = f"{spec.owner}: {spec.label.lower()}" if staged else spec.label
    first = escape(json.dumps(spec.default))
    info = f"<small>{escape(spec.help)}</small>" if spec.help else ""
    return (
        f'<div class="field" data-method="{escape(method)}" data-field="{escape(spec.name)}" data-first="{first}">'
        f"<span>{escape(label)}</span>{info}{_control(spec, escape(label))}</div>"
    )


def _control(spec: FieldCard, label: str) -> str:
    """Box, menu, slider with a number, or a number alone where a slider would be too coarse."""
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
