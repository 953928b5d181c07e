"""The choices that every task shares: methods, model, seed, and the advanced fold with each method's fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr

from inversion.common.settings import split_settings
from inversion.serving.catalogue import DEFAULT_MODEL, MethodCard, ModelCard
from inversion.serving.session import Request, Session
from ui.parts.fields import Fields
from ui.parts.inputs import InputError, number, whole
from ui.parts.markup import megabytes
from ui.parts.results import COLUMNS
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
        """Time budget, and the fields of the chosen methods and of a combination of stages."""
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
            self.fields = Fields(tab.key, desk.methods, tab.methods)
        self.fields.wire(self.methods)

    def inputs(self) -> set[gr.components.Component]:
        """Every component that `requests` reads."""
        return {self.methods, self.model, self.seed, self.measured, self.budget, *self.fields.inputs()}

    def menus(self) -> list[Any]:
        """Every component that `offered` updates."""
        return [self.methods, self.missing, self.fields.stages]

    def offered(self, missing: Mapping[str, str], lacking: Mapping[str, str], chosen: Sequence[str]) -> dict[Any, Any]:
        """Updates that leave out `missing` methods and `lacking` stages and say why; `chosen` ones stay ticked."""
        usable = [key for key in chosen if key not in missing]
        # Only where it has to change: somebody may be ticking meanwhile.
        value: dict[str, Any] = {} if usable == list(chosen) else {"value": usable}
        return {
            self.methods: gr.update(choices=choices(self.desk.methods, missing), **value),
            self.missing: gr.update(value=missing_note(self.desk.methods, missing), visible=bool(missing)),
            **self.fields.offered(lacking),
        }

    def seed_of(self, values: Mapping[Any, Any]) -> int:
        """The seed. Raises InputError."""
        return whole(values[self.seed], "The seed")

    def requests(self, values: Mapping[Any, Any], fields: Mapping[str, Any], task: str = "") -> list[Request]:
        """One request a method, from the components' values and the tab's own request fields. Raises InputError.

        task: the tab's own unless another is given.
        """
        ticked = [key for key in self.desk.methods if key in values[self.methods]]  # in their order, not the clicks'
        chosen = self.fields.chosen(ticked, values)
        common = {
            "model": values[self.model],
            "seed": self.seed_of(values),
            "measured": bool(self.tab.measured) and bool(values[self.measured]),
            "budget": number(values[self.budget], "The time budget", 1, self.desk.session.budget),
        }
        return requests(task or self.tab.task or self.tab.key, chosen, {**fields, **common})


def requests(task: str, methods: Sequence[tuple[str, Mapping[str, Any]]], fields: Mapping[str, Any]) -> list[Request]:
    """One request for each method with its settings, and the `fields` that all share. Raises InputError for none."""
    if not methods:
        raise InputError("Choose at least one method.")
    if len(methods) > COLUMNS:
        raise InputError(f"Choose at most {COLUMNS} methods at a time.")
    return [Request(task=task, method=key, settings=settings, **fields) for key, settings in methods]


def shared(
    session: Session, methods: Sequence[str], settings: Mapping[str, Any]
) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Each method with those of the settings whose stage it has.

    Raises SettingError for a setting that no method has, LaneError for an unknown method.
    """
    return list(split_settings(session.stages(methods), settings).items())


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
