"""The choices that every task shares: methods, model, seed, and the advanced fold with each method's fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr

from inversion.catalogue import DEFAULT_MODEL, FieldCard, MethodCard, ModelCard
from inversion.session import Request
from ui.inputs import InputError, number, whole
from ui.markup import megabytes
from ui.results import COLUMNS
from ui.tab import Desk, Tab

BUDGET = (5.0, 120.0)  # lowest and first value of the time budget, seconds


class Settings:
    """Lays the controls out when made, the fold with the rest of them by `advanced`; `requests` reads them."""

    def __init__(self, tab: Tab, desk: Desk) -> None:
        self.tab, self.desk = tab, desk
        self.methods = gr.CheckboxGroup(
            choices(desk.methods, {}), value=list(tab.methods), label="Methods", elem_id=f"{tab.key}-methods"
        )
        self.missing = gr.HTML(visible=False, elem_classes="note")
        with gr.Row():
            self.model = gr.Dropdown(
                model_choices(desk.models), value=DEFAULT_MODEL, label="Model", min_width=150, scale=3
            )
            self.seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**31 - 1, min_width=90, scale=1)
        self.measured = gr.Checkbox(False, label=tab.measured or "Measured", visible=bool(tab.measured))

    def advanced(self) -> None:
        """Time budget, own combinations, and the fields of the chosen methods."""
        desk, tab = self.desk, self.tab
        with gr.Accordion("Advanced", open=False, elem_id=f"{tab.key}-advanced"):
            low, first = BUDGET
            self.budget = gr.Slider(
                low,
                desk.session.budget,
                min(first, desk.session.budget),
                step=5,
                label="Time budget for each method (seconds)",
            )
            self.own = gr.Textbox(
                label="A combination of your own",
                placeholder="mean+wplus+pti",
                info="Stages joined by +, run beside the methods above with their default settings.",
                max_lines=1,
                max_length=100,
            )
            self.groups: dict[str, gr.Column] = {}
            self.fields: dict[tuple[str, str], gr.components.Component] = {}
            for key, card in desk.methods.items():
                with gr.Column(visible=key in tab.methods, elem_classes="method-fields") as self.groups[key]:
                    gr.Markdown(f"**{card.label}**: {card.description} *{card.paper}*", elem_classes="note")
                    stages = {spec.stage for spec in card.fields}
                    with gr.Row(elem_classes="fields"):
                        for spec in card.fields:
                            self.fields[key, spec.name] = control(spec, len(stages) > 1)
        self.methods.change(
            lambda chosen: [gr.update(visible=key in chosen) for key in self.groups],
            self.methods,
            list(self.groups.values()),
            queue=False,
            preprocess=False,
            show_progress="hidden",
            api_visibility="private",
        )

    def inputs(self) -> set[gr.components.Component]:
        """Every component that `requests` reads."""
        return {self.methods, self.model, self.seed, self.measured, self.budget, self.own, *self.fields.values()}

    def offered(self, missing: Mapping[str, str], chosen: Sequence[str]) -> dict[Any, Any]:
        """Updates that leave out the `missing` methods and say why; of the `chosen` ones the others stay ticked."""
        usable = [key for key in chosen if key not in missing]
        return {
            self.methods: gr.update(choices=choices(self.desk.methods, missing), value=usable),
            self.missing: gr.update(value=missing_note(self.desk.methods, missing), visible=bool(missing)),
        }

    def seed_of(self, values: Mapping[Any, Any]) -> int:
        """The seed. Raises InputError."""
        return whole(values[self.seed], "The seed")

    def requests(self, values: Mapping[Any, Any], fields: Mapping[str, Any]) -> list[Request]:
        """One request a method, from the components' values and the tab's own request fields. Raises InputError."""
        own = (values[self.own] or "").strip()
        ticked = [key for key in self.desk.methods if key in values[self.methods]]  # in their order, not the clicks'
        chosen = [*ticked, *([own] if own else [])]
        settings = {key: self._settings(key, values) for key in ticked}
        common = {
            "model": values[self.model],
            "seed": self.seed_of(values),
            "measured": bool(self.tab.measured) and bool(values[self.measured]),
            "budget": number(values[self.budget], "The time budget", 1, self.desk.session.budget),
        }
        return requests(self.tab.key, chosen, settings, {**fields, **common})

    def _settings(self, method: str, values: Mapping[Any, Any]) -> dict[str, Any]:
        """Those of the method's fields that differ from their defaults."""
        chosen = {}
        for spec in self.desk.methods[method].fields:
            value = values[self.fields[method, spec.name]]
            if value is None:
                raise InputError(f"{self.desk.methods[method].label}, {spec.label}: give a number.")
            if value != spec.default:
                chosen[spec.name] = value
        return chosen


def requests(
    task: str,
    methods: list[str],
    settings: Mapping[str, Mapping[str, Any]],
    fields: Mapping[str, Any],
) -> list[Request]:
    """One request a method, with its own settings and the `fields` that all share. Raises InputError for none."""
    if not methods:
        raise InputError("Choose at least one method.")
    if len(methods) > COLUMNS:
        raise InputError(f"Choose at most {COLUMNS} methods at a time.")
    return [Request(task=task, method=key, settings=settings.get(key, {}), **fields) for key in methods]


def control(spec: FieldCard, with_stage: bool) -> gr.components.Component:
    """The component for one field: box, menu, slider, or a number where a slider would be too coarse."""
    label = f"{spec.stage}: {spec.label.lower()}" if with_stage else spec.label
    common: dict[str, Any] = {"label": label, "info": spec.help or None, "min_width": 120}
    if spec.choices:
        return gr.Dropdown(list(spec.choices), value=spec.default, **common)
    if isinstance(spec.default, bool):
        return gr.Checkbox(spec.default, **common)
    if isinstance(spec.default, str):
        return gr.Textbox(spec.default, max_lines=1, **common)
    if spec.low is not None and spec.high is not None and spec.step and (spec.high - spec.low) / spec.step <= 100:
        return gr.Slider(spec.low, spec.high, spec.default, step=spec.step, **common)
    return gr.Number(
        spec.default,
        minimum=spec.low,
        maximum=spec.high,
        precision=0 if isinstance(spec.default, int) else None,
        step=spec.step or 1,
        **common,
    )


def choices(methods: Mapping[str, MethodCard], missing: Mapping[str, str]) -> list[tuple[str, str]]:
    """The methods that can be chosen, for a CheckboxGroup."""
    return [(card.label, key) for key, card in methods.items() if key not in missing]


def missing_note(methods: Mapping[str, MethodCard], missing: Mapping[str, str]) -> str:
    """Why the other methods cannot be chosen."""
    reasons = "".join(
        f"<p><b>{escape(methods[key].label)}</b>: {escape(reason)}</p>" for key, reason in missing.items()
    )
    return f'<div class="note">Not with this model:{reasons}</div>' if missing else ""


def model_choices(models: Mapping[str, ModelCard]) -> list[tuple[str, str]]:
    """The models that can be chosen, with labels: all but those that have to be got by hand and are not here."""
    usable = [card for card in models.values() if card.cached or card.embedded or not card.by_hand]
    return [(_model_label(card), card.key) for card in usable]


def _model_label(card: ModelCard) -> str:
    """A model's name with its resolution, and what a download of it brings."""
    label = f"{card.key} \N{MIDDLE DOT} {card.resolution} px"
    if card.embedded or card.cached:
        return label
    return f"{label} \N{MIDDLE DOT} {megabytes(card.bytes)} to download"
