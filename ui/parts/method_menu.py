"""The menu of methods: a tick box and a line for each, grouped by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import gradio as gr

from inversion.serving.catalogue import MethodCard
from ui.parts.markup import duration, slot
from ui.parts.values import Options, Update
from ui.static import script

# Kind of a method -> title of its group. The groups are in this order.
GROUPS = {
    "embed": "Encoders: fast",
    "optimise": "Optimise a code: slower",
    "refine": "Tune a network: slowest",
}
FALLBACKS = ("w", "z", "dip")  # if a model can run no selected method, the first of these that it can run is selected
SCRIPT = script("methods")


class MethodMenu:
    """The component, whose value is the list of the keys of the selected methods."""

    def __init__(self, key: str, methods: Mapping[str, MethodCard], selected: Sequence[str]) -> None:
        self.key = key
        self.methods = {name: card for kind in GROUPS for name, card in methods.items() if card.kind == kind}
        self.component = gr.HTML(
            list(selected),
            rows=self.rows({}),
            times={},
            html_template=slot("rows"),
            js_on_load=SCRIPT,
            apply_default_css=False,
            elem_id=f"{key}-methods",
            elem_classes="methods",
        )

    def rows(self, missing: Mapping[str, str]) -> str:
        """The methods that are not `missing` as HTML. The script puts their times in."""
        return "<p>Methods</p>" + "".join(self._group(kind, missing) for kind in GROUPS)

    def offered(
        self, missing: Mapping[str, str], selected: Sequence[str], seconds: Mapping[str, float] | None = None
    ) -> Update:
        """Updates that leave out `missing` methods; the others stay selected, or a fallback if there are none.

        seconds: expected, by method, of those of which something is known.
        """
        usable = [key for key in selected if key not in missing]
        if selected and not usable:
            usable = [key for key in FALLBACKS if key not in missing][:1]
        # The value changes only if it must: the user may be ticking at the same time.
        value: Options = {} if usable == list(selected) else {"value": usable}
        return {self.component: gr.update(rows=self.rows(missing), times=times(seconds or {}), **value)}

    def selected(self, value: object) -> list[str]:
        """The selected methods in the order of the menu, fast ones first, from the component's value."""
        given = value if isinstance(value, list) else []
        return [key for key in self.methods if key in given]

    def _group(self, kind: str, missing: Mapping[str, str]) -> str:
        cards = [card for key, card in self.methods.items() if card.kind == kind and key not in missing]
        if not cards:
            return ""
        title = f"{self.key}-methods-{kind}"
        rows = "".join(self._row(card) for card in cards)
        return f'<section role="group" aria-labelledby="{title}"><h2 id="{title}">{GROUPS[kind]}</h2>{rows}</section>'

    def _row(self, card: MethodCard) -> str:
        about = f"{self.key}-about-{escape(card.key)}"
        label = escape(card.label)
        line = f'<small id="{about}">{escape(last_sentence(card.description))}</small><i></i>'
        return (
            f'<label title="{escape(card.description)}"><input type="checkbox" value="{escape(card.key)}" '
            f'aria-label="{label}" aria-describedby="{about}"><b>{label}</b>{line}</label>'
        )


def times(seconds: Mapping[str, float]) -> dict[str, str]:
    """About how long methods take here, in words. Rounded, because it is a guess."""
    return {key: "under 1 s" if one < 1 else f"about {duration(_rounded(one))}" for key, one in seconds.items()}


def _rounded(seconds: float) -> float:
    step = 1 if seconds < 10 else 5 if seconds < 60 else 10
    return step * round(seconds / step)


def last_sentence(text: str) -> str:
    """The last sentence; in a method's description it says what the method is good for."""
    return text.rpartition(". ")[2]
