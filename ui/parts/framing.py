"""Below an upload: the square that is used is drawn on the picture before a run, and can be corrected there by hand.

`static/framing.js` draws the square. The component's value is the user's choice, see `squares.read_choice`. The server
writes two properties: `found` (the square of a picture and a line about it), then `domain` (whether the model knows
such pictures), both as plain data.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TypedDict

import gradio as gr
import numpy as np
from gradio.components import Component
from gradio.events import Dependency

from inversion.align import Crop
from inversion.checkpoints.registry import registry
from inversion.common.errors import UserError
from inversion.editing.domain import DomainAnswer, DomainRequest, known_domains
from inversion.methods import METHODS
from inversion.serving.runs import picture_digest
from inversion.serving.session import Session
from ui.parts import inputs
from ui.parts.events import FRAMING, PRIVATE
from ui.parts.markup import data_address
from ui.parts.squares import Choice, chosen_crop, line_about, read_choice, square_on
from ui.parts.streams import Streams
from ui.parts.values import Options, Update, Value, Values
from ui.static import script, template

THUMBNAIL = 480  # larger side in pixels of a picture that is shown again because the square cannot be drawn on it
KEPT = 256  # crops that were shown
KNOWN = "The model knows pictures like this."


class FoundSquare(TypedDict, total=False):
    """The property `found`: the square of a picture, and a line about it."""

    of: str  # digest of the picture
    answer: int  # the answers of a framing, counted
    thumbnail: str | None  # a small copy as a data address
    bad: bool  # `line` is a problem
    by_hand: bool  # the square is the person's own
    line: str
    square: tuple[float, float, float, float]  # as `align.by_hand` takes it
    size: list[int]  # width and height in pixels
    faces: int
    face: int  # the number of the face, 1 for the largest


class DomainLine(TypedDict, total=False):
    """The property `domain`: whether the model knows pictures like this, and a button that helps if it does not."""

    of: str  # digest of the picture
    inside: bool
    text: str
    model: str | None  # one that fits better
    methods: list[str]  # keys of methods that reach such pictures
    button: str


@dataclass(frozen=True)
class Source:
    """Components that a framing looks at.

    picture: the upload. read: its value -> uint8 (H, W, 3), may raise UserError. model: a menu whose value is a model
    or a list of models. examples: the strip for the upload, and paths: of its pictures. measured: a tick box; a picture
    that is already the input to the methods is not one that a model could know. put: events after which the server has
    put a picture into the upload.
    """

    picture: Component
    read: Callable[[Value], np.ndarray]
    model: Component
    examples: gr.Dataset | None = None
    measured: Component | None = None
    paths: Sequence[Path] = ()
    put: Sequence[Callable[..., Dependency]] = ()


class Framing:
    """The component; `crop` reads it.

    upload: id of the upload's element. outside: methods that are suggested if the model does not know the picture;
    (): do not say whether it does.
    """

    def __init__(self, upload: str, session: Session, outside: Sequence[str] = ()) -> None:
        self.session, self.outside = session, tuple(outside)
        self.streams, self.answers = Streams(), count(1)
        self._shown: OrderedDict[tuple[str, str, Choice], Crop] = OrderedDict()  # by picture, model and choice
        self._lock = Lock()
        self.component = gr.HTML(
            {},
            found=False,
            domain=False,
            restored=None,  # the choice of an earlier run, as of `read_choice`
            html_template=template("framing"),
            js_on_load=script("framing"),
            apply_default_css=False,
            elem_id=f"{upload}-framing",
            elem_classes="framing",
        )

    def inputs(self) -> set[Component]:
        """Every component that `crop` reads."""
        return {self.component}

    def crop(self, picture: np.ndarray, model: str, values: Values) -> Crop:
        """The chosen part of uint8 (H, W, 3), as it was shown. Raises UserError."""
        choice = read_choice(values[self.component], picture)
        with self._lock:
            shown = self._shown.get((picture_digest(picture), model, choice))
        return chosen_crop(self.session, picture, model, choice) if shown is None else shown

    def wire(self, source: Source) -> Dependency:
        """Look at the picture when it, the model or the choice changes. Returns the event that changes the model."""
        # An editor's `change` means strokes, and it would send the picture each time.
        paints = isinstance(source.picture, gr.ImageEditor)
        names = ("upload", "clear") if paints else ("change",)
        events = [*(getattr(source.picture, name) for name in names), source.model.change]  # type: ignore[attr-defined]
        given = [source.model, self.component]
        if source.measured is not None:
            given.append(source.measured)
            events.append(source.measured.input)  # type: ignore[attr-defined]

        def look(request: gr.Request, value: Value, *values: Value) -> Iterator[Update]:
            yield from self.streams.newest(request, self.look(lambda: source.read(value), paints, *values))

        def take(request: gr.Request, index: int, *values: Value) -> Iterator[Update]:
            path = str(source.paths[index])
            yield from self.streams.newest(request, self.look(lambda: inputs.picture(path), paints, *values))

        options: Options = {"trigger_mode": "multiple", **FRAMING, **PRIVATE}
        gr.on(events, look, [source.picture, *given], self.component, **options)
        self.component.placed(look, [source.picture, *given], self.component, **options)
        if paints and source.examples is not None:
            source.examples.click(take, [source.examples, *given], self.component, **options)
        for event in source.put if paints else ():  # other uploads tell of it by `change`
            event(look, [source.picture, *given], self.component, **options)
        switched: Dependency = self.component.switched(self.better, None, source.model, **options)
        return switched

    def look(
        self, read: Callable[[], np.ndarray], thumbnail: bool, model: object, value: object, measured: bool = False
    ) -> Iterator[Update]:
        """Updates: the square of the picture and a line about it, then whether the model knows such pictures.

        read: gives uint8 (H, W, 3). thumbnail: send a small copy as well. model: a name or a list of names. value: of
        the component. measured: the picture is already the input to the methods.
        """
        used = model[0] if isinstance(model, list) and model else model
        try:
            picture = read()
            choice = read_choice(value, picture)
        except UserError:  # no picture, or the upload's own event says what is wrong with it
            yield self._update(found=False, domain=False)
            return
        name, entry = str(used), registry().get(str(used))
        of = picture_digest(picture)
        found: FoundSquare = {"of": of, "answer": next(self.answers), "thumbnail": None, "bad": False}
        found["by_hand"] = choice.hand is not None
        if thumbnail:
            found["thumbnail"] = data_address(picture, THUMBNAIL)
        try:
            crop = chosen_crop(self.session, picture, name, choice)
        except UserError as error:
            crop = Crop()
            found |= {"line": str(error), "bad": True}
        else:
            found["line"] = line_about(crop, picture, entry)
            self._remember((of, name, choice), crop)
        found["square"] = square_on(crop.quad, (picture.shape[1], picture.shape[0]))
        found |= {"size": [picture.shape[1], picture.shape[0]], "faces": len(crop.faces), "face": crop.number}
        yield self._update(found=found, domain=False)
        if self.outside and not measured and entry is not None and entry.domain in known_domains():
            with suppress(UserError):  # the model is not downloaded, or the server is busy: a run will say so
                yield self._update(
                    domain=domain_line(self.session.ask(DomainRequest(name, picture, crop, self.outside)), of)
                )

    def _remember(self, which: tuple[str, str, Choice], crop: Crop) -> None:
        """Keep a crop for `crop`, which need not look for the face again, and uses no detector that came meanwhile."""
        with self._lock:
            self._shown[which] = crop
            while len(self._shown) > KEPT:
                self._shown.popitem(last=False)

    @staticmethod
    def better(event: gr.EventData) -> Value:
        """The model that the page asks for, if it is one that can fit better."""
        model = getattr(event, "model", None)
        return model if model in [known.model for known in known_domains().values()] else gr.skip()

    def _update(self, **properties: Value) -> Update:
        return {self.component: gr.update(**properties)}


def domain_line(answer: DomainAnswer, of: str) -> DomainLine | None:
    """The answer about the picture with the digest `of` as the page shows it; None if the model has no measure."""
    if answer.score is None:
        return None
    if answer.inside:
        return {"of": of, "inside": True, "text": KNOWN}
    line: DomainLine = {"of": of, "inside": False, "text": answer.text, "model": answer.better}
    line["methods"] = [] if answer.better else list(answer.methods)
    if answer.better:
        label = next(known.label for known in known_domains().values() if known.model == answer.better)
        line["button"] = f"Use the {label}"
    elif answer.methods:
        line["button"] = f"Select {', '.join(METHODS[key].label for key in answer.methods)}"
    return line
