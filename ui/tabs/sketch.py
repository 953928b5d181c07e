"""The tab for translations: a drawing, a label map or a face that looks aside becomes pictures in one pass."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.blocks import Block

from inversion import images
from inversion.align import Crop, How
from inversion.common.errors import UserError
from inversion.serving.catalogue import DEFAULT_MODEL
from inversion.serving.session import Session
from inversion.synthetic.faces import CLASSES
from inversion.translations import TRANSLATIONS, TranslationOptions
from inversion.translations.drawings import PALETTE
from inversion.translations.requests import TranslatedPictures, TranslateRequest, TranslationsRequest
from ui.examples import drawings
from ui.parts import inputs
from ui.parts.inputs import MOST_LAYERS, InputError, explained, whole
from ui.parts.markup import READY, listed, status_line
from ui.parts.settings import model_choices
from ui.parts.streams import Update
from ui.parts.uploads import canvas, drawing_upload, examples_strip, picture_field
from ui.parts.workbench import LANE, PRIVATE, SHOW_RESULTS
from ui.tab import Desk

INTRO = (
    "Draw a face, paint a map of its parts, or give a face that looks aside: an encoder makes a picture of it in one "
    "pass, and other pictures that keep its shapes."
)
EMPTY = {
    "lines": "The canvas is empty: draw the outlines of a face first, upload a drawing, or take an example.",
    "map": "The canvas is empty: paint the parts of a face first, upload a map, or take an example.",
    "picture": inputs.NO_PICTURE,
}
INK, PEN, BRUSH = ("#000000", "#ffffff"), 5, 24  # colours of the pen, and sizes in pixels of the canvas
MAX_PICTURES = 10  # of one run
Card = Mapping[str, Any]  # of a translation, see `TranslationsRequest`
Legend = Sequence[tuple[str, tuple[int, int, int]]]  # names and colours of a map's classes


class SketchBench:
    """Lays the tab out and wires it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        gr.Markdown(INTRO, elem_classes="intro")
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                self.kind = gr.Radio(
                    kind_choices({}), value=next(iter(TRANSLATIONS)), label="What to do", elem_id="sketch-kind"
                )
                self.missing = gr.HTML(visible=False, elem_classes="note", elem_id="sketch-missing")
                self.boxes, self.fields = self._fields()
                self.models = gr.Dropdown(
                    model_choices(desk.models), value=[DEFAULT_MODEL], multiselect=True, label="Models to compare",
                    elem_id="sketch-models",
                )  # fmt: skip
                with gr.Row():
                    self.variations = gr.Slider(1, MAX_PICTURES, 4, step=1, label="Pictures", min_width=190)
                    self.blend = gr.Slider(0, 1, 1, step=0.05, label="Blend with random styles", min_width=190)
                self.run = gr.Button("Make pictures", variant="primary", elem_id="sketch-run")
                with gr.Accordion("Advanced", open=False):
                    self.styles = gr.Number(
                        None, label="Layer from which pictures differ", precision=0, minimum=0, maximum=MOST_LAYERS,
                        info=f"Empty: {TranslationOptions.mix_layers}, fine structure and colours.",
                    )  # fmt: skip
                    self.seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**31 - 1)
            with gr.Column(scale=7, min_width=320):
                self.status = gr.HTML(status_line(READY), elem_id="sketch-status")
                self.gallery = gr.Gallery(
                    label="Pictures", show_label=False, format="png", columns=4, object_fit="contain", height="auto",
                    interactive=False, elem_id="sketch-gallery",
                )  # fmt: skip
        self._wire()

    def _fields(self) -> tuple[dict[str, gr.Column], dict[str, gr.components.Component]]:
        """A field for each kind of input, with examples; only the one that is asked for shows."""
        given = drawings()
        first = TRANSLATIONS[next(iter(TRANSLATIONS))].takes
        boxes, fields = {}, {}
        self.strips: dict[str, gr.Column] = {}
        for kind, paths in given.items():
            with gr.Column(visible=kind == first) as boxes[kind]:
                if kind == "picture":
                    field: Any = picture_field("Picture", "sketch-picture")
                elif kind == "map":
                    field = canvas("Map: a colour for each part", "sketch-map", swatches(), BRUSH)
                    drawing_upload(field, "Upload a map", "sketch-map-upload")
                    self.legend = gr.HTML(elem_id="sketch-legend")
                else:
                    field = canvas("Drawing: black draws, white corrects", "sketch-lines", INK, PEN)
                    drawing_upload(field, "Upload a drawing", "sketch-lines-upload")
                with gr.Column() as self.strips[kind]:
                    examples_strip(paths, field, f"sketch-{kind}-examples")
                fields[kind] = field
        return boxes, fields

    def _wire(self) -> None:
        self.kind.change(
            lambda name: [gr.update(visible=bool(name) and kind == TRANSLATIONS[name].takes) for kind in self.boxes],
            self.kind,
            list(self.boxes.values()),
            queue=False,
            preprocess=False,
            **PRIVATE,
        )
        own = {self.kind, self.models, self.variations, self.blend, self.styles, self.seed}
        given: set[Block] = {*own, *self.fields.values()}
        self.run.click(
            self._run, given, [self.status, self.gallery], show_progress_on=self.status, **LANE, **PRIVATE
        )  # fmt: skip
        self.run.click(None, js=SHOW_RESULTS.replace("KEY", "sketch"), queue=False, **PRIVATE)
        self.models.input(
            self._switch, [self.models, self.kind], self._offers(), concurrency_id="models", preprocess=False, **PRIVATE
        )

    def _offers(self) -> list[Any]:
        return [self.kind, self.missing, self.legend, self.strips["map"], self.run]

    def on_load(self, page: gr.Blocks) -> None:
        """When the page opens, leave out what the first model has no encoder for."""
        page.load(
            lambda: self._switch([DEFAULT_MODEL], None), None, self._offers(), concurrency_id="models", **PRIVATE
        )  # fmt: skip

    def _switch(self, models: list[str], chosen: str | None) -> list[Any]:
        """Offer the translations that at least one of the models has an encoder for, and say what the others lack."""
        session = self.desk.session
        cards = {model: cards_of(session, model) for model in models or [] if not session.files.missing(model)}
        lacking = {
            name: "; ".join(reasons)
            for name in TRANSLATIONS
            if (reasons := [by_name[name]["unavailable"] for by_name in cards.values()]) and all(reasons)
        }
        usable = kind_choices(lacking)
        value = chosen if chosen in [name for _, name in usable] else next((name for _, name in usable), None)
        classes, others = painted(cards)
        return [
            gr.update(choices=usable, value=value),
            gr.update(value=missing_note(lacking), visible=bool(lacking)),
            legend(classes) + (f'<div class="note bad">{listed(others)}</div>' if others else ""),
            gr.update(visible=[name for name, _ in classes] == list(CLASSES)),  # which the examples are painted in
            gr.update(interactive=value is not None),
        ]

    def _run(self, values: dict[Any, Any]) -> Iterator[Update]:
        with explained():
            if not values[self.kind]:
                raise InputError("The chosen models have no encoder for any of these.")
            name = values[self.kind]
            options = options_of(
                variations=whole(values[self.variations], "The number of pictures", 1, MAX_PICTURES),
                alpha=values[self.blend],
                mix_layers=values[self.styles],
                seed=values[self.seed],
            )
            takes = TRANSLATIONS[name].takes
            drawing = values[self.fields[takes]]
            if drawing is None:
                raise InputError(EMPTY[takes])
            picture = inputs.picture(drawing) if takes == "picture" else drawing
            if not values[self.models]:
                raise InputError("Choose at least one model.")
        yield {self.status: status_line("<b>Working</b>", 0.0)}
        parts: list[tuple[str, np.ndarray, dict[str, Any]]] = []
        models = values[self.models]
        cards = {model: cards_of(self.desk.session, model) for model in models} if takes == "map" else {}
        _, problems = painted(cards)
        began = time.perf_counter()
        for model in [model for model in models if model not in problems]:
            try:
                drawn, recipe = translated(self.desk.session, model, name, picture, options)
            except UserError as error:
                problems[model] = str(error)
                continue
            parts += captioned(model if len(models) > 1 else "", drawn, recipe)
        seconds = time.perf_counter() - began
        yield from self._show(parts, problems, seconds)

    def _show(
        self, parts: Sequence[tuple[str, np.ndarray, dict[str, Any]]], problems: Mapping[str, str], seconds: float
    ) -> Iterator[Update]:
        """Every picture as a file with its recipe, and what went wrong."""
        if not parts:
            yield {self.status: status_line(listed(problems), bad=True)}
            return
        with tempfile.TemporaryDirectory() as folder:
            items = []
            for i, (caption, picture, recipe) in enumerate(parts):
                path = Path(folder) / f"{recipe['translation']}-{i}.png"
                images.write_png(path, picture, recipe)
                items.append((str(path), caption))
            text = f"<b>Done</b> \N{MIDDLE DOT} {seconds:.1f} s"
            if problems:
                text += f" \N{MIDDLE DOT} {listed(problems)}"
            yield {self.gallery: items, self.status: status_line(text, bad=bool(problems))}


