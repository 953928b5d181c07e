"""The tab for translations: one pass of an encoder makes pictures of a drawing, a label map or a photo."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import gradio as gr
import numpy as np
from gradio.blocks import Block
from gradio.components import Component
from gradio.events import Dependency

from inversion import images
from inversion.align import Crop
from inversion.common.errors import UserError
from inversion.common.names import safe_name
from inversion.images.sheets import Tile
from inversion.synthetic import DOMAINS
from inversion.translations import INPUTS, TRANSLATIONS, TranslationOptions, input_of
from inversion.translations.requests import TranslationCard
from ui import examples
from ui.parts import inputs
from ui.parts.checks import refuse_bad_files
from ui.parts.drawing import (
    MAX_VARIATIONS,
    ShownPicture,
    captioned,
    common_legend,
    field_id,
    input_field,
    legend_html,
    read_options,
    run_translation,
    translation_cards,
)
from ui.parts.endpoint import Answer, Endpoint, sheet_file
from ui.parts.events import DEVICE, MODELS, PRIVATE, QUIET
from ui.parts.export import PictureFiles
from ui.parts.framing import Framing, Source
from ui.parts.inputs import MAX_LAYERS, MAX_SEED, InputError, errors_as_messages, whole
from ui.parts.markup import DOT, clock, note, other_results, problem_list, status_line
from ui.parts.results import viewer_button
from ui.parts.settings import model_choices
from ui.parts.uploads import examples_strip, offer_place
from ui.parts.values import Options, Parameters, Update, Values
from ui.parts.views import pictures_view
from ui.static import script
from ui.tabs.base import Tab

INTRO = "An encoder turns your drawing, label map or photo into a picture in one pass. Variations keep its shapes."
FIRST = "Draw something or choose an example, then press Make pictures."
SUMMARY = "Turn a drawing, label map or photo into pictures, in one pass of an encoder."
NOTES = {
    "variations": f"number of pictures, 1 to {MAX_VARIATIONS}: the main result and variations with random fine styles.",
    "alpha": "how different the variations are, 0 to 1.",
    "mix_layers": "the first varied layer.",
}
OWN_TABS = ("frontalize",)  # translations that have a tab of their own
EVENTS = "The event has rows (one object), pictures (the encoder's input, then the results), and a sheet of them."


class Shown(NamedTuple):
    """Choices of the pictures that are shown. kind: None if the input has changed since."""

    kind: str | None
    models: list[str]


class Sketch(Tab):
    """Drawings, label maps and photos become pictures. A subclass offers a translation in a tab of its own."""

    key: ClassVar[str] = "sketch"
    label: ClassVar[str] = "Sketch to face"
    intro: ClassVar[str] = INTRO
    first: ClassVar[str] = FIRST  # the status when the page opens
    only: ClassVar[str] = ""  # key of the only translation of the tab

    @property
    def kinds(self) -> list[str]:
        """Keys of the tab's translations."""
        return [self.only] if self.only else [name for name in TRANSLATIONS if name not in OWN_TABS]

    def build(self, tab: gr.Tab) -> None:
        self.shown = gr.State(None)  # a `Shown`
        gr.Markdown(self.intro, elem_classes="intro")
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320, elem_classes="controls"):
                self._build_controls()
            with gr.Column(scale=7, min_width=320, elem_classes="results"):
                self.status = gr.HTML(status_line(self.first), elem_id=f"{self.key}-status")
                self.other = gr.HTML(elem_id=f"{self.key}-other")  # says when the pictures belong to other choices
                gr.HTML(viewer_button(self.key), elem_classes="viewer-opener")
                self.gallery = pictures_view("Pictures", f"{self.key}-gallery", columns=4)
        self._wire()
        for event in (tab.select, self.kind.change):
            event(None, js=script("pen"), **QUIET)

    def _build_controls(self) -> None:
        self.kind = gr.Radio(
            kind_choices(self.kinds), value=self.kinds[0], label="What to make", elem_id=f"{self.key}-kind",
            visible=not self.only,
        )  # fmt: skip
        self.missing = gr.HTML(visible=False, elem_classes="note", elem_id=f"{self.key}-missing")
        self._build_fields()
        self.models = gr.Dropdown(
            model_choices(self.context.models), value=[self.context.model], multiselect=True, label="Models to compare",
            elem_id=f"{self.key}-models",
        )  # fmt: skip
        with gr.Row():
            self.variations = gr.Slider(1, MAX_VARIATIONS, 4, step=1, label="Pictures", min_width=190)
            self.blend = gr.Slider(0, 1, 1, step=0.05, label="How different the variations are", min_width=190)
        with gr.Row(elem_classes="run-bar"):
            self.run = gr.Button("Make pictures", variant="primary", elem_id=f"{self.key}-run")
        with gr.Accordion("Advanced", open=False):
            self.first_layer = gr.Number(
                None, label="First varied layer", precision=0, minimum=0, maximum=MAX_LAYERS,
                info=f"Empty: {TranslationOptions.mix_layers}, details and colours.",
            )  # fmt: skip
            self.seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=MAX_SEED)

    def _build_fields(self) -> None:
        """A field for each kind of input, with its classes and examples; one kind is visible."""
        first, taken = TRANSLATIONS[self.kinds[0]].takes, {TRANSLATIONS[name].takes for name in self.kinds}
        self.boxes: dict[str, gr.Column] = {}
        self.fields: dict[str, gr.Image | gr.ImageEditor] = {}
        self.legends: dict[str, gr.HTML] = {}
        self.strips: dict[str, gr.Column] = {}
        self.framings: dict[str, Framing] = {}  # of photos
        self.given: list[Callable[..., Dependency]] = []  # events that put a whole picture into a field
        for name, kind in [(name, kind) for name, kind in INPUTS.items() if name in taken]:
            with gr.Column(visible=name == first) as self.boxes[name]:
                self.fields[name] = input_field(name, self.key)
                if not kind.drawn:
                    if self.takes_pictures:
                        offer_place(self.key)
                    refuse_bad_files(self.fields[name], inputs.picture)
                    self.given.append(self.fields[name].upload)
                    self.framings[name] = Framing(field_id(name, self.key), self.context.session, tells_domain=False)
                if kind.has_classes:
                    self.legends[name] = gr.HTML(elem_id=f"{self.key}-{name}-legend")
                with gr.Column() as self.strips[name]:
                    if paths := examples.drawings(name):
                        strip = examples_strip(paths, self.fields[name], f"{self.key}-{name}-examples")
                        self.given.append(strip.click)

    def _wire(self) -> None:
        self.kind.change(
            lambda name: [gr.update(visible=bool(name) and kind == TRANSLATIONS[name].takes) for kind in self.boxes],
            self.kind,
            list(self.boxes.values()),
            preprocess=False,
            **QUIET,
        )
        given: set[Block] = {self.kind, self.models, self.variations, self.blend, self.first_layer, self.seed}
        given |= set(self.fields.values())
        for name, framing in self.framings.items():
            framing.wire(Source(self.fields[name], inputs.picture, self.models))
            given |= framing.inputs()
        outputs = [self.status, self.other, self.shown, self.gallery]
        self.run.click(self.make, given, outputs, **DEVICE, **PRIVATE)
        choices = [self.shown, self.kind, self.models]
        for menu in (self.kind, self.models):
            menu.change(other_choices, choices, self.other, **QUIET)
        for event in self.given:
            changed = event(lambda shown: shown and Shown(None, shown.models), self.shown, self.shown, **QUIET)
            changed.then(other_choices, choices, self.other, **QUIET)
        chosen = [self.models, self.kind]
        self.models.input(self.switch_models, chosen, self.offers(), preprocess=False, **MODELS, **PRIVATE)

    def model_menus(self) -> list[Component]:
        return [self.models]

    def on_load(self, page: gr.Blocks) -> None:
        first = self.kind.value
        page.load(lambda: self.switch_models([self.context.model], first), None, self.offers(), **MODELS, **PRIVATE)

    def offers(self) -> list[Block]:
        """Components that `switch_models` updates."""
        strips = [self.strips[name] for name in self.legends]
        return [self.kind, self.missing, self.run, *self.legends.values(), *strips]

    def switch_models(self, models: list[str], chosen: str | None) -> Update:
        """Offer the translations that at least one of the models has an encoder for."""
        session = self.context.session
        cards = {model: translation_cards(session, model) for model in models or [] if not session.files.missing(model)}
        lacking = {name: reason for name in self.kinds if (reason := _unavailable(name, cards))}
        available = [name for name in self.kinds if name not in lacking]
        value = chosen if chosen in available else next(iter(available), None)
        # The value changes only if it must: the user may be choosing at the same time.
        changed: Options = {} if value == chosen else {"value": value}
        update: Update = {
            self.kind: gr.update(choices=kind_choices(available), **changed),
            self.missing: gr.update(value=_lacking_note(lacking), visible=bool(lacking)),
            self.run: gr.update(interactive=value is not None),
        }
        for name, legend in self.legends.items():
            classes, problems = common_legend(name, cards)
            problem = f'<div class="note bad">{problem_list(problems)}</div>' if problems else ""
            fits = tuple(label for label, _ in classes) == DOMAINS[examples.DOMAIN].classes
            update |= {legend: legend_html(name, classes) + problem, self.strips[name]: gr.update(visible=fits)}
        return update

    def make(self, values: Values) -> Iterator[Update]:
        """Make pictures with every chosen model, and show them."""
        with errors_as_messages():
            name, picture, options = self._read(values)
        yield {self.status: status_line("<b>Working</b>", 0.0)}
        session, models = self.context.session, values[self.models]
        cards = {model: translation_cards(session, model) for model in models} if input_of(name).has_classes else {}
        _, problems = common_legend(TRANSLATIONS[name].takes, cards)
        results: list[ShownPicture] = []
        began = time.perf_counter()
        for model in [model for model in models if model not in problems]:
            try:
                crop = self._crop(name, picture, model, values)
                made, recipe = run_translation(session, model, name, picture, options, crop)
            except UserError as error:
                problems[model] = str(error)
                continue
            results += captioned(model if len(models) > 1 else "", made, recipe)
        if results:
            yield {self.other: None, self.shown: Shown(name, models)}
        yield from self._show(results, problems, time.perf_counter() - began)

    def _read(self, values: Values) -> tuple[str, np.ndarray, TranslationOptions]:
        """Name of the translation, picture uint8 (H, W, 3), options. Raises UserError."""
        name = values[self.kind]
        if not name:
            raise InputError("The chosen models have no encoder for any of these.")
        options = read_options(
            variations=whole(values[self.variations], "The number of pictures", 1, MAX_VARIATIONS),
            alpha=values[self.blend],
            mix_layers=values[self.first_layer],
            seed=values[self.seed],
        )
        kind, given = input_of(name), values[self.fields[TRANSLATIONS[name].takes]]
        if given is None:
            raise InputError(kind.empty)
        if not values[self.models]:
            raise InputError("Choose at least one model.")
        return name, given if kind.drawn else inputs.picture(given), options

    def _crop(self, name: str, picture: np.ndarray, model: str, values: Values) -> Crop:
        """The part of uint8 (H, W, 3) that is used; a drawing is used as it is. Raises UserError."""
        framing = self.framings.get(TRANSLATIONS[name].takes)
        return Crop() if framing is None else framing.crop(picture, model, values)

    def _show(self, results: Sequence[ShownPicture], problems: Mapping[str, str], seconds: float) -> Iterator[Update]:
        """Every picture as a file with its recipe, and the problems by model."""
        if not results:
            yield {self.status: status_line(problem_list(problems), bad=True)}
            return
        with tempfile.TemporaryDirectory() as folder:
            items = []
            for i, one in enumerate(results):
                parts = [one.recipe["translation"], one.recipe["model"], f"s{one.recipe['seed']}", str(i)]
                path = Path(folder) / (safe_name("-".join(parts)) + ".png")
                images.write_png(path, one.picture, one.recipe)
                items.append((str(path), one.caption))
            text = f"<b>Done</b>{DOT}{clock(seconds)} s" + (f"{DOT}{problem_list(problems)}" if problems else "")
            yield {self.gallery: items, self.status: status_line(text, bad=bool(problems))}

    def endpoint(self, common: Mapping[str, Component]) -> Endpoint | None:
        if self.only:  # scripts name the translation
            return None
        parameters: dict[str, Component] = {
            "picture": common["picture"],
            "kind": gr.Dropdown(list(TRANSLATIONS), value=next(iter(TRANSLATIONS)), label="kind"),
            "model": common["model"],
            "seed": common["seed"],
            "variations": gr.Number(1, label="variations", minimum=1, maximum=MAX_VARIATIONS),
            "alpha": gr.Number(1.0, label="alpha", minimum=0, maximum=1),
            "mix_layers": gr.Number(None, label="mix_layers", minimum=0, maximum=MAX_LAYERS),
            "align": common["align"],
        }
        notes = {**NOTES, "kind": f"one of {', '.join(TRANSLATIONS)}."}
        return Endpoint(self.key, SUMMARY, parameters, self.answers, notes, EVENTS)

    def answers(self, values: Parameters) -> Iterator[Answer]:
        """Make pictures for a script."""
        with errors_as_messages():
            options = read_options(**{key: values[key] for key in ("variations", "alpha", "mix_layers", "seed")})
            name, picture, notes = _given(values)
            session, model = self.context.session, values["model"]
            crop = Crop() if input_of(name).drawn else session.crop(picture, model, values["align"])
            made, row = run_translation(session, model, name, picture, options, crop)
            row["notes"] = list(notes)
        with tempfile.TemporaryDirectory() as folder:
            files, results = PictureFiles(folder), captioned("", made, row)
            pictures = [(files.path(f"{name}-{i}", one.picture), one.caption) for i, one in enumerate(results)]
            tiles = [Tile(one.caption, name if i else "", one.picture) for i, one in enumerate(results)]
            yield Answer([row], pictures, sheet_file(tiles, files))


