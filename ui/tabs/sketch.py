"""The tab for translations: one pass of an encoder makes pictures of a drawing, a label map or a photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import ClassVar

import gradio as gr
import numpy as np
from gradio.blocks import Block
from gradio.components import Component
from gradio.events import Dependency

from inversion.align import Crop
from inversion.checkpoints.registry import registry
from inversion.common.errors import UserError
from inversion.serving.session import Request, UnknownJob
from inversion.synthetic import DEFAULT, DOMAINS
from inversion.tasks import DEFAULT_TASK
from inversion.translations import INPUTS, TRANSLATIONS, TranslationOptions, input_of
from inversion.translations.requests import TranslationCard
from ui import examples
from ui.history.form import FormValues, crop_of_request, translation_form
from ui.history.kept import KeptFields, kept_requests, picture_file, reopened
from ui.history.recipes import OWN_TABS
from ui.history.reopen import detail_of
from ui.parts import inputs
from ui.parts.context import PageContext
from ui.parts.copies import Copies
from ui.parts.drawing import (
    MAX_VARIATIONS,
    AnyRadio,
    common_legend,
    field_id,
    input_field,
    legend_html,
    read_options,
    translation_cards,
)
from ui.parts.endpoint import Endpoint
from ui.parts.events import DEVICE, MODELS, PRIVATE, QUIET
from ui.parts.framing import Framing, Source
from ui.parts.inputs import MAX_LAYERS, InputError, errors_as_messages, whole
from ui.parts.markup import note, problem_list, status_line
from ui.parts.seed import seed_field
from ui.parts.settings import model_choices
from ui.parts.streams import Streams
from ui.parts.translate_endpoint import translate_endpoint
from ui.parts.translated import Shown, TranslationPanel, other_choices
from ui.parts.uploads import examples_strip, offer_place
from ui.parts.values import Options, Update, Value, Values
from ui.static import script
from ui.tabs.base import Tab

INTRO = "An encoder turns your drawing or label map into a picture in one pass. Variations keep its shapes."
FIRST = "Draw something or choose an example, then press Make pictures."


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

    def __init__(self, context: PageContext) -> None:
        super().__init__(context)
        name = f"inversion-hub-{self.key}"  # as with the jobs of tasks, the "secret" is none
        self.stored = gr.BrowserState(None, storage_key=name, secret="job-key-of-a-tab")  # noqa: S106
        self.streams = Streams()
        context.openers[self.key] = self.label

    def build(self, tab: gr.Tab) -> None:
        self.job = gr.State(None)  # the key of the job that is shown
        gr.Markdown(self.intro, elem_classes="intro")
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320, elem_classes="controls"):
                self._build_controls()
            with gr.Column(scale=7, min_width=320, elem_classes="results"):
                self.panel = TranslationPanel(self.key, self.first)
        self._wire()
        for event in (tab.select, self.kind.change):
            event(None, js=script("pen"), **QUIET)

    def _build_controls(self) -> None:
        self.kind = AnyRadio(
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
            usual = TranslationOptions.mix_layers
            self.first_layer = gr.Number(
                usual, label="First varied layer", info=f"Usually {usual}, for details and colours.", precision=0,
                minimum=0, maximum=MAX_LAYERS,
            )  # fmt: skip
            self.seed = seed_field()
        fields = {"kind": self.kind, "models": self.models, "variations": self.variations, "alpha": self.blend}
        fields |= {"mix_layers": self.first_layer, "seed": self.seed}
        squares = dict(zip(["crop"], self.framings.values(), strict=False))  # photos are one kind of input
        self.kept = KeptFields(self.key, fields, models=("models",), framings=squares)

    def _build_fields(self) -> None:
        """A field for each kind of input, with its classes and examples; one kind is visible."""
        first, taken = TRANSLATIONS[self.kinds[0]].takes, {TRANSLATIONS[name].takes for name in self.kinds}
        self.canvases: dict[str, gr.Column] = {}  # the fields
        self.boxes: dict[str, gr.Column] = {}  # what stands below them
        self.fields: dict[str, gr.Image | gr.ImageEditor] = {}
        self.legends: dict[str, gr.HTML] = {}
        self.strips: dict[tuple[str, str], gr.Column] = {}  # (kind of input, domain) -> its examples
        self.framings: dict[str, Framing] = {}  # of photos
        self.given: list[Callable[..., Dependency]] = []  # events that put a whole picture into a field
        for name, kind in [(name, kind) for name, kind in INPUTS.items() if name in taken]:
            # An editor that is removed before it has started never comes back: that of another kind is only hidden.
            with gr.Column(visible=name == first or "hidden") as self.canvases[name]:
                self.fields[name] = input_field(name, self.key)
            with gr.Column(visible=name == first) as self.boxes[name]:
                if not kind.drawn:
                    if self.takes_pictures:
                        offer_place(self.key)
                    self.given.append(self.fields[name].upload)
                    self.framings[name] = Framing(field_id(name, self.key), self.context.session)
                if kind.has_classes:
                    self.legends[name] = gr.HTML(elem_id=f"{self.key}-{name}-legend")
                for domain in DOMAINS:
                    if paths := examples.drawings(name, domain):
                        with gr.Column(visible=domain == DEFAULT) as self.strips[name, domain]:
                            elem_id = f"{self.key}-{name}-{DOMAINS[domain].noun}-examples"
                            self.given.append(examples_strip(paths, self.fields[name], elem_id).click)

    def _wire(self) -> None:
        parts = [*self.canvases.values(), *self.boxes.values()]
        self.kind.change(self.switch_kind, self.kind, parts, preprocess=False, **QUIET)
        jobs = self.context.own_jobs
        given: set[Block] = {self.kind, self.models, self.variations, self.blend, self.first_layer, self.seed}
        given |= {*self.fields.values(), self.job, jobs.owner}
        for name, framing in self.framings.items():
            framing.wire(Source(self.fields[name], inputs.picture, self.models))
            given |= framing.inputs()
        started: Options = {"trigger_mode": "multiple", **DEVICE, **PRIVATE}  # another run replaces the running job
        outputs = [*self.outputs(), jobs.timer]
        Copies(self.fields.values()).on(self.run.click, self.make, given, outputs, **started)
        self.panel.status.back(self.come_back, [self.job, self.stored], outputs, **started)
        self.panel.status.again(self.run_again, [self.job, jobs.owner], outputs, **started)
        self._wire_reopening(outputs)
        panel = self.panel
        choices = [panel.shown, self.kind, self.models]
        for menu in (self.kind, self.models):
            menu.change(other_choices, choices, panel.other, **QUIET)
        for event in self.given:
            changed = event(lambda shown: shown and Shown(None, shown.models), panel.shown, panel.shown, **QUIET)
            changed.then(other_choices, choices, panel.other, **QUIET)
        chosen = [self.models, self.kind]  # `change`: the fields of an earlier run may choose models, too
        self.models.change(self.switch_models, chosen, self.offers(), preprocess=False, **MODELS, **PRIVATE)

    def _wire_reopening(self, outputs: Sequence[Component]) -> None:
        """Keep the fields and what is drawn in the browser; put those of an earlier run into the fields."""
        opener, given = self.kept.opener, [self.job, self.context.own_jobs.owner]
        shown = [*outputs, *self.kept.outputs()]
        opener.reopened(self.reopen, given, shown, trigger_mode="multiple", **DEVICE, **PRIVATE)
        fetched = {f"fetched_{name}": (one, self._given(name)) for name, one in self.fields.items()}
        self.kept.wire(self.context.session, fetched)

    def _given(self, name: str) -> Callable[[tuple[Request, ...]], Value]:
        """What a field for a kind of input gets from a run: pixels for a canvas, a file for an upload."""
        field = self.fields[name]
        if INPUTS[name].drawn:
            return lambda requests: requests[0].picture
        return lambda requests: picture_file(requests[0].picture, requests[0].name, field)

    def outputs(self) -> list[Component]:
        """Every component that a run updates."""
        return [*self.panel.outputs(), self.job, self.stored]

    def model_menus(self) -> list[Component]:
        return [self.models]

    def switch_kind(self, name: str | None) -> Update:
        """Show the field of a translation. None, of models that offer none, leaves the field that is there."""
        if name not in TRANSLATIONS:
            return {part: gr.skip() for part in [*self.canvases.values(), *self.boxes.values()]}
        takes = TRANSLATIONS[name].takes
        shown: Update = {box: gr.update(visible=kind == takes) for kind, box in self.boxes.items()}
        shown |= {canvas: gr.update(visible=kind == takes or "hidden") for kind, canvas in self.canvases.items()}
        return shown

    def on_load(self, page: gr.Blocks) -> None:
        first = self.kind.value
        page.load(self.resume, self.stored, [*self.outputs(), *self.kept.outputs()], **DEVICE, **PRIVATE)
        page.load(lambda: self.switch_models([self.context.model], first), None, self.offers(), **MODELS, **PRIVATE)

    def offers(self) -> list[Block]:
        """Components that `switch_models` updates."""
        return [self.kind, self.missing, self.run, *self.legends.values(), *self.strips.values()]

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
        read: dict[str, tuple[str, ...]] = {}  # kind of input -> names of the classes that are painted
        for name, legend in self.legends.items():
            classes, problems = common_legend(name, cards)
            problem = f'<div class="note bad">{problem_list(problems)}</div>' if problems else ""
            update[legend] = legend_html(name, classes) + problem
            read[name] = tuple(label for label, _ in classes)
        shown = _examples_of(models)
        for (name, domain), strip in self.strips.items():
            fits = read.get(name, DOMAINS[domain].classes) == DOMAINS[domain].classes
            update[strip] = gr.update(visible=fits and domain == shown)
        return update

    def make(self, values: Values, request: gr.Request) -> Iterator[Update]:
        """Make pictures with every chosen model instead of this tab's job, and show them."""
        session = self.context.session
        with errors_as_messages():
            requests, problems = self._requests(values)
            if not requests:
                yield {self.panel.status: status_line(problem_list(problems), bad=True)}
                return
            owner, place = values[self.context.own_jobs.owner] or "", self.place(request)
            key = session.submit(requests, owner=owner, place=place, replaces=values[self.job])
        yield from self._follow(key, request, problems, started=True)

    def _follow(
        self, key: str, request: gr.Request, problems: Mapping[str, str] | None = None, started: bool = False
    ) -> Iterator[Update]:
        """Show a job until it is over."""
        first: Update = {self.job: key, self.stored: key}
        if started:
            first |= {self.panel.status: status_line("<b>Working</b>", 0.0), **self.context.own_jobs.started()}
        updates = self.panel.updates(self.context.session, key, problems or {})
        yield from self.streams.newest(request, chain([first], updates))

    def resume(self, key: str | None, request: gr.Request) -> Iterator[Update]:
        """After a reload, show the pictures that this browser was waiting for or looking at, and what was drawn."""
        if self.opens_link(request) or not isinstance(key, str):
            yield {self.job: gr.skip()}
            return
        try:
            self.context.session.snapshot(key)
        except UnknownJob:  # expired
            yield {self.job: None, self.stored: None}
            return
        requests = kept_requests(self.context.session, {"key": key})
        takes = TRANSLATIONS[requests[0].translation].takes if requests else ""
        if takes in self.fields and INPUTS[takes].drawn:  # the browser itself keeps photos
            yield self.kept.answer(None, key, {f"fetched_{takes}": self.fields[takes]})
        yield from self._follow(key, request)

    def come_back(self, key: str | None, stored: str | None, request: gr.Request) -> Iterator[Update]:
        """When a page is shown again that was in the background, follow its job again."""
        try:
            self.context.session.snapshot(str(key or stored))
        except UnknownJob:
            text = "<b>This job has expired.</b> Press Run to start it again."
            yield {self.job: None, self.stored: None, self.panel.status: status_line(text)}
            return
        yield from self._follow(str(key or stored), request)

    def run_again(self, key: str | None, owner: str | None, request: gr.Request) -> Iterator[Update]:
        """Run a job again that ended because no client was connected."""
        again = self.copied(key, owner, request)
        yield from self._follow(again, request, started=True)

    def reopen(
        self, shown: str | None, owner: str | None, request: gr.Request, event: gr.EventData
    ) -> Iterator[Update]:
        """Show earlier pictures with their fields, or make them again; without a run, only fill the fields."""
        detail = detail_of(event)
        session, key = self.context.session, detail.get("key")
        if key:
            key = reopened(session, detail, owner or "", self.place(request), shown)
        requests = kept_requests(session, {"key": key, "picture": detail.get("picture")})
        form = form_of(requests) if key and requests else detail.get("form")
        name = str((form or {}).get("kind"))
        takes = TRANSLATIONS[name].takes if requests and name in TRANSLATIONS else ""
        pictures = {f"fetched_{takes}": self.fields[takes]} if takes in self.fields else {}
        yield self.kept.answer(form, key or detail.get("picture"), pictures)
        if key:
            yield from self._follow(key, request, started=bool(detail.get("run")))

    def _requests(self, values: Values) -> tuple[list[Request], dict[str, str]]:
        """A request for each chosen model, and problems of models that cannot take part. Raises UserError."""
        session, chosen = self.context.session, values[self.models]
        name, picture, options = self._read(values)
        known = [model for model in chosen if input_of(name).has_classes and not session.files.missing(model)]
        cards = {model: translation_cards(session, model) for model in known}
        _, problems = common_legend(TRANSLATIONS[name].takes, cards)
        uploaded = values[self.fields[TRANSLATIONS[name].takes]]
        given: Options = {"translation": name, "picture": picture, "seed": options.seed}
        given |= {"name": Path(uploaded).name if isinstance(uploaded, str) else "drawing.png"}
        given |= {"settings": {one: getattr(options, one) for one in ("variations", "alpha", "mix_layers")}}
        requests: list[Request] = []
        # A missing model is downloaded if it is the only one: the download may fail, and the whole job with it.
        for model in sorted((model for model in chosen if model not in problems), key=session.files.missing):
            try:
                if requests and session.files.missing(model):
                    raise InputError(f"The model {model} has not been downloaded yet. Get it in the Models tab first.")
                crop = self._crop(name, picture, model, values)
            except UserError as error:
                problems[model] = str(error)
                continue
            requests.append(Request(DEFAULT_TASK, name, model=model, crop=crop, **given))
        return requests, problems

    def _read(self, values: Values) -> tuple[str, np.ndarray, TranslationOptions]:
        """Name of the translation, picture uint8 (H, W, 3), options. Raises UserError."""
        name = values[self.kind]
        if name not in self.kinds:
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

    def endpoint(self, common: Mapping[str, Component]) -> Endpoint | None:
        if self.only:  # scripts name the translation
            return None
        return translate_endpoint(self.key, self.context.session, common)


