"""The axes of a grid: for each what varies and a list of values, in one component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby

import gradio as gr

from inversion.grids import AXES, LIST_HELP, Parameter
from inversion.grids.values import entries
from ui.parts.markup import slot
from ui.parts.values import Update
from ui.static import script

FIRST = {"x": ["method", "psp, w, wplus"], "y": ["steps", "10, 30, 100"], "z": ["", ""]}
LONGEST = 2000  # characters of a list
# The component's value is {axis: [key of the parameter, list of values]}. "planned" comes a moment after an edit.
SCRIPT = script("grid_axes")


class Axes:
    """The component. key: of the tab."""

    def __init__(self, key: str, known: Mapping[str, Parameter]) -> None:
        self.component = gr.HTML(
            FIRST,
            known=cards(known),
            lacking=[],
            first=FIRST["x"][1],
            restored=None,
            rows=rows(known),
            html_template=slot("rows"),
            js_on_load=SCRIPT,
            apply_default_css=False,
            elem_id=f"{key}-axes",
            elem_classes="axes",
        )

    def offered(self, known: Mapping[str, Parameter]) -> Update:
        """The update after other pictures, masks or models can be chosen."""
        return {self.component: gr.update(known=cards(known))}

    def without(self, methods: Mapping[str, str]) -> Update:
        """The update that does not offer methods, which the first model cannot run."""
        left = [method for method in entries(FIRST["x"][1]) if method not in methods] or ["w"]
        return {self.component: gr.update(lacking=list(methods), first=", ".join(left))}


def read_axes(value: object) -> list[tuple[str, str]]:
    """The axes that are used, as `plan_grid` takes them."""
    return [(key, text) for key, text in given_axes(value).values() if key]


def given_axes(value: object) -> dict[str, list[str]]:
    """{axis: [key of the parameter, list of values]} of a value, with nothing else in it."""
    given = value if isinstance(value, Mapping) else {}
    pairs = {name: one for name in AXES if isinstance(one := given.get(name), list) and len(one) == 2}
    return {name: [str(part)[:LONGEST] for part in one] for name, one in pairs.items()}


def cards(known: Mapping[str, Parameter]) -> list[dict[str, object]]:
    """What the script needs of each parameter: choices as [text for the list, label], and help."""
    return [
        {
            "key": one.key,
            "help": " ".join(part for part in (one.help, LIST_HELP if one.number else "") if part),
            "choices": [[_entry(value), label] for value, label in one.choices.items()],
        }
        for one in known.values()
    ]


def rows(known: Mapping[str, Parameter]) -> str:
    """A row for each axis as HTML."""
    return "".join(_row(name, options([*known.values()])) for name in AXES)


def options(known: Sequence[Parameter]) -> str:
    """The menu of what can vary, by group, as HTML."""
    groups = [
        f'<optgroup label="{escape(group)}">'
        + "".join(f'<option value="{escape(one.key)}">{escape(one.label)}</option>' for one in members)
        + "</optgroup>"
        for group, members in groupby(known, key=lambda one: one.group)
    ]
    return "".join(groups)


def _row(axis: str, menu: str) -> str:
    name = axis.upper()
    empty = "nothing" if axis != "x" else "choose"
    return (
        f'<section class="axis" data-axis="{axis}"><b>{name}</b>'
        f'<select aria-label="What varies on the {name} axis"><option value="">{empty}</option>{menu}</select>'
        f'<input type="text" maxlength="{LONGEST}" aria-label="Values on the {name} axis" autocomplete="off" '
        f'spellcheck="false"><div class="chips"></div><small class="note"></small></section>'
    )


def _entry(value: object) -> str:
    """A value as it stands in a list."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f'"{text}"' if "," in text else text
