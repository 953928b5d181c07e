"""The tab about the hub: methods with their papers, metrics, models with their licences, limits, and how to cite."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from itertools import groupby
from typing import ClassVar

import gradio as gr

from inversion.checkpoints.registry import Entry, registry
from inversion.methods import METHODS
from inversion.metrics import METRICS
from inversion.serving.catalogue import MethodCard
from ui.parts.markup import DOT, paper_link
from ui.parts.method_menu import GROUPS
from ui.tabs.base import Tab

INTRO = """
GAN inversion looks for the code of a generator whose picture is yours. This page compares published methods on equal
terms: the same picture, the same model, the same metrics.
"""
LIMITS = """
<ul><li>A generator knows one kind of picture. The built-in models know drawn faces and drawn houses:
of a photo, a single code gives a drawn lookalike.</li>
<li>Methods that tune the generator reach any picture, but a close result alone does not say that it can be edited.</li>
<li>A result is a guess of a generator. It does not show what was really behind a mask or in a small
picture, and must not be used to recognise people.</li>
<li>Computing times are those of this server, and change with its load.</li></ul>
"""
CITE = """
<p>Cite the paper of each method and the model that you used. The figures and recipe of a run (json) name method,
settings, model, sha256 and versions, so that others can repeat it. For this page:</p>
<pre>@software{inversion_hub,
  title = {Inversion Hub: GAN inversion methods side by side},
  year  = {2026},
  note  = {MIT licence}
}</pre>
"""
LICENCES = "A licence also covers the pictures that are made with a model. The tab Models names the sources."


class About(Tab):
    """Plain text, made from the registries of methods, metrics and files."""

    key: ClassVar[str] = "about"
    label: ClassVar[str] = "About"

    def build(self, tab: gr.Tab) -> None:
        gr.Markdown(INTRO, elem_classes="intro")
        parts = {
            "Methods": methods_html(self.context.methods),
            "Metrics": metrics_html(),
            "Models and licences": licences_html(registry()),
            "Limits": LIMITS,
            "How to cite": CITE,
        }
        sections = "".join(f"<section><h2>{title}</h2>{html}</section>" for title, html in parts.items())
        gr.HTML(f'<div class="about">{sections}</div>', elem_id="about-text", apply_default_css=False)


def methods_html(cards: Mapping[str, MethodCard]) -> str:
    """Every method with its sentence, its stages and its paper, by group."""
    parts = []
    for kind, title in GROUPS.items():
        rows = "".join(_method(card) for card in cards.values() if card.kind == kind)
        parts.append(f"<h3>{title}</h3><dl>{rows}</dl>" if rows else "")
    return "".join(parts)


def _method(card: MethodCard) -> str:
    stages = " \N{RIGHTWARDS ARROW} ".join(stage.label for stage in METHODS[card.key].stages)
    lines = [escape(card.description), f"<small>{escape(stages)}{DOT}{paper_link(card.paper)}</small>"]
    return f"<dt>{escape(card.label)}</dt><dd>{'<br>'.join(lines)}</dd>"


def metrics_html() -> str:
    """Every metric with its meaning, and which direction is better."""
    rows = "".join(
        f"<dt>{escape(one.label)}</dt><dd>{escape(one.help)} <small>{one.better.capitalize()} is better.</small></dd>"
        for one in METRICS.values()
    )
    return f"<dl>{rows}</dl>"


def licences_html(entries: Mapping[str, Entry]) -> str:
    """Every file of the registry by its licence; the user's own files are left out."""
    known = sorted((one for one in entries.values() if not one.own), key=lambda one: one.licence)
    rows = []
    for licence, group in groupby(known, key=lambda one: one.licence):
        names = [escape(one.name) for one in group]
        title = f"{escape(licence[:1].upper() + licence[1:])} ({len(names)} file{'s' * (len(names) != 1)})"
        rows.append(f"<details><summary>{title}</summary>{', '.join(names)}</details>")
    return f"<p>{LICENCES}</p>{''.join(rows)}"