def form_of(requests: Sequence[Request]) -> FormValues:
    """What the fields of the tab were for the requests of a job."""
    first, models = requests[0], [one.model for one in requests]
    crop = {} if input_of(first.translation).drawn else {"crop": crop_of_request(first)}
    return {**translation_form(first.translation, models, first.seed, first.settings), **crop}


def _unavailable(name: str, cards: Mapping[str, Mapping[str, TranslationCard]]) -> str:
    """Why none of the models offers the translation, "" if one does or if there are no models."""
    reasons = [by_name[name]["unavailable"] for by_name in cards.values()]
    return "; ".join(filter(None, reasons)) if all(reasons) else ""


def _examples_of(models: Sequence[str]) -> str:
    """The domain, a key of DOMAINS, of the examples for these models: the first's, or faces for official models."""
    known = registry()
    domains = [known[model].domain for model in models or [] if model in known]
    return next((domain for domain in domains if domain in DOMAINS), DEFAULT)


def _lacking_note(lacking: Mapping[str, str]) -> str:
    """Which translations the models cannot make, as a line of HTML; "" if they can make all. lacking: the reasons."""
    labels = [TRANSLATIONS[name].label for name in lacking]
    return note(f"{', '.join(labels)} need{'s' * (len(labels) == 1)} another model.") if labels else ""


def kind_choices(names: Sequence[str]) -> list[tuple[str, str]]:
    """The translations as (label, name)."""
    return [(TRANSLATIONS[name].label, name) for name in names]
