"""Endpoints for scripts, and the parameters and answers that all runs of methods share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np
from gradio.components import Component

from inversion.common.rows import Row
from inversion.common.settings import split_settings
from inversion.images.sheets import Tile, sheet
from inversion.methods import PRESETS, parse_method
from inversion.serving import catalogue
from inversion.serving.measurement import AUTOMATIC_CROPS
from inversion.serving.session import JobView, Request, Session, UnknownJob
from ui.parts import inputs
from ui.parts.arguments import SCALAR, check, naming, uploaded
from ui.parts.codes import START_NOTE, read_start
from ui.parts.context import PageContext
from ui.parts.export import PictureFiles, export, result_names, rows
from ui.parts.fields import DEFAULT_PRESET
from ui.parts.inputs import InputError
from ui.parts.model_fields import model_notes, model_parameters, read_parameters
from ui.parts.settings import requests
from ui.parts.task_fields import TaskField, Upload
from ui.parts.uploads import picture_field
from ui.parts.values import Options, Parameters, Value


class Answer(NamedTuple):
    """One event of an endpoint. pictures: files with captions. sheet: the file of a comparison sheet, at the end."""

    rows: list[Row]
    pictures: list[tuple[str | None, str]]
    sheet: str | None


Finish = Callable[[JobView, PictureFiles], Answer]  # an answer, such as the last one of a job that is over

# Parameters that several endpoints share, a sentence each.
NOTES = {
    "picture": "A picture: JPEG, PNG, WebP, GIF, TIFF, BMP or AVIF.",
    "methods": 'Keys such as "w", "wplus", "mganprior" or "pti", or stages joined by +.',
    "model": "Name of the generator.",
    "seed": f"A whole number from 0 to {inputs.MAX_SEED}; the same seed gives the same result.",
    "preset": "quick, or published for the steps and rates of the papers; `settings` changes single values.",
    "settings": '{"stage.field": value} for the methods that have the stage.',
    "budget": "Seconds for each method.",
    "measured": "True if the picture is already the input to the methods (grey, small, ...). It has no scores then.",
    **model_notes(),
    "start": START_NOTE,
    "align": "The part that is used: auto (the face for models of aligned faces, else the centre), face or centre.",
}
LAST = (*model_notes(), "align", "start", "preset")  # names of the last parameters of endpoints that run methods
MAX_NAMES = 64  # in a list of names; a repeated name counts
RUN_EVENTS = """Every event has rows (one object per method, with its figures, settings and state) and pictures (with
captions, in the order of the methods that have one). The last event also has a comparison sheet."""


@dataclass(frozen=True)
class Endpoint:
    """A named function for scripts. Its name and the names of its parameters are public: do not change them.

    inputs: components by the name of the parameter, for types and defaults; the first one has to be given. run: values
    by the name of the parameter -> answers. notes: on parameters that are not in NOTES. task: of the runs if the
    endpoint serves exactly one task, else "".
    """

    name: str
    summary: str
    inputs: Mapping[str, Component]
    run: Callable[[Parameters], Iterator[Answer]]
    notes: Mapping[str, str]
    events: str = RUN_EVENTS
    task: str = ""

    def checked(self, values: Sequence[Value]) -> list[Value]:
        """The arguments of a call as Gradio may read them. Raises InputError for the first one that does not fit."""
        if len(values) != len(self.inputs):
            names = ", ".join(self.inputs)
            raise InputError(f"{self.name} takes {len(self.inputs)} arguments, not {len(values)}: {names}.")
        return [self._checked(name, value) for name, value in zip(self.inputs, values, strict=True)]

    def _checked(self, name: str, value: Value) -> Value:
        part = self.inputs[name]
        if value is None and getattr(part, "value", None) is None:
            return None
        if isinstance(part, gr.Image | gr.File):
            return uploaded(name, value)
        check(name, self.schema(name), value)
        return value

    def schema(self, name: str) -> Options:
        """The JSON schema of a parameter. A number whose default is whole is a whole number."""
        part = self.inputs[name]
        if isinstance(part, gr.Number):
            # `precision=0` would round 1.5 instead of refusing it
            kind = "integer" if isinstance(part.value, int) or name == "mix_layers" else "number"
            bounds = {"minimum": part.minimum, "maximum": part.maximum}
            return {"type": kind, **{key: bound for key, bound in bounds.items() if bound is not None}}
        if name == "model":  # the menu is as old as the page
            return {"type": "string", "enum": list(catalogue.models())}
        if isinstance(part, gr.JSON):
            return {"type": "object", "additionalProperties": SCALAR}
        if isinstance(part, gr.Dropdown) and part.multiselect:  # other names are allowed, such as stages joined by +
            known = [{"type": "string", "enum": [value for _, value in part.choices]}] if part.choices else []
            return {"type": "array", "items": {"anyOf": [*known, {"type": "string"}]}, "maxItems": MAX_NAMES}
        return part.api_info()

    @property
    def sentences(self) -> dict[str, str]:
        """Every parameter in words."""
        notes = {**NOTES, **self.notes}
        return {name: notes[name][:1].upper() + notes[name][1:] for name in self.inputs}

    @property
    def description(self) -> str:
        """Summary, a line per parameter, and the events."""
        lines = "".join(f"    {name}: {sentence}\n" for name, sentence in self.sentences.items())
        return f"{self.summary}\n\n{lines}\n{self.events}\n"


def common_inputs(context: PageContext) -> dict[str, Component]:
    """The parameters that several endpoints share. `LAST` come last in every endpoint."""
    longest = context.session.budget
    return {
        "picture": picture_field("picture", "api-picture"),
        "methods": gr.Dropdown(
            list(context.methods), value=["w", "wplus"], multiselect=True, allow_custom_value=True, label="methods"
        ),
        "model": gr.Dropdown(list(context.models), value=context.model, allow_custom_value=True, label="model"),
        "seed": gr.Number(0, label="seed", minimum=0, maximum=inputs.MAX_SEED),
        "settings": gr.JSON({}, label="settings"),
        "budget": gr.Number(min(120.0, longest), label="budget", minimum=min(1, longest), maximum=longest),
        "measured": gr.Checkbox(False, label="measured"),
        **model_parameters(),
        "align": gr.Dropdown(list(AUTOMATIC_CROPS), value="auto", label="align"),
        "start": gr.File(label="start", type="filepath"),  # any ending: its reader says what the file is
        "preset": gr.Dropdown(list(PRESETS), value=DEFAULT_PRESET, label="preset"),
    }


def script_requests(context: PageContext, task: str, fields: Sequence[TaskField], values: Parameters) -> list[Request]:
    """One request per method from the values of an endpoint's parameters. Raises UserError."""
    session, model = context.session, values["model"]
    decoded = inputs.decoded_picture(values["picture"])
    picture = np.asarray(decoded.picture)
    seed = inputs.whole(values["seed"], "seed")
    crop = session.crop(picture, model, values["align"])
    cropper, unmarked = partial(session.crop, model=model), np.zeros(picture.shape[:2], np.uint8)
    upload = Upload(picture, unmarked, crop, seed, cropper, [*decoded.notes], decoded.erased)
    common = {
        "picture": picture,
        "model": model,
        "inputs": {field.card.name: field.read(values, upload) for field in fields},
        "notes": tuple(upload.notes),
        "seed": seed,
        "measured": values.get("measured", False),
        "options": read_parameters(values),
        "budget": inputs.number(values["budget"], "budget", 1, session.budget),
        "crop": crop,
        "start": read_start(values.get("start")),
    }
    with naming("methods"):
        stages = session.stages(list(dict.fromkeys(values["methods"])))
    preset = values.get("preset", DEFAULT_PRESET)
    with naming("settings"):
        given = split_settings(stages, values["settings"])
    return requests(task, [(key, parse_method(key).changed(preset, one)) for key, one in given.items()], common)


def job_answers(
    session: Session, key: str, finish: Finish | None = None, during: Finish | None = None
) -> Iterator[Answer]:
    """Answers while a job goes on; the last one has a comparison sheet, or is made by `finish`. during: the others."""
    with tempfile.TemporaryDirectory() as folder:
        files = PictureFiles(folder)
        try:
            for view in session.follow(key, every=0.5):
                made = (finish if view.over else during) or _answer
                yield made(view, files)
        except BaseException:  # the script has left or cannot get the answer; a page could come back to its job
            with suppress(UnknownJob):
                session.cancel(key)
            raise


def _answer(view: JobView, files: PictureFiles) -> Answer:
    names = {i: name.removesuffix(".png") for i, name in result_names(view).items()}
    pictures = [(files.path(name, view.runs[i].image), view.runs[i].label) for i, name in names.items()]
    exported = export(view, Path(files.folder)) if view.over else None
    return Answer(rows(view), pictures, None if exported is None else str(exported.sheet))


def sheet_file(tiles: Sequence[Tile], files: PictureFiles) -> str | None:
    """The file of a comparison sheet, None without pictures."""
    return files.path("sheet", np.asarray(sheet(tiles))) if tiles else None
