"""The fold of the Edit tab that animates the results: key states of the sliders, and the moving picture of a path."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np
from gradio.blocks import Block
from gradio.components import Component
from PIL import Image

from inversion import images
from inversion.common.errors import UserError
from inversion.directions import DirectionCard
from inversion.editing.animation import State, animated, path_of
from inversion.editing.requests import EditOptions, check_moves
from inversion.editing.timeline import timeline
from inversion.images.video import SECONDS
from inversion.serving.session import JobView, Session
from ui.parts.events import EDITS, PRIVATE
from ui.parts.export import job_name
from ui.parts.inputs import InputError, errors_as_messages, whole
from ui.parts.markup import DOT, READY, problem_list, slot, status_line
from ui.parts.sliders import DirectionSliders, in_region
from ui.parts.streams import Streams, gathered
from ui.parts.values import Update, Value, Values
from ui.parts.views import picture_view
from ui.static import script

FRAMES = (5, 90)  # fewest and most on the page
MAX_STATES = 5  # not more than the fewest frames
TILE, WIDTH = 512, 2048  # pixels: widest picture of a method, and of all side by side
SHOWN_EVERY = 0.5  # seconds
INTRO = """Every method's picture moves along the key states, side by side. Without a key state, it goes from no edit to
the sliders and back."""


class Course(NamedTuple):
    """The key states, and the number of frames of the path along them."""

    states: Sequence[State]
    frames: int


class Animation:
    """Key states, and the moving picture along them; `wire` connects the events."""

    def __init__(self, key: str, session: Session, sliders: DirectionSliders) -> None:
        self.session, self.sliders = session, sliders
        with gr.Accordion("Animate", open=False, elem_id=f"{key}-animate"):
            gr.Markdown(INTRO, elem_classes="note")
            self.states = gr.HTML(
                [],
                rows="",
                html_template=slot("rows"),
                js_on_load=script("key_states"),
                apply_default_css=False,
                elem_id=f"{key}-states",
            )
            with gr.Row(equal_height=True):
                self.add = gr.Button("Add the sliders as a key state", min_width=200, elem_id=f"{key}-add-state")
                self.frames = gr.Slider(*FRAMES, 31, step=1, label="Frames", min_width=200)
            with gr.Row():
                self.go = gr.Button("Animate", variant="primary", min_width=90, elem_id=f"{key}-animate-run")
                self.stop = gr.Button("Cancel", min_width=90, elem_id=f"{key}-animate-cancel")
            self.status = gr.HTML(status_line(READY), elem_id=f"{key}-animate-status")
            self.view = picture_view("animation", f"{key}-animation")
            with gr.Row(elem_classes="animation-files"):
                self.webp = gr.DownloadButton("Download (webp)", size="sm", interactive=False)
                self.mp4 = gr.DownloadButton("Download (mp4)", size="sm", interactive=False)

    def wire(self, job: gr.State, streams: Streams) -> None:
        """Connect the events. job: the state with the key of the job whose results are shown."""
        self.job, self.streams = job, streams
        given: set[Block] = {job, self.states, *self.sliders.inputs()}
        self.add.click(self.added, given, self.states, **EDITS, **PRIVATE)
        self.states.cut(self.cut, {job, self.states}, self.states, **EDITS, **PRIVATE)
        self.go.click(self.run, {*given, self.frames}, self.outputs(), **EDITS, **PRIVATE)
        self.stop.click(self.cancel, None, [self.status], **EDITS, **PRIVATE)

    def outputs(self) -> list[Component]:
        """Components that `cleared` updates."""
        return [self.states, self.status, self.view, self.webp, self.mp4]

    def cleared(self) -> Update:
        """No key states and no animation."""
        files: Update = {button: gr.update(interactive=False) for button in (self.webp, self.mp4)}
        return {self.states: gr.update(value=[], rows=""), self.status: status_line(READY), self.view: None, **files}

    def added(self, values: Values) -> Update:
        """The key states with that of the sliders."""
        with errors_as_messages():
            view, cards = self.sliders.shown(self.session, values[self.job])
            states = [*read_states(cards, values[self.states]), self.sliders.read(cards, values, view.key).moves]
            if len(states) > MAX_STATES:
                raise InputError(f"An animation has at most {MAX_STATES} key states. Remove one first.")
        return {self.states: gr.update(value=states, rows=state_rows(states, cards))}

    def cut(self, values: Values) -> Update:
        """The key states after one was removed."""
        with errors_as_messages():
            _, cards = self.sliders.shown(self.session, values[self.job])
            states = read_states(cards, values[self.states])
        return {self.states: gr.update(value=states, rows=state_rows(states, cards))}

    def cancel(self, request: gr.Request) -> Iterator[Update]:
        """End the animation that is being made: only the newest stream goes on."""
        yield from self.streams.newest(request, iter([{self.status: status_line("Cancelled.")}]), "animation")

    def run(self, values: Values, request: gr.Request) -> Iterator[Update]:
        """Make the moving picture, and show the progress."""
        with errors_as_messages():
            view, cards = self.sliders.shown(self.session, values[self.job])
            options = self.sliders.read(cards, values, view.key)
            states = path_of(read_states(cards, values[self.states]) or [options.moves])
            if not any(strength for state in states for strength in state.values()):
                raise InputError("Move a slider first, or add key states.")
            frames = whole(values[self.frames], "The number of frames", *FRAMES)
            timeline(states, frames)
        yield from self.streams.newest(request, self._gathered(view, options, Course(states, frames)), "animation")

    def _gathered(self, view: JobView, options: EditOptions, course: Course) -> Iterator[Update]:
        """Progress now and then, and the files, which must exist until the last update is sent."""
        with tempfile.TemporaryDirectory() as folder:
            yield from gathered(self._made(view, options, course, Path(folder)), SHOWN_EVERY)

    def _made(self, view: JobView, options: EditOptions, course: Course, folder: Path) -> Iterator[Update]:
        """Progress, then the moving picture of all results that have a code."""
        runs = [(i, run.label, run.image.shape[0]) for i, run in enumerate(view.runs) if run.image is not None]
        side = min(TILE, WIDTH // max(1, len(runs)))
        films: list[list[np.ndarray]] = []
        problems = {}
        for number, (index, label, size) in enumerate(runs):
            move, film = partial(self.session.edits.pictured, view.key, index), []
            try:
                local = in_region(options, view.crop, size)
                for picture in animated(move, local, *course):
                    film.append(at_most(picture, side))
                    text = f"<b>{escape(label)}</b>{DOT}frame {len(film)} of {course.frames}"
                    yield {self.status: status_line(text, (number + len(film) / course.frames) / len(runs))}
            except UserError as error:
                problems[label] = str(error)
            else:
                films.append(film)
        files = self._files(folder / f"{job_name(view)}-animation.webp", films)
        yield {**files, self.status: status_line(problem_list(problems) or "<b>Done</b>", bad=bool(problems))}

    def _files(self, path: Path, films: Sequence[Sequence[np.ndarray]]) -> Update:
        """The films side by side as files."""
        if not films:
            return {}
        written = film_files(path, films)
        buttons = zip((self.webp, self.mp4), written, strict=False)
        return {self.view: str(path), **{one: gr.update(value=str(made), interactive=True) for one, made in buttons}}


def film_files(path: Path, films: Sequence[Sequence[np.ndarray]], seconds: float = SECONDS) -> list[Path]:
    """Write films of uint8 (R, R, 3) side by side as `path`, a WebP, and as MP4 if there is an encoder. The files.

    seconds: of a frame.
    """
    frames, video = [np.concatenate(parts, axis=1) for parts in zip(*films, strict=True)], path.with_suffix(".mp4")
    images.write_webp(path, frames, seconds)
    try:
        images.write_mp4(video, frames, seconds)
    except UserError:  # no encoder: the WebP remains
        return [path]
    return [path, video]


def read_states(cards: Sequence[DirectionCard], value: Value) -> list[State]:
    """The key states that the page sends. Raises InputError or SettingError."""
    if not isinstance(value, list) or not all(isinstance(state, Mapping) for state in value):
        raise InputError('Key states must be a list of objects such as {"yaw": 1.5}.')
    return [check_moves(cards, state) for state in value]


def state_rows(states: Sequence[State], cards: Sequence[DirectionCard]) -> str:
    """The key states as HTML, in words."""
    labels = {card["name"]: card["label"] for card in cards}
    rows = []
    for index, state in enumerate(states):
        words = ", ".join(
            f"<bdi>{escape(labels[name])}</bdi> {strength:+.2f}" for name, strength in state.items() if strength
        )
        rows.append(
            f"<li><span>{words or 'No edit'}</span>"
            f'<button type="button" data-state="{index}" aria-label="Remove key state {index + 1}">Remove</button></li>'
        )
    return f'<ol class="states">{"".join(rows)}</ol>' if rows else ""


def at_most(picture: np.ndarray, side: int) -> np.ndarray:
    """A square picture uint8 (R, R, 3) with at most `side` pixels a side."""
    if picture.shape[0] <= side:
        return picture
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR))
