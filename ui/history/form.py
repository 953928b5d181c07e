"""The fields of a task's tab as plain JSON, so that they survive a reload and come back from a run or from a file.

A form is {"methods": [...], "typed": {method: {field: value}}, "stages": {kind: stage}, "preset", "model", "seed",
"measured", "budget", "options": {...}, "own": {name: value}, "crop": {...}}. Any part may be missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import gradio as gr
from gradio.components import Component

from inversion.align import Crop
from inversion.analysis import ANALYSES
from inversion.common.errors import UserError
from inversion.common.rows import RowView
from inversion.methods import METHODS, PRESETS, STAGES, parse_method
from inversion.serving import catalogue
from inversion.serving.catalogue import MethodCard
from inversion.serving.runs import Request, picture_digest
from ui.parts.fields import CUSTOM, DEFAULT_PRESET, custom_section, pipeline, sections
from ui.parts.framing import Framing
from ui.parts.inputs import MAX_SEED
from ui.parts.settings import Settings
from ui.parts.squares import square_on
from ui.parts.values import Options, Update, Value

FormValues = dict[str, Any]
MAX_TEXT = 200
# Parts of a form whose components keep their values themselves: in a closed fold, a value may be an old one.
SAVED_BY_SCRIPTS = ("typed", "stages")


@dataclass(frozen=True)
class Filled:
    """What one run was asked to do, whatever it was read from. settings: all of its method, "stage.field" -> value."""

    method: str
    settings: Mapping[str, Any]
    preset: str


class Form:
    """The components that hold a form. controls: the task's own fields by name."""

    def __init__(self, settings: Settings, framing: Framing, controls: Mapping[str, Component]) -> None:
        self.settings, self.framing = settings, framing
        self.own = {name: one for name, one in controls.items() if not isinstance(one, gr.Image | gr.File)}
        self._answers = count(1)

    def parts(self) -> dict[str, Component]:
        """Every component, by its place in the form: "own.factor" is the part "factor" of "own"."""
        given = self.settings
        named: dict[str, Component] = {
            "methods": given.methods,
            "typed": given.fields.typed,
            "stages": given.fields.stages,
            "preset": given.preset,
            "model": given.model,
            "seed": given.seed,
            "measured": given.measured,
            "budget": given.budget,
            "crop": self.framing.component,
        }
        named |= {f"options.{name}": menu for name, menu in given.options.menus.items()}
        return named | {f"own.{name}": one for name, one in self.own.items()}

    def updates(self, form: Mapping[str, Any]) -> Update:
        """The components with the values of a form. Values that do not fit are left out."""
        given = self.settings
        update: Update = {}
        methods = [key for key in _texts(form.get("methods")) if key in given.context.methods]
        stages = {kind: key for kind, key in _mapping(form.get("stages")).items() if _text(key) in STAGES}
        preset = _text(form.get("preset"))
        preset = preset if preset in PRESETS else DEFAULT_PRESET
        rows = sections(given.fields.cards[preset], methods) + custom_section(pipeline(stages))
        again = next(self._answers)
        if "methods" in form:
            update[given.methods] = gr.update(value=methods)
            update[given.preset] = preset
            update[given.fields.typed] = gr.update(value=typed(form.get("typed")), rows=rows, restored=again)
            update[given.fields.stages] = gr.update(value=stages, restored=again)
        if _text(form.get("model")) in catalogue.models():
            update[given.model] = form["model"]
        for name, part, low, high in (
            ("seed", given.seed, 0, MAX_SEED),
            ("budget", given.budget, 1, given.context.session.budget),
        ):
            if _is_number(form.get(name)):
                update[part] = min(max(form[name], low), high)
        if given.can_be_measured and isinstance(form.get("measured"), bool):
            update[given.measured] = form["measured"]
        if isinstance(form.get("crop"), Mapping):
            update[self.framing.component] = gr.update(restored={**form["crop"], "answer": again})
        own = {name: one for name, one in _mapping(form.get("own")).items() if name in self.own}
        update |= {self.own[name]: one for name, one in own.items() if fits(self.own[name], one)}
        return update | self.options(form)

    def options(self, form: Mapping[str, Any]) -> Update:
        """The model's own fields; they have to be set after the model."""
        menus = self.settings.options.menus
        given = _mapping(form.get("options"))
        whole = {name: one for name, one in given.items() if name in menus and _is_whole(one)}
        return {menus[name]: gr.update(value=one) for name, one in whole.items()}


def fits(part: Component, value: Value) -> bool:
    """Whether a control can have the value. A menu that takes texts of its own can have any short text."""
    if isinstance(part, gr.Radio | gr.Dropdown):
        if isinstance(part, gr.Dropdown) and part.multiselect:
            return isinstance(value, list) and bool(value) and all(_is_choice(part, one) for one in value)
        return _is_choice(part, value)
    if isinstance(part, gr.Checkbox):
        return isinstance(value, bool)
    if isinstance(part, gr.Slider | gr.Number):
        low, high = part.minimum, part.maximum
        if value is None:
            return isinstance(part, gr.Number) and part.value is None
        return _is_number(value) and (low is None or value >= low) and (high is None or value <= high)
    return isinstance(part, gr.Textbox) and isinstance(value, str) and len(value) <= (part.max_length or MAX_TEXT)


def _is_choice(part: gr.Radio | gr.Dropdown, value: Value) -> bool:
    """Whether a menu offers the value, or takes it as a text of its own."""
    own = isinstance(part, gr.Dropdown) and part.allow_custom_value
    known = [one for _, one in part.choices or ()]
    return value in known or (own and isinstance(value, str) and len(value) <= MAX_TEXT)


