"""Combinations of two pictures: a path from one to the other, a mixture by layers, a region of one in the other."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np
from gradio.blocks import Block

from inversion.align import Crop
from inversion.common.errors import UserError
from inversion.editing import DIFFUSION
from inversion.methods.keep import KeepCode
from inversion.serving import catalogue
from inversion.serving.edits import Place
from inversion.serving.runs import CroppedPicture, picture_digest
from inversion.serving.session import JobView, Request, Session, UnknownJob
from inversion.tasks import DEFAULT_TASK
from ui.parts import inputs
from ui.parts.animation import at_most, film_files
from ui.parts.context import PageContext
from ui.parts.edit_region import painted_region, uploaded
from ui.parts.events import CROPS, DEVICE, PRIVATE, QUIET
from ui.parts.export import PictureFiles
from ui.parts.framing import Framing, Source
from ui.parts.inputs import MAX_LAYERS, InputError, errors_as_messages, whole
from ui.parts.markup import READY, job_status, problem_list, status_line
from ui.parts.settings import Settings
from ui.parts.streams import Streams
from ui.parts.uploads import examples_strip, mask_editor, picture_field
from ui.parts.values import Options, Update, Values
from ui.parts.views import pictures_view

PLACE, TITLE = "edit-pair", "Combine two pictures"  # of its jobs: key and label
FRAMES = (3, 15)  # fewest and most pictures of a strip
FILM_SIDE, FILM_SECONDS = 512, 2.0  # of an animation: widest picture of a method, and its length there and back
Joiner = Callable[[Place, Place], np.ndarray]  # two results -> picture uint8 (H, W, 3)


class LastCombination(NamedTuple):
    """The last combination: the tab's job, the name of the second picture, and the job that was started.

    first and second are "" if the job does not invert the second picture.
    """

    first: str
    second: str
    job: str


class Combine:
    """The fold of the Edit tab; `wire` connects it with the tab."""

    def __init__(self, context: PageContext) -> None:
        self.context = context
        context.own_jobs.tabs[PLACE] = TITLE
        self.last = gr.State(None)  # a LastCombination
        with gr.Accordion(TITLE, open=False, elem_id="edit-pair"):
            with gr.Row(equal_height=False):
                with gr.Column(min_width=240):
                    self.second = picture_field("Second picture", "edit-second-picture", height=240)
                    self.second_crop = Framing("edit-second-picture", context.session)
                    examples_strip(context.examples, self.second, "edit-second-examples")
                with gr.Column(min_width=240):
                    first, *_ = COMBINATIONS
                    kinds = [(one.label, key) for key, one in COMBINATIONS.items()]
                    self.kind = gr.Radio(kinds, value=first, label="How to combine them", elem_id="edit-pair-kind")
                    self.note = gr.HTML(COMBINATIONS[first].note, elem_classes="note")
                    self.boxes: dict[str, gr.Column] = {}
                    for key, one in COMBINATIONS.items():
                        with gr.Column(visible=key == first) as self.boxes[key]:
                            one.controls(self)
                    with gr.Row():
                        self.go = gr.Button("Combine", variant="primary", elem_id="edit-pair-run", min_width=90)
                        self.stop = gr.Button("Cancel", elem_id="edit-pair-cancel", min_width=90)
            self.status = gr.HTML(status_line(READY), elem_id="edit-pair-status")
            self.gallery = pictures_view("Combinations", "edit-pair-gallery", columns=1)
            with gr.Row(elem_classes="animation-files"):
                self.webp = gr.DownloadButton(
                    "Animation (webp)", size="sm", interactive=False, elem_id="edit-pair-webp"
                )
                self.mp4 = gr.DownloadButton("Animation (mp4)", size="sm", interactive=False)

    def strip_controls(self) -> None:
        """Lay out the options of a strip."""
        self.frames = gr.Slider(*FRAMES, 7, step=1, label="Pictures in the strip")

    def mixture_controls(self) -> None:
        """Lay out the options of a mixture."""
        self.start = gr.Number(7, label="First layer of the second picture", precision=0, minimum=1, maximum=MAX_LAYERS)

    def region_controls(self) -> None:
        """Lay out the editor that marks a region."""
        self.take = gr.Button("Paint on my picture", size="sm", elem_id="edit-take")
        self.region = mask_editor("Paint the region to transplant", "edit-region")

    def wire(
        self,
        picture: Block,
        settings: Settings,
        crop: Framing,
        job: gr.State,
        streams: Streams,
    ) -> None:
        """Connect the events.

        picture: the tab's upload. job: the state with the key of the job whose results are shown.
        """
        self.settings, self.crop, self.job, self.streams = settings, crop, job, streams
        self.kind.change(
            lambda kind: [COMBINATIONS[kind].note, *(gr.update(visible=key == kind) for key in self.boxes)],
            self.kind,
            [self.note, *self.boxes.values()],
            **QUIET,
        )
        self.take.click(uploaded, picture, self.region, **CROPS, **PRIVATE)
        given: set[Block] = {job, self.last, self.second, self.kind, self.frames, self.start, self.region}
        given |= settings.inputs() | crop.inputs() | self.second_crop.inputs()
        self.second_crop.wire(Source(self.second, inputs.picture, settings.model))
        given.add(self.context.own_jobs.owner)
        outputs: list[Block] = [*self.outputs(), self.last, self.context.own_jobs.timer]
        self.go.click(self.run, given, outputs, **DEVICE, **PRIVATE)
        self.stop.click(self.cancel, self.last, None, **QUIET)

    def outputs(self) -> list[gr.components.Component]:
        """Components that `cleared` updates."""
        return [self.status, self.gallery, self.webp, self.mp4]

    def cleared(self) -> Update:
        """Updates that remove all combinations."""
        return {self.status: status_line(READY), self.gallery: None, **self._no_film()}

    def _no_film(self) -> Update:
        """No animation."""
        return {button: gr.update(interactive=False) for button in (self.webp, self.mp4)}

    def cancel(self, last: LastCombination | None) -> None:
        """Cancel the job of the last combination, if it is still running."""
        with suppress(UnknownJob):
            self.context.session.cancel("" if last is None else last.job)

    def run(self, values: Values, request: gr.Request) -> Iterator[Update]:
        """Combine the pictures, and show the progress and the results."""
        with errors_as_messages():
            if not values[self.second]:
                raise InputError("Upload a second picture first, paste one, or choose an example.")
            second = inputs.picture(values[self.second])
        made = COMBINATIONS[values[self.kind]].run(self, values, second)
        yield from self.streams.newest(request, made, "pair")

    def interpolate(self, values: Values, second: np.ndarray) -> Iterator[Update]:
        """A strip uint8 (R, frames R, 3) for every method, from its result to that of `second`, uint8 (H, W, 3)."""
        with errors_as_messages():
            frames = whole(values[self.frames], "The number of pictures", *FRAMES)
        yield from self._join(values, second, partial(strip, self.context.session, frames), frames)

    def mix(self, values: Values, second: np.ndarray) -> Iterator[Update]:
        """Both results and their mixture, uint8 (R, 3 R, 3), for every method. second: uint8 (H, W, 3)."""
        with errors_as_messages():
            start = whole(values[self.start], "The layer", 1, MAX_LAYERS)
        yield from self._join(values, second, partial(mixture, self.context.session, start))

    def transplant(self, values: Values, second: np.ndarray) -> Iterator[Update]:
        """Put the painted region into the second picture, uint8 (H, W, 3); shows uint8 (R, 2 R, 3) for every method."""
        session, model = self.context.session, values[self.settings.model]
        with errors_as_messages():
            picture, mask = painted_region(values[self.region])
            context = CroppedPicture(second, self.second_crop.crop(second, model, values))
            fields: Options = {"picture": picture, "crop": self.crop.crop(picture, model, values)}
            names = {card.kind: card.name for card in catalogue.task(DIFFUSION.task).fields}
            fields["inputs"] = {names["mask"]: mask, names["picture"]: context}
            requests = self.settings.requests(values, fields, DIFFUSION.task)
            key = self._submit([with_published_settings(request) for request in requests], values)
        yield {self.last: LastCombination("", "", key), **self.context.own_jobs.started()}
        yield from self._follow(key)
        view = session.snapshot(key)
        results = [
            (run.label, np.concatenate([view.measured, run.image], axis=1))
            for run in view.runs
            if run.image is not None and view.measured is not None
        ]
        yield from self._show(view, results, {})

    def _join(self, values: Values, second: np.ndarray, join: Joiner, frames: int = 0) -> Iterator[Update]:
        """Join every method's results for the two pictures. frames: of strips."""
        session = self.context.session
        with errors_as_messages():
            first = session.snapshot(values[self.job] or "")
            crop = self.second_crop.crop(second, first.model, values)
            key = self.inverted(first, CroppedPicture(second, crop), values)
        yield {self.last: LastCombination(first.key, name_of(second, crop), key), **self.context.own_jobs.started()}
        yield from self._follow(key)
        view, joined, problems = session.snapshot(key), [], {}
        for j, i in enumerate(finished(first)):
            if view.runs[j].image is None:
                continue
            try:
                joined.append((view.runs[j].label, join(Place(first.key, i), Place(key, j))))
            except UserError as error:
                problems[view.runs[j].label] = str(error)
        yield from self._show(view, joined, problems, frames)

    def inverted(self, first: JobView, second: CroppedPicture, values: Values) -> str:
        """Key of a job that inverts the second picture by the methods of the first job.

        The job of the last combination is used again if its results are still stored. Raises UserError.
        """
        session, last = self.context.session, values[self.last]
        name = name_of(second.pixels, second.crop)
        if last is not None and (last.first, last.second) == (first.key, name):
            with suppress(UnknownJob):  # expired
                states = [run.state for run in session.snapshot(last.job).runs]
                for j in range(len(states)):
                    session.stored_result(last.job, j)
                if set(states) == {"done"}:
                    return last.job
        for i in finished(first):  # marks them as used, so that the new job's results do not replace them
            with suppress(UnknownJob):
                session.stored_result(first.key, i)
        return self._submit(requests_like(first, second), values)

    def _submit(self, requests: Sequence[Request], values: Values) -> str:
        """Key of a job that this browser sees in the line of its jobs. Raises UserError."""
        owner = values[self.context.own_jobs.owner] or ""
        place = f"{values[self.job] or ''} {PLACE}"
        return self.context.session.submit(requests, owner=owner, place=place, listed=False)

    def _follow(self, key: str) -> Iterator[Update]:
        """Progress of the job. That it is done is said with the pictures, by `_show`."""
        for view in self.context.session.follow(key, every=0.5):
            made = view.over and any(run.image is not None for run in view.runs)
            yield {self.status: status_line("<b>Combining</b>", 1.0) if made else job_status(view)}

    def _show(
        self, view: JobView, results: list[tuple[str, np.ndarray]], problems: Mapping[str, str], frames: int = 0
    ) -> Iterator[Update]:
        """Show (caption, picture), and the end of the job or the problems by method. frames: of strips."""
        with tempfile.TemporaryDirectory() as folder:
            files = PictureFiles(folder)
            items = [(files.path(f"pair-{i}", picture), caption) for i, (caption, picture) in enumerate(results)]
            end = status_line(problem_list(problems), bad=True) if problems else job_status(view)
            yield {
                self.gallery: items,
                self.status: end,
                **self._no_film(),
                **self._film(results, frames, Path(folder)),
            }

    def _film(self, results: Sequence[tuple[str, np.ndarray]], frames: int, folder: Path) -> Update:
        """The strips of all methods as an animation there and back. frames: of each strip; 0: they are no strips."""
        if not frames or not results:
            return {}
        films = [[at_most(one, FILM_SIDE) for one in np.split(row, frames, axis=1)] for _, row in results]
        there_and_back = [film + film[-2:0:-1] for film in films]
        written = film_files(folder / "interpolation.webp", there_and_back, FILM_SECONDS / (2 * frames - 2))
        buttons = zip((self.webp, self.mp4), written, strict=False)
        return {button: gr.update(value=str(path), interactive=True) for button, path in buttons}


