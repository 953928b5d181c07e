"""A method of the user's own: a menu for each kind of stage, and a box for the fields of those chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field
from html import escape
from typing import Any

import gradio as gr

from inversion.methods import STAGES, SettingError, parse_method
from ui.inputs import InputError

KINDS = {"embed": "Embed", "optimise": "Optimise", "refine": "Refine"}
INTRO = "**A combination of your own**: it runs beside the methods above."
EXAMPLE = "wplus.steps=100, pti.lr=0.0003"


class Combination:
    """Lays the menus out when made; `chosen` and `settings` read them.

    shared: methods that are ticked at first, where the settings are for those, too, as their fields have no controls.
    """

    def __init__(self, key: str, shared: Sequence[str] = ()) -> None:
        gr.Markdown(INTRO, elem_classes="note")
        with gr.Row():
            self.menus = {
                kind: gr.Dropdown(menu(kind, {}), value="", label=label, min_width=90, elem_id=f"{key}-{kind}")
                for kind, label in KINDS.items()
            }
        self.lacking = gr.HTML(visible=False, elem_classes="note")
        self.box = gr.Textbox(
            label="Settings of all methods" if shared else "Its settings",
            placeholder=EXAMPLE,
            info="stage.field=value, joined by commas. What is left out keeps its default.",
            max_length=500,
            elem_id=f"{key}-settings",
        )
        self.hint = gr.HTML(fields_hint(shared), elem_classes="note", elem_id=f"{key}-fields")

    def inputs(self) -> list[Any]:
        """Every component that `chosen` and `settings` read."""
        return [*self.menus.values(), self.box]

    def chosen(self, values: Mapping[Any, Any]) -> str:
        """The stages joined by +, "" for none."""
        return joined([values[menu] for menu in self.menus.values()])

    def settings(self, values: Mapping[Any, Any]) -> dict[str, str]:
        """What the box says. Raises InputError."""
        return read_settings(values[self.box] or "")

    def offered(self, lacking: Mapping[str, str]) -> dict[Any, Any]:
        """Updates that leave out the stages that the model lacks something for, and say what."""
        updates: dict[Any, Any] = {
            part: gr.update(choices=menu(kind, lacking), value="") for kind, part in self.menus.items()
        }
        return {**updates, self.lacking: gr.update(value=lacking_note(lacking), visible=bool(lacking))}


def menu(kind: str, lacking: Mapping[str, str]) -> list[tuple[str, str]]:
    """The stages of a kind that can be chosen."""
    usable = [(stage.label, key) for key, stage in STAGES.items() if stage.kind == kind and key not in lacking]
    return [("none", ""), *usable]


def lacking_note(lacking: Mapping[str, str]) -> str:
    """Why the other stages cannot be chosen."""
    reasons = "; ".join(f"<b>{escape(STAGES[key].label)}</b>: {escape(reason)}" for key, reason in lacking.items())
    return f"Not with this model: {reasons}." if lacking else ""


def joined(stages: Sequence[str | None]) -> str:
    """The chosen stages as `parse_method` reads them."""
    return "+".join(stage for stage in stages if stage)


def read_settings(text: str) -> dict[str, str]:
    """{"stage.field": value} of a text such as EXAMPLE; the values are checked with the method. Raises InputError."""
    given: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.replace("\n", ",").split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise InputError(f"Settings: write stage.field=value, as in {EXAMPLE}, not {part!r}.")
        given[name] = value
    return given


def fields_hint(methods: Sequence[str]) -> str:
    """The stages of these methods in order, and every field with its default and range, as HTML; several are folded."""
    parts, texts = [], list(dict.fromkeys(filter(None, methods)))
    fold = "details open" if len(texts) == 1 else "details"
    for text in texts:
        try:
            method = parse_method(text)
        except SettingError as error:
            parts.append(f"<p>{escape(str(error))}</p>")
            continue
        way = " \N{RIGHTWARDS ARROW} ".join(escape(stage.label) for stage in method.stages)
        fields = "".join(
            f"<li><code>{escape(name)}={escape(str(getattr(stage, spec.name)))}</code>{_range(spec)}</li>"
            for name, stage, spec in method.specs()
        )
        parts.append(f"<{fold}><summary><b>{escape(method.label)}</b>: {way}</summary><ul>{fields}</ul></details>")
    return "".join(parts)


def _range(spec: Field[Any]) -> str:
    """What a field may be, in words."""
    low, high, choices = (spec.metadata.get(key) for key in ("min", "max", "choices"))
    if choices:
        return f" {escape(' or '.join(str(choice) for choice in choices))}"
    if low is not None and high is not None:
        return f" {low:g} to {high:g}"
    return "" if low is None else f" from {low:g}"
