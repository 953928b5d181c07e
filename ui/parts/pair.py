"""What two pictures can become: a way from one to the other, a mixture by layers, one with a part of the other."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np
from gradio.blocks import Block

from inversion.common.errors import UserError
from inversion.editing import DIFFUSION
from inversion.serving.lane import CroppedPicture
from inversion.serving.session import JobView, Request, Session, UnknownJob
from ui.parts import inputs
from ui.parts.crop import CropBox
from ui.parts.export import Shown
from ui.parts.inputs import MOST_LAYERS, InputError, explained, whole
from ui.parts.markup import READY, job_status, listed, status_line
from ui.parts.settings import Settings
from ui.parts.streams import Streams, Update
from ui.parts.uploads import examples_strip, mask_editor, picture_field
from ui.parts.workbench import LANE, PRIVATE
from ui.tab import Desk

KINDS = [("Interpolate", "interpolate"), ("Mix styles", "mix"), ("Put a region in", "diffuse")]
WORDS = {
    "interpolate": "The second picture is inverted by the same methods; the strip goes from your picture to it.",
    "mix": "Coarse layers of your picture, the others of the second one: a strip of both and the mixture.",
    "diffuse": "Paint a region: it goes into the second picture, and the methods chosen make a face of both.",
}
FIRST = "interpolate"
FRAMES = (3, 15)


class Pair:
    """Lays the fold out when made; to be wired with `wire`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.other = gr.State(None)  # of the second picture: the first job, a digest, the job that inverts it
        with gr.Accordion("With a second picture", open=False, elem_id="edit-pair"):
            with gr.Row(equal_height=False):
                with gr.Column(min_width=240):
                    self.second = picture_field("Second picture", "edit-second-picture", height=240)
                    examples_strip(desk.examples, self.second, "edit-second-examples")
                with gr.Column(min_width=240):
                    self.kind = gr.Radio(KINDS, value=FIRST, label="What to make of both", elem_id="edit-pair-kind")
                    self.words = gr.HTML(WORDS[FIRST], elem_classes="note")
                    with gr.Column() as of_strip:
                        self.frames = gr.Slider(*FRAMES, 7, step=1, label="Pictures in the strip")
                    with gr.Column(visible=False) as of_mix:
                        self.start = gr.Number(
                            7, label="Styles of the second picture from layer", precision=0, minimum=1,
                            maximum=MOST_LAYERS,
                        )  # fmt: skip
                    with gr.Column(visible=False) as of_region:
                        self.take = gr.Button("Paint on my picture", size="sm", elem_id="edit-take")
                        self.region = mask_editor("Paint the region to put in", "edit-region")
                    self.boxes = {"interpolate": of_strip, "mix": of_mix, "diffuse": of_region}
                    with gr.Row():
                        self.go = gr.Button("Make it", variant="primary", elem_id="edit-pair-run", min_width=90)
                        self.stop = gr.Button("Cancel", elem_id="edit-pair-cancel", min_width=90)
            self.status = gr.HTML(status_line(READY), elem_id="edit-pair-status")
            self.gallery = gr.Gallery(
                label="Made of both",
                show_label=False,
                format="png",
                columns=1,
                object_fit="contain",
                height="auto",
                interactive=False,
                elem_id="edit-pair-gallery",
            )

    def wire(
        self, picture: gr.components.Component, settings: Settings, crop: CropBox, job: gr.State, streams: Streams
    ) -> None:
        """picture: the tab's own upload; job: the state with the key of the job whose results are shown."""
        self.picture, self.settings, self.crop, self.job, self.streams = picture, settings, crop, job, streams
        quiet: dict[str, Any] = {"queue": False, **PRIVATE}
        self.kind.change(
            lambda kind: [WORDS[kind], *(gr.update(visible=key == kind) for key in self.boxes)],
            self.kind,
            [self.words, *self.boxes.values()],
            **quiet,
        )
        self.take.click(self._take, picture, self.region, **quiet)
        given: set[Block] = {picture, job, self.other, self.second, self.kind, self.frames, self.start, self.region}
        given |= settings.inputs() | crop.inputs()
        outputs: list[Any] = [self.status, self.gallery, self.other]
        self.go.click(self._go, given, outputs, show_progress_on=self.status, **LANE, **PRIVATE)
        self.stop.click(self._cancel, self.other, None, **quiet)

    def outputs(self) -> list[gr.components.Component]:
        """What `closed` names."""
        return [self.status, self.gallery]

    def closed(self) -> dict[Any, Any]:
        """Nothing made of both pictures yet."""
        return {self.status: status_line(READY), self.gallery: None}

    @staticmethod
    def _take(path: str | None) -> np.ndarray:
        """The tab's picture, to be painted on."""
        with explained():
            return inputs.picture(path)

    def _cancel(self, other: list[str] | None) -> None:
        if other is None:
            gr.Info("Nothing is running here.")
            return
        with explained():
            self.desk.session.cancel(other[-1])

    def _go(self, values: dict[Any, Any], request: gr.Request) -> Iterator[Update]:
        with explained():
            if not values[self.second]:
                raise InputError("Give a second picture first: upload one, paste one, or take an example.")
            second = inputs.picture(values[self.second])
        make = self._diffuse if values[self.kind] == "diffuse" else self._join
        yield from self.streams.newest(request, make(values, second), "pair")

    def _diffuse(self, values: Mapping[Any, Any], second: np.ndarray) -> Iterator[Update]:
        """Put the painted region into the second picture."""
        session, model = self.desk.session, values[self.settings.model]
        with explained():
            fields: dict[str, Any] = region(values[self.region])
            fields["crop"] = self.crop.crop(fields["picture"], model, values)
            fields["inputs"]["context"] = CroppedPicture(second, session.crop(second, model))
            key = session.submit([as_published(r) for r in self.settings.requests(values, fields, "diffuse")])
        yield {self.other: ["", "", key]}
        yield from self._follow(key)
        view = session.snapshot(key)
        parts = [
            (run.label, np.concatenate([view.measured, run.image], axis=1))
            for run in view.runs
            if run.image is not None and view.measured is not None
        ]
        yield from self._show(parts, {})

    def _join(self, values: Mapping[Any, Any], second: np.ndarray) -> Iterator[Update]:
        """Interpolate or mix every method's results of the two pictures."""
        session, mixes = self.desk.session, values[self.kind] == "mix"
        with explained():
            first = session.snapshot(values[self.job] or "")
            frames = whole(values[self.frames], "The number of pictures", *FRAMES)
            start = whole(values[self.start], "The layer", 1, MOST_LAYERS)
            key = self._inverted(first, second, values[self.other])
        yield {self.other: [first.key, digest(second), key]}
        yield from self._follow(key)
        view, strips, problems = session.snapshot(key), [], {}
        for j, i in enumerate(done(first)):
            if view.runs[j].image is None:
                continue
            label, ends = view.runs[j].label, ((first.key, i), (key, j))
            try:
                made = mixture(session, *ends, start) if mixes else strip(session, *ends, frames)
            except UserError as error:
                problems[label] = str(error)
            else:
                strips.append((label, made))
        yield from self._show(strips, problems)

    def _inverted(self, first: JobView, second: np.ndarray, other: list[str] | None) -> str:
        """The job that inverts the second picture as the first one was; the one before where that still serves."""
        if other is not None and other[:2] == [first.key, digest(second)]:
            try:
                runs = self.desk.session.snapshot(other[2]).runs
                for j in range(len(runs)):
                    self.desk.session.kept(other[2], j)
                if all(run.state == "done" for run in runs):
                    return other[2]
            except UnknownJob:  # it has expired, or newer jobs have pushed its results out
                pass
        for i in done(first):  # looked at now, so that the new job's results do not push these out
            with suppress(UnknownJob):
                self.desk.session.kept(first.key, i)
        crop = self.desk.session.crop(second, first.model)
        requests = []
        for run in (first.runs[i] for i in done(first)):
            row = run.row or {}
            requests.append(
                Request(
                    task="reconstruct",
                    method=run.method,
                    picture=second,
                    model=first.model,
                    settings=row["settings"],
                    seed=row["seed"],
                    budget=run.budget,
                    crop=crop,
                )
            )
        if not requests:
            raise InputError("Run the methods on your picture first.")
        return self.desk.session.submit(requests)

    def _follow(self, key: str) -> Iterator[Update]:
        for view in self.desk.session.follow(key, every=0.5):
            yield {self.status: job_status(view)}

    def _show(self, parts: list[tuple[str, np.ndarray]], problems: Mapping[str, str]) -> Iterator[Update]:
        """The pictures, and what went wrong with others."""
        with tempfile.TemporaryDirectory() as folder:
            shown = Shown(folder)
            items = [(shown.path(f"pair-{i}", picture), caption) for i, (caption, picture) in enumerate(parts)]
            update: Update = {self.gallery: items}
            if problems:
                update[self.status] = status_line(listed(problems), bad=True)
            yield update