def of_requests(requests: Sequence[Request]) -> FormValues:
    """The form of a job from its requests, with the crop to the last bit."""
    first = requests[0]
    runs = [_filled(one.method, one.settings) for one in requests]
    own = {name: value for name, value in first.inputs.items() if isinstance(value, bool | int | float | str)}
    form = {**_of_runs(runs), "own": own, "options": dict(first.options)}
    form |= {"model": first.model, "seed": first.seed, "measured": first.measured, "budget": first.budget}
    return {**form, "crop": crop_of_request(first)}


def crop_of_request(request: Request) -> FormValues:
    """The choice of the square of a request, with the crop to the last bit."""
    size = (request.picture.shape[1], request.picture.shape[0])
    return _crop(picture_digest(request.picture), request.crop, size)


def of_rows(rows: Sequence[RowView]) -> FormValues:
    """The form of a job from the recipes of its results."""
    first = rows[0]
    runs = []
    for row in rows:
        with suppress(UserError, KeyError, TypeError, ValueError):  # a method that this version does not have
            runs.append(_filled(str(row["method"]), dict(row["settings"])))
    own, options = _mapping(first.get("parameters")), _mapping(first.get("model_options"))
    form = {**_of_runs(runs), "own": own, "options": options}
    names = ("model", "seed", "measured")
    form |= {name: first[name] for name in names if name in first}
    return form | crop_of_row(first)


def crop_of_row(row: RowView) -> FormValues:
    """{"crop": the choice of the square of a recipe}, {} if it states none."""
    crop = _mapping(row.get("crop"))
    with suppress(KeyError, TypeError, ValueError):
        quad = crop.get("quad")
        corners = None if quad is None else tuple((float(x), float(y)) for x, y in quad)
        found = Crop(crop.get("how", "centre"), corners, crop.get("note", ""))  # type: ignore[arg-type]
        return {"crop": _crop(str(row["picture"]), found, None)}
    return {}


def _filled(method: str, settings: Mapping[str, Any]) -> Filled:
    """Raises SettingError."""
    configured = parse_method(method).configured(settings)
    from inversion.methods import preset_of

    return Filled(method, configured.settings(), preset_of(configured))


def _of_runs(runs: Sequence[Filled]) -> FormValues:
    """Methods, stages, preset and what is typed. One custom pipeline fits into a form, so further ones are left out."""
    presets = {run.preset for run in runs if run.preset}
    preset = presets.pop() if len(presets) == 1 else DEFAULT_PRESET
    cards = catalogue.methods(preset)
    methods = [run.method for run in runs if run.method in cards]
    values, stages = {}, {}
    for run in runs:
        if run.method in cards:
            values[run.method] = _changed(cards[run.method], run.settings)
            continue
        stages = {STAGES[key].kind: key for key in run.method.split("+") if key in STAGES}
        values[CUSTOM] = _changed(catalogue.method(run.method), run.settings)
    return {"methods": methods, "typed": values, "stages": stages, "preset": preset}


def _changed(card: MethodCard, settings: Mapping[str, Any]) -> FormValues:
    """The settings that differ from those that the card shows at first."""
    given = {spec.name: settings.get(spec.name, spec.default) for spec in card.fields}
    return {spec.name: given[spec.name] for spec in card.fields if given[spec.name] != spec.default}


def _crop(of: str, crop: Crop, size: tuple[int, int] | None) -> FormValues:
    """The choice of a square as `squares.read_choice` takes it. of: digest of the picture. size: (W, H) if known."""
    if crop.quad is None:  # a note tells that no square was found; the next search gives the same
        return {"of": of} if crop.note else {"of": of, "how": "centre"}
    choice: FormValues = {"of": of, "how": crop.how}
    hand = {"hand": list(square_on(crop.quad, size))} if size is not None and crop.how == "hand" else {}
    return {**choice, "quad": [list(point) for point in crop.quad], **hand}


def analysis_form(kind: str, model: object, seed: object, settings: Mapping[str, Any]) -> FormValues:
    """The form of an analysis: {"kind", "model", "seed", "typed": {kind: what differs from the defaults}}."""
    known = {card.name: card.default for card in catalogue.analysis_fields(kind)}
    changed = {name: value for name, value in settings.items() if name in known and value != known[name]}
    return {"kind": kind, "model": model, "seed": seed, "typed": {kind: changed}}


def translation_form(name: str, models: Sequence[str], seed: object, options: Mapping[str, Any]) -> FormValues:
    """The form of a translation: {"kind", "models", "seed", "variations", "alpha", "mix_layers"}."""
    given = {spec: options[spec] for spec in ("variations", "alpha", "mix_layers") if spec in options}
    return {"kind": name, "models": [*models], "seed": seed, **given}


def typed(value: object) -> FormValues:
    """What was typed into the settings of methods and analyses: known ones, and plain values only."""
    found: FormValues = {}
    for key, fields_of in _mapping(value).items():
        if key in METHODS or key in ANALYSES or key == CUSTOM:
            plain = {name: one for name, one in _mapping(fields_of).items() if _is_plain(one)}
            found[key] = plain
    return found


def _is_plain(value: object) -> bool:
    return isinstance(value, bool) or _is_number(value) or (isinstance(value, str) and len(value) <= MAX_TEXT)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _mapping(value: object) -> Options:
    return {str(key): one for key, one in value.items()} if isinstance(value, Mapping) else {}
