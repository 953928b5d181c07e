"""The endpoint /combine: the combinations of two pictures of the tab Edit for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import gradio as gr
from gradio.components import Component

from inversion.common.errors import UserError
from inversion.editing import DIFFUSION
from inversion.editing.requests import MAX_FRAMES, MIN_FRAMES
from inversion.images.sheets import Tile
from inversion.serving import catalogue
from inversion.serving.edits import Place
from inversion.serving.runs import Request
from inversion.serving.session import JobView
from inversion.tasks import DEFAULT_TASK
from ui.parts import inputs
from ui.parts.combine import COMBINATIONS, Joiner, mixture, strip, with_published_settings
from ui.parts.context import PageContext
from ui.parts.endpoint import LAST, Answer, Endpoint, job_answers, script_requests, sheet_file
from ui.parts.export import PictureFiles, rows
from ui.parts.inputs import MAX_LAYERS, errors_as_messages
from ui.parts.task_fields import FIELDS, MaskField, PictureField, TaskField
from ui.parts.uploads import picture_field
from ui.parts.values import Parameters

SUMMARY = (
    "Combine two pictures: a path from one to the other, a mixture of their layers, or a region of one in the other."
)
NOTES = {
    "second": "The other picture.",
    "kind": "interpolate, mix (coarse layers of the picture, fine ones of the second), or diffuse (its marked region).",
    "pictures": f"How many pictures an interpolation has, {MIN_FRAMES} to {MAX_FRAMES}.",
    "layer": "First layer that mix takes from the second picture.",
}
EVENTS = """Every event has rows: one object per method and picture, with its figures, settings and state. The last
event has pictures, one per method (interpolate: side by side), and a sheet of them."""
SHARED = ("methods", "model", "seed", "settings", "budget")


def combine_endpoint(context: PageContext, common: Mapping[str, Component]) -> Endpoint:
    """The endpoint. common: parameters that endpoints share."""
    own = [field for field in _fields() if not isinstance(field, PictureField)]
    masks = [field for field in own if isinstance(field, MaskField)]
    parameters: dict[str, Component] = {
        "picture": common["picture"],
        "second": picture_field("second", "api-second"),
        "kind": gr.Dropdown(list(COMBINATIONS), value=next(iter(COMBINATIONS)), label="kind"),
        **{name: common[name] for name in SHARED},
        "pictures": gr.Number(7, label="pictures", minimum=MIN_FRAMES, maximum=MAX_FRAMES),
        "layer": gr.Number(7, label="layer", minimum=1, maximum=MAX_LAYERS),
        **{name: part for field in masks for name, part in field.parameters().items()},
        **{name: common[name] for name in LAST if name != "start"},
        # Last, because scripts may give parameters by position.
        **{name: part for field in own if field not in masks for name, part in field.parameters().items()},
    }
    notes = {name: note for field in own for name, note in field.notes().items()}

    def run(values: Parameters) -> Iterator[Answer]:
        with errors_as_messages():
            if not values["second"]:
                raise inputs.InputError("second: give another picture.")
            if values["kind"] == "diffuse":
                requests, join = _diffusion(context, values), None
            else:
                requests, join = _both(context, values), _joiner(context, values)
            key = context.session.submit(requests)
        finish = partial(_finish, context, join)
        yield from job_answers(context.session, key, finish, lambda view, files: Answer(rows(view), [], None))

    return Endpoint("combine", SUMMARY, parameters, run, {**NOTES, **notes}, EVENTS)


def _fields() -> list[TaskField]:
    """The fields of the task that blends a region."""
    return [FIELDS[card.kind](card) for card in catalogue.task(DIFFUSION.task).fields]


def _both(context: PageContext, values: Parameters) -> list[Request]:
    """The methods on the first picture, then on the second one. Raises UserError."""
    pair = [{**values, "picture": values[name]} for name in ("picture", "second")]
    return [one for given in pair for one in script_requests(context, DEFAULT_TASK, [], given)]


def _diffusion(context: PageContext, values: Parameters) -> list[Request]:
    """The methods on the marked region. Raises UserError."""
    fields = _fields()
    seconds = {field.card.name: values["second"] for field in fields if isinstance(field, PictureField)}
    requests = script_requests(context, DIFFUSION.task, fields, {**values, **seconds})
    return [with_published_settings(request) for request in requests]


def _joiner(context: PageContext, values: Parameters) -> Joiner:
    """The function that joins two results. Raises InputError."""
    if values["kind"] == "mix":
        return partial(mixture, context.session, inputs.whole(values["layer"], "layer", 1, MAX_LAYERS))
    return partial(strip, context.session, inputs.whole(values["pictures"], "pictures", MIN_FRAMES, MAX_FRAMES))


def _finish(context: PageContext, join: Joiner | None, view: JobView, files: PictureFiles) -> Answer:
    """The combinations of a job that is over. join: joins its two halves run by run; None: each run is one."""
    table, pictures, tiles = rows(view), [], []
    half = len(view.runs) // (1 if join is None else 2)
    for i, run in enumerate(view.runs[:half]):
        if run.image is None or view.runs[i + len(view.runs) - half].image is None:
            continue
        try:
            made = run.image if join is None else join(Place(view.key, i), Place(view.key, half + i))
        except UserError as error:
            table[i] |= {"state": "failed", "message": str(error)}
            continue
        pictures.append((files.path(f"combined-{i}", made), run.label))
        tiles.append(Tile(run.label, "", made))
    return Answer(table, pictures, sheet_file(tiles, files))
