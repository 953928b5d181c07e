"""A task's own fields: controls of its tab and parameters of its endpoint, by the kind of the field."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from html import escape

import gradio as gr
import numpy as np
from gradio.components import Component

from inversion import images
from inversion.align import Crop
from inversion.common.settings import Kind
from inversion.serving.catalogue import FieldCard
from inversion.serving.runs import CroppedPicture, TaskInput
from ui.parts import inputs
from ui.parts.events import CROPS, PRIVATE, QUIET
from ui.parts.inputs import InputError, errors_as_messages
from ui.parts.kept_masks import MaskKeeping
from ui.parts.masks import FILE, PAINTED, SOURCES, MaskFile, chosen_mask, mask_note
from ui.parts.uploads import PictureInput, picture_field
from ui.parts.values import Options, Parameters

Cropper = Callable[[np.ndarray], Crop]  # uint8 (H, W, 3) -> the part of it that is used
SLIDER_STEPS = 100  # a range with more steps gets a number box: a slider would be too coarse


@dataclass(frozen=True)
class Upload:
    """The picture that a run is about, with all that a field may need of it."""

    picture: np.ndarray  # uint8 (H, W, 3)
    painted: np.ndarray  # uint8 (H, W), white where the user has painted
    crop: Crop
    seed: int
    cropper: Cropper  # of further pictures
    notes: list[str] = dataclass_field(default_factory=list)  # on the files, for the user; fields add theirs
    erased: np.ndarray | None = None  # uint8 (H, W), white where the picture is transparent


INVERT = "Invert the mask"


class TaskField(ABC):
    """One field. Controls and parameters have names, by which `read` finds their values."""

    paints = False  # True if the picture is painted on

    def __init__(self, card: FieldCard) -> None:
        self.card = card

    @abstractmethod
    def controls(self, key: str, prefix: str = "") -> dict[str, Component]:
        """Lay out the controls in the tab `key`; choices are shown with the prefix."""

    def wire(self, picture: PictureInput) -> None:  # noqa: B027 - most have none
        """Connect events of the laid out controls. picture: the tab's upload."""

    @abstractmethod
    def parameters(self) -> dict[str, Component]:
        """Components that give the parameters of an endpoint their types and defaults."""

    @abstractmethod
    def read(self, values: Parameters, upload: Upload) -> TaskInput:
        """The value as `Request.inputs` takes it, from values of controls or parameters. Raises UserError."""

    def notes(self) -> dict[str, str]:
        """The parameters in words, by name."""
        card = self.card
        bounds = "" if card.low is None or card.high is None else f", {card.low:g} to {card.high:g}"
        return {card.name: f"{lower_first(card.help or card.label).rstrip('.')}{bounds}."}


class NumberField(TaskField):
    """A number, a word or a yes or no: radio buttons, a slider, a box or a tick."""

    def controls(self, key: str, prefix: str = "") -> dict[str, Component]:
        card = self.card
        common: Options = {"label": card.label, "info": card.help or None, "elem_id": f"{key}-{card.name}"}
        options = card.choices or card.menu
        if options:
            return {card.name: gr.Radio([(f"{prefix}{one}", one) for one in options], value=card.default, **common)}
        if isinstance(card.default, bool):
            return {card.name: gr.Checkbox(card.default, **common)}
        if isinstance(card.default, str):
            return {card.name: gr.Textbox(card.default, **common)}
        low, high, step = card.low, card.high, card.step
        if low is not None and high is not None and step and (high - low) / step <= SLIDER_STEPS:
            return {card.name: gr.Slider(low, high, card.default, step=step, **common)}
        return {card.name: gr.Number(card.default, minimum=low, maximum=high, **common)}

    def parameters(self) -> dict[str, Component]:
        card = self.card
        if card.choices:
            return {card.name: gr.Dropdown(list(card.choices), value=card.default, label=card.name)}
        if isinstance(card.default, bool):
            return {card.name: gr.Checkbox(card.default, label=card.name)}
        if isinstance(card.default, str):
            return {card.name: gr.Textbox(card.default, label=card.name)}
        return {card.name: gr.Number(card.default, label=card.name, minimum=card.low, maximum=card.high)}

    def read(self, values: Parameters, upload: Upload) -> bool | int | float | str:
        card, value = self.card, values[self.card.name]
        if isinstance(card.default, bool | str):
            return value
        bounds = {name: one for name, one in (("low", card.low), ("high", card.high)) if one is not None}
        kind = inputs.whole if isinstance(card.default, int) else inputs.number
        return kind(value, card.label, **bounds)