def _given(values: Parameters) -> tuple[str, np.ndarray, tuple[str, ...]]:
    """Name of the translation, picture uint8 (H, W, 3) and notes on its file. Raises UserError."""
    name, path = values["kind"], values["picture"]
    if not path:
        raise InputError(inputs.NO_PICTURE)
    decoded = input_of(name).decode(inputs.existing(path))
    return name, np.asarray(decoded.picture), decoded.notes


def _unavailable(name: str, cards: Mapping[str, Mapping[str, TranslationCard]]) -> str:
    """Why none of the models offers the translation, "" if one does or if there are no models."""
    reasons = [by_name[name]["unavailable"] for by_name in cards.values()]
    return "; ".join(filter(None, reasons)) if all(reasons) else ""


def _lacking_note(lacking: Mapping[str, str]) -> str:
    """Which translations the models cannot make, as a line of HTML; "" if they can make all. lacking: the reasons."""
    labels = [TRANSLATIONS[name].label for name in lacking]
    return note(f"{', '.join(labels)} need{'s' * (len(labels) == 1)} another model.") if labels else ""


def other_choices(shown: Shown | None, kind: str | None, models: list[str]) -> str | None:
    """That the pictures belong to another input, kind or models than the chosen ones, None if they do not."""
    if shown is None:
        return None
    if shown.kind is None:
        of = "the previous input"
    elif kind not in (shown.kind, None):
        of = f"\N{LEFT DOUBLE QUOTATION MARK}{TRANSLATIONS[shown.kind].label}\N{RIGHT DOUBLE QUOTATION MARK}"
    elif sorted(models) != sorted(shown.models):
        of = ", ".join(shown.models)
    else:
        return None
    return other_results(f"These pictures belong to {of}. Press Make pictures for new ones.")


def kind_choices(names: Sequence[str]) -> list[tuple[str, str]]:
    """The translations as (label, name)."""
    return [(TRANSLATIONS[name].label, name) for name in names]