def cards_of(session: Session, model: str) -> dict[str, Card]:
    """The model's translations by name; without the model, that it cannot be had."""
    try:
        cards = session.ask(TranslationsRequest(model))
    except UserError as error:
        return {name: {"unavailable": str(error), "legend": []} for name in TRANSLATIONS}
    return {card["name"]: card for card in cards}


def painted(cards: Mapping[str, Mapping[str, Card]]) -> tuple[Legend, dict[str, str]]:
    """The classes that a map is painted in, those of the first model that has any, and why other models cannot read it.

    cards: of every model, by the translation's name.
    """
    legends = {model: by_name["map"]["legend"] for model, by_name in cards.items() if by_name["map"]["legend"]}
    if not legends:
        return [], {}
    first, classes = next(iter(legends.items()))
    problem = f"its maps have other classes than those of {first}, so no drawing suits both: choose one of them"
    return classes, {model: problem for model, own in legends.items() if own != classes}


def options_of(**given: object) -> TranslationOptions:
    """The options of a translation; None stands for a default. Raises SettingError."""
    return TranslationOptions(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def translated(
    session: Session,
    model: str,
    name: str,
    picture: np.ndarray,
    options: TranslationOptions,
    align: How = "auto",
) -> tuple[TranslatedPictures, dict[str, Any]]:
    """What the model makes of uint8 (H, W, 3), and what is needed to make it again. Raises LaneError, SessionError."""
    crop = session.crop(picture, model, align) if TRANSLATIONS[name].takes == "picture" else Crop()
    began = time.perf_counter()
    drawn: TranslatedPictures = session.ask(TranslateRequest(model, name, picture, options, crop))
    recipe = {
        "translation": name,
        "model": model,
        "seed": options.seed,
        "variations": options.variations,
        "alpha": options.alpha,
        "mix_layers": options.mix_layers,
        "seconds": round(time.perf_counter() - began, 3),
        "crop": {"how": crop.how, "quad": crop.quad, "note": crop.note},
    }
    return drawn, recipe


def captioned(
    model: str, drawn: TranslatedPictures, recipe: dict[str, Any]
) -> list[tuple[str, np.ndarray, dict[str, Any]]]:
    """(caption, picture, recipe) of what the encoder read and of every picture; captions begin with `model`."""
    names = ["What it reads", "The encoder's own"]
    names += [f"Variation {i}" for i in range(1, len(drawn.pictures))]
    pictures = [drawn.read, *drawn.pictures]
    return [
        (f"{model}: {name.lower()}" if model else name, picture, {**recipe, "image": i})
        for i, (name, picture) in enumerate(zip(names, pictures, strict=True))
    ]


def kind_choices(lacking: Mapping[str, str]) -> list[tuple[str, str]]:
    """The translations that can be chosen."""
    return [(kind.label, name) for name, kind in TRANSLATIONS.items() if name not in lacking]


def missing_note(lacking: Mapping[str, str]) -> str:
    """Why the other translations cannot be chosen."""
    reasons = "".join(f"<p>{escape(reason)}</p>" for reason in lacking.values())
    return f'<div class="note">Not with this model:{reasons}</div>' if lacking else ""


def swatches() -> list[str]:
    """The palette as the brush takes it; the first class to paint with comes first, white last."""
    return [colour(one) for one in (*PALETTE[1:], PALETTE[0])]


def legend(classes: Legend) -> str:
    """The classes with their colours, and names beside the brush's colours, of which only these show."""
    if not classes:
        return ""
    named = [*classes[1:], classes[0]]
    places = [*range(1, len(classes)), len(PALETTE)]  # in `swatches`, from 1
    menu = "#sketch-map menu.swatch button"
    rules = [f"{menu} {{ display: none; }}"]
    for place, (name, _) in zip(places, named, strict=True):
        rules.append(f"{menu}:nth-child({place}) {{ display: block; }}")
        rules.append(f'{menu}:nth-child({place})::after {{ content: "{_css(name)}"; }}')
    chips = "".join(f'<span><i style="background:{colour(one)}"></i>{escape(name)}</span>' for name, one in named)
    return f'<style>{"".join(rules)}</style><div class="legend">{chips}</div>'


def colour(rgb: tuple[int, int, int]) -> str:
    """As CSS writes it."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def _css(text: str) -> str:
    """Text between the quotes of a style sheet: letters, digits and blanks of it."""
    return "".join(c for c in text if c.isalnum() or c in " -_")