class MaskField(TaskField):
    """A mask that the user paints on the picture or uploads, or that the page draws."""

    paints = True

    @property
    def source(self) -> str:
        """Name of the control that says where the mask comes from."""
        return self.card.source

    @property
    def invert(self) -> str:
        """Name of the control that marks the other part of a mask from a file."""
        return f"invert_{self.card.name}"

    def controls(self, key: str, prefix: str = "") -> dict[str, Component]:
        card = self.card
        options = [(one.label, source) for source, one in SOURCES.items()]
        self.chosen = gr.Radio(options, value=PAINTED, label=card.label, elem_id=f"{key}-{self.source}")
        self.keeping = MaskKeeping(f"{key}-{card.name}")
        with gr.Column(visible=False, elem_classes="mask-file") as box:
            label = f"{card.label}: {lower_first(card.help).rstrip('.')}" if card.help else card.label
            self.file = picture_field(label, f"{key}-{card.name}", height=180)
            self.tick = gr.Checkbox(False, label=INVERT, elem_id=f"{key}-{self.invert}")
            self.keeping.take.render()
            self.said = gr.HTML(elem_classes="note", elem_id=f"{key}-{card.name}-note")

        def show(chosen: str) -> tuple[object, object]:
            return gr.update(visible=chosen == FILE), gr.update(visible=not SOURCES[chosen].drawn)

        self.chosen.change(show, self.chosen, [box, self.keeping.row], **QUIET)
        return {self.source: self.chosen, card.name: self.file, self.invert: self.tick}

    def wire(self, picture: PictureInput) -> None:
        def check(uploaded: object, path: str | None, inverted: bool) -> str:
            """Refuse a mask that does not fit, and say how it was read."""
            with errors_as_messages():
                shape = None if uploaded is None else picture.picture(uploaded).shape[:2]
                return "" if not path else escape(mask_note(path, shape, inverted))

        given = [picture.component, self.file, self.tick]
        for event in (self.file.upload, self.tick.input):
            checked = event(check, given, self.said, **CROPS, **PRIVATE)
            checked.failure(lambda: (None, ""), None, [self.file, self.said], **QUIET)
        self.file.clear(lambda: "", None, self.said, **QUIET)
        taken = self.keeping.wire(picture, self.chosen, self.file, self.tick)
        taken.success(lambda: (False, ""), None, [self.tick, self.said], **QUIET)

    def parameters(self) -> dict[str, Component]:
        options = [source for source in SOURCES if source != PAINTED]
        file = picture_field(self.card.name, f"api-{self.card.name}")
        source = gr.Dropdown(options, value=FILE, label=self.source)
        return {self.card.name: file, self.source: source, self.invert: gr.Checkbox(False, label=self.invert)}

    def read(self, values: Parameters, upload: Upload) -> np.ndarray:
        path, inverted = values[self.card.name], bool(values[self.invert])
        source, marked = values[self.source], upload.painted
        if upload.erased is not None and (source == PAINTED or (source == FILE and not path)):
            erased = 255 - upload.erased if inverted and source == FILE else upload.erased
            source, marked = PAINTED, np.maximum(marked, erased)
        mask = chosen_mask(source, marked, MaskFile(path, inverted, upload.notes), upload.seed, upload.crop.quad)
        if images.is_unknown(upload.erased, mask):
            upload.notes.append(images.ERASED)
        return mask

    def notes(self) -> dict[str, str]:
        name = self.card.name
        source = f"Where the mask comes from: the file in `{name}`, a centred square, or random strokes."
        file = f"a file; {lower_first(self.card.help)} A layer marks its paint, a photo its transparent part. "
        file += "Without a file, a transparent part of the picture itself is marked."
        return {name: file, self.source: source, self.invert: f"True to mark the other part of `{name}`."}


class PictureField(TaskField):
    """One more picture."""

    def controls(self, key: str, prefix: str = "") -> dict[str, Component]:
        field = picture_field(self.card.label, f"{key}-{self.card.name}", height=240)
        return {self.card.name: field}

    def parameters(self) -> dict[str, Component]:
        return {self.card.name: picture_field(self.card.name, f"api-{self.card.name}")}

    def read(self, values: Parameters, upload: Upload) -> CroppedPicture:
        if not values[self.card.name]:
            raise InputError(f"{self.card.label}: upload a picture.")
        picture, notes = inputs.noted_picture(values[self.card.name])
        upload.notes.extend(notes)
        return CroppedPicture(picture, upload.cropper(picture))


FIELDS: dict[Kind, type[TaskField]] = {"number": NumberField, "mask": MaskField, "picture": PictureField}


def lower_first(text: str) -> str:
    """The text with a small first letter, to follow a colon."""
    return text[:1].lower() + text[1:]