def done(view: JobView) -> list[int]:
    """Indices of the runs with a result."""
    return [i for i, run in enumerate(view.runs) if run.state in ("done", "cancelled") and run.row is not None]


def strip(session: Session, first: tuple[str, int], second: tuple[str, int], frames: int) -> np.ndarray:
    """Pictures side by side, from one result to another; uint8 (R, frames R, 3)."""
    return np.concatenate(session.edits.interpolate(first, second, frames), axis=1)


def mixture(session: Session, first: tuple[str, int], second: tuple[str, int], start: int) -> np.ndarray:
    """Both results and their mixture side by side; uint8 (R, 3 R, 3)."""
    pictures = [session.kept(*first).image, session.kept(*second).image, session.edits.mix(first, second, start)]
    return np.concatenate(pictures, axis=1)


def region(painted: tuple[np.ndarray, np.ndarray] | None) -> dict[str, Any]:
    """Request fields of a picture and what is painted on it. Raises InputError."""
    if painted is None:
        raise InputError("Press Paint on my picture first, then paint the region to put in.")
    picture, mask = painted
    if not mask.any():
        raise InputError("No region is painted: paint over the part of your picture to put in.")
    return {"picture": picture, "inputs": {"mask": mask}}


def as_published(request: Request) -> Request:
    """In-Domain's requests with the settings that its authors diffuse with, unless the user said otherwise."""
    method, settings = DIFFUSION
    return replace(request, settings={**settings, **request.settings}) if request.method == method else request


def digest(picture: np.ndarray) -> str:
    """Tells pictures apart."""
    return hashlib.sha256(picture.tobytes()).hexdigest()[:16]
