"""The endpoint for translations: one pass of an encoder for a script."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence

import gradio as gr
import numpy as np
from gradio.components import Component

from inversion.align import Crop
from inversion.analysis import Shown
from inversion.images.sheets import Tile
from inversion.serving.session import JobView, LaneError, Request, Session
from inversion.tasks import DEFAULT_TASK
from inversion.translations import TRANSLATIONS, TranslationOptions, input_of
from ui.parts import inputs
from ui.parts.drawing import MAX_VARIATIONS, read_options
from ui.parts.endpoint import Answer, Endpoint, sheet_file
from ui.parts.export import PictureFiles, rows
from ui.parts.inputs import MAX_LAYERS, InputError, errors_as_messages
from ui.parts.values import Options, Parameters

SUMMARY = "Turn a drawing, label map or photo into pictures, in one pass of an encoder."
NOTES = {
    "kind": f"one of {', '.join(TRANSLATIONS)}.",
    "variations": f"number of pictures, 1 to {MAX_VARIATIONS}: the main result and variations with random fine styles.",
    "alpha": "how different the variations are, 0 to 1.",
    "mix_layers": "the first varied layer.",
}
EVENTS = "The event has rows (one object), pictures (the encoder's input, then the results), and a sheet of them."


def translate_endpoint(key: str, session: Session, common: Mapping[str, Component]) -> Endpoint:
    """The endpoint `key` of a session. common: parameters that endpoints share."""
    parameters: dict[str, Component] = {
        "picture": common["picture"],
        "kind": gr.Dropdown(list(TRANSLATIONS), value=next(iter(TRANSLATIONS)), label="kind"),
        "model": common["model"],
        "seed": common["seed"],
        "variations": gr.Number(1, label="variations", minimum=1, maximum=MAX_VARIATIONS),
        "alpha": gr.Number(1.0, label="alpha", minimum=0, maximum=1),
        "mix_layers": gr.Number(TranslationOptions.mix_layers, label="mix_layers", minimum=0, maximum=MAX_LAYERS),
        "align": common["align"],
    }

    def answers(values: Parameters) -> Iterator[Answer]:
        with errors_as_messages():
            options = read_options(**{key: values[key] for key in ("variations", "alpha", "mix_layers", "seed")})
            name, picture, notes = _given(values)
            model = values["model"]
            crop = Crop() if input_of(name).drawn else session.crop(picture, model, values["align"])
            given: Options = {"translation": name, "seed": options.seed, "crop": crop, "notes": notes}
            given |= {"settings": {one: getattr(options, one) for one in ("variations", "alpha", "mix_layers")}}
            key = session.submit([Request(DEFAULT_TASK, name, picture, model, **given)])
        for view in session.follow(key):
            if not view.over:
                continue
            with errors_as_messages():
                shown = pictures_in(view)
            with tempfile.TemporaryDirectory() as folder:
                files = PictureFiles(folder)
                pictures = [(files.path(f"{name}-{i}", one.pixels), one.title) for i, one in enumerate(shown)]
                tiles = [Tile(one.title, name if i else "", one.pixels) for i, one in enumerate(shown)]
                yield Answer(rows(view), pictures, sheet_file(tiles, files))

    return Endpoint(key, SUMMARY, parameters, answers, NOTES, EVENTS)


def pictures_in(view: JobView) -> Sequence[Shown]:
    """The pictures of a translation that is over: the encoder's input, then the results. Raises LaneError."""
    [run] = view.runs
    if run.report is None:
        raise LaneError(run.message)
    return run.report.pictures


def _given(values: Parameters) -> tuple[str, np.ndarray, tuple[str, ...]]:
    """Name of the translation, picture uint8 (H, W, 3) and notes on its file. Raises UserError."""
    name, path = values["kind"], values["picture"]
    if not path:
        raise InputError(inputs.NO_PICTURE)
    decoded = input_of(name).decode(inputs.existing(path))
    return name, np.asarray(decoded.picture), decoded.notes