@dataclass(frozen=True)
class Combination:
    """A way to combine two pictures.

    controls: lays out its options. run: updates, from the values of the page and the second picture uint8 (H, W, 3).
    """

    label: str
    note: str
    controls: Callable[[Combine], None]
    run: Callable[[Combine, Values, np.ndarray], Iterator[Update]]


COMBINATIONS: dict[str, Combination] = {
    "interpolate": Combination(
        "Interpolate",
        "The same methods invert the second picture. The strip goes from your picture to the second one.",
        Combine.strip_controls,
        Combine.interpolate,
    ),
    "mix": Combination(
        "Mix styles",
        "The mixture takes the coarse layers of your picture and the fine layers of the second one.",
        Combine.mixture_controls,
        Combine.mix,
    ),
    "diffuse": Combination(
        "Transplant a region",
        "Paint a region of your picture. The methods blend it into the second picture.",
        Combine.region_controls,
        Combine.transplant,
    ),
}


def name_of(picture: np.ndarray, crop: Crop) -> str:
    """A name that differs for every picture uint8 (H, W, 3) and every crop of it."""
    return f"{picture_digest(picture)} {crop.quad}"


def finished(view: JobView) -> list[int]:
    """Indices of the runs with a result."""
    return [i for i, run in enumerate(view.runs) if run.state in ("done", "cancelled") and run.row is not None]


