"""Translations for the page: fields for their inputs, the translations of a model, and their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import gradio as gr

from inversion.common.errors import UserError
from inversion.serving.session import Session
from inversion.translations import INPUTS, TRANSLATIONS, InputKind, TranslationOptions
from inversion.translations.base import Colour
from inversion.translations.requests import TranslationCard, TranslationsRequest
from ui.parts.uploads import drawing_canvas, drawing_upload, picture_field
from ui.parts.values import Value

MAX_VARIATIONS = 10
Legend = Sequence[tuple[str, Colour]]  # names and colours of a map's classes


class AnyRadio(gr.Radio):
    """A menu whose choices may change while the browser sends its value: the reader of the value checks it."""

    is_template = True  # the browser shows it as its base class

    def preprocess(self, payload: str | float | None) -> str | float | None:
        """As of Gradio's components."""
        return payload


def read_options(**values: Value) -> TranslationOptions:
    """The options of a translation; None stands for a default. Raises SettingError."""
    return TranslationOptions(**{name: value for name, value in values.items() if value is not None})


def translation_cards(session: Session, model: str) -> dict[str, TranslationCard]:
    """The model's translations by name; if the model cannot be loaded, all are unavailable for that reason."""
    try:
        return {card["name"]: card for card in session.ask(TranslationsRequest(model))}
    except UserError as error:
        problem = str(error)
    return {
        name: TranslationCard(
            name=name,
            label=kind.label,
            description=kind.description,
            takes=kind.takes,
            unavailable=problem,
            legend=[],
        )
        for name, kind in TRANSLATIONS.items()
    }


def common_legend(kind: str, cards: Mapping[str, Mapping[str, TranslationCard]]) -> tuple[Legend, dict[str, str]]:
    """The classes of an input kind in the first model that reads it, and a problem for each model with other classes.

    cards: of every model, by the translation's name.
    """
    legends = {
        model: card["legend"]
        for model, by_name in cards.items()
        for card in by_name.values()
        if card["takes"] == kind and card["legend"]
    }
    if not legends:
        return [], {}
    first, classes = next(iter(legends.items()))
    problem = f"its maps have other classes than those of {first}. Choose one of the two models."
    return classes, {model: problem for model, own in legends.items() if own != classes}


def input_field(name: str, tab: str = "sketch") -> gr.Image | gr.ImageEditor:
    """Lay out the field of a tab for a kind of input: an upload, or a canvas to draw on."""
    kind, elem_id = INPUTS[name], field_id(name, tab)
    if not kind.drawn:
        return picture_field(kind.label, elem_id)
    canvas = drawing_canvas(kind.label, elem_id, swatches(kind), kind.pen, kind.has_classes)
    drawing_upload(canvas, kind, f"{elem_id}-upload")
    return canvas


def field_id(name: str, tab: str = "sketch") -> str:
    """The element's id of a tab's field for a kind of input."""
    return f"{tab}-{name}"


def swatches(kind: InputKind) -> list[str]:
    """The colours of a kind of input as the pen takes them."""
    return [css_colour(one) for one in kind.colours]


def legend_html(name: str, classes: Legend) -> str:
    """The classes with their colours, and rules that show only these colours in the pen's menu, with their names."""
    if not classes:
        return ""
    colours = INPUTS[name].colours
    placed = sorted((colours.index(colour) + 1, label, colour) for label, colour in classes)  # CSS counts from 1
    menu = f"#{field_id(name)} menu.swatch button"
    rules = [f"{menu} {{ display: none; }}"]
    for place, label, _ in placed:
        rules.append(f"{menu}:nth-child({place}) {{ display: block; }}")
        rules.append(f'{menu}:nth-child({place})::after {{ content: "{_css_text(label)}"; }}')
    chips = "".join(
        f'<span><i style="background:{css_colour(colour)}"></i>{escape(label)}</span>' for _, label, colour in placed
    )
    return f'<style>{"".join(rules)}</style><div class="legend">{chips}</div>'


def css_colour(rgb: Colour) -> str:
    """The colour as "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def _css_text(text: str) -> str:
    """The text without characters that could end a string of a style sheet."""
    return "".join(c for c in text if c.isalnum() or c in " -_")
