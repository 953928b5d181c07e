"""A model's own fields (`ModelOptions`): menus beside the model, and parameters of every endpoint that runs methods."""

from __future__ import annotations

import gradio as gr
from gradio.components import Component

from inversion.common.settings import SettingValue
from inversion.serving import catalogue
from ui.parts.inputs import MAX_SEED, whole
from ui.parts.values import Parameters, Update, Values

CARDS = {card.name: card for card in catalogue.model_fields()}


class ModelFields:
    """The menus of a tab. They are shown for models that offer the choice."""

    def __init__(self, key: str) -> None:
        self.key = key

    def controls(self, model: str) -> None:
        """Lay out a menu for each field. model: the one that is selected at first."""
        self.menus: dict[str, Component] = {}
        for name, card in CARDS.items():
            menu = gr.Dropdown(
                _choices(model, name),
                value=card.default,
                label=card.label,
                info=card.help,
                visible=len(_choices(model, name)) > 1,
                elem_id=f"{self.key}-{name}",
            )
            self.menus[name] = menu

    def offered(self, model: str) -> Update:
        """Updates of the menus after the model was changed."""
        update: Update = {}
        for name, menu in self.menus.items():
            choices = _choices(model, name)
            update[menu] = gr.update(choices=choices, value=CARDS[name].default, visible=len(choices) > 1)
        return update

    def read(self, values: Values, model: str) -> dict[str, SettingValue]:
        """The options for a request. Raises InputError."""
        offered = {card.name for card in catalogue.model_fields(model)}
        return {name: _read(name, values[menu]) for name, menu in self.menus.items() if name in offered}


def model_parameters() -> dict[str, Component]:
    """Components that give the parameters of an endpoint their types and defaults."""
    return {
        name: gr.Number(_whole(card.default), label=name, minimum=_lowest(name), maximum=MAX_SEED)
        for name, card in CARDS.items()
    }


def model_notes() -> dict[str, str]:
    """The parameters in words."""
    return {name: card.help for name, card in CARDS.items()}


def read_parameters(values: Parameters) -> dict[str, SettingValue]:
    """The options for a request from an endpoint's values. Raises InputError."""
    return {name: _read(name, values[name]) for name in CARDS if name in values}


def _read(name: str, value: float | None) -> int:
    """The value of a field. Raises InputError; the model's own bounds are checked with the request."""
    return whole(value, CARDS[name].label, _lowest(name))


def _lowest(name: str) -> int:
    low = CARDS[name].low
    return -MAX_SEED if low is None else int(low)


def _whole(value: SettingValue | None) -> int:
    return value if isinstance(value, int) else 0  # all fields of models are whole numbers


def _choices(model: str, name: str) -> list[SettingValue]:
    """The values that a model offers for a field; the default alone if it offers no choice."""
    for card in catalogue.model_fields(model):
        if card.name == name and card.low is not None and card.high is not None:
            return [*range(int(card.low), int(card.high) + 1)]
    default = CARDS[name].default
    return [] if default is None else [default]