def strip(session: Session, frames: int, first: Place, second: Place) -> np.ndarray:
    """Pictures side by side, from one result to another; uint8 (R, frames R, 3). Raises UserError."""
    return np.concatenate(session.edits.interpolate(first, second, frames), axis=1)


def mixture(session: Session, start: int, first: Place, second: Place) -> np.ndarray:
    """Both results and their mixture side by side; uint8 (R, 3 R, 3). Raises UserError."""
    ends = [session.stored_result(*place).image for place in (first, second)]
    return np.concatenate([*ends, session.edits.mix(first, second, start)], axis=1)


def requests_like(first: JobView, second: CroppedPicture) -> list[Request]:
    """The finished methods of a job on another picture. Raises InputError if there are none."""
    runs = [first.runs[i] for i in finished(first)]
    if not runs:
        raise InputError("Run the methods on your picture first.")
    requests = []
    for run in runs:
        row = run.row or {}
        common: Options = {"settings": row["settings"], "seed": row["seed"], "budget": run.budget}
        common["options"] = row.get("model_options", {})
        # A code that was opened came without a method for other pictures.
        method = "wplus" if run.method == KeepCode.key else run.method
        requests.append(Request(DEFAULT_TASK, method, second.pixels, first.model, crop=second.crop, **common))
    return requests


def with_published_settings(request: Request) -> Request:
    """In-Domain's requests get the settings that its authors use for diffusion, unless the user has set others."""
    request = replace(request, start=None)  # a code to start from is one of the tab's own picture
    if (request.task, request.method) != (DIFFUSION.task, DIFFUSION.method):
        return request
    return replace(request, settings={**DIFFUSION.settings, **request.settings})
