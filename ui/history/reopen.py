"""Puts an earlier run, or what was typed before, into the tab of a task. `static/reopen.js` asks for it.

Fields for pictures are outputs only of events that always give them a value: otherwise Gradio makes them anew, see
`ui.parts.uploads`.

The event has `detail`: {"form": see `form`} after a reload or from a file; {"key": of a run} from the list or a link,
with "run": true to run it again, and "model" or "method" to run it with another one; {"picture": key of a run} for a
form whose picture is that of the run. After a reload, "ran" says that the tab's results are of its picture: "own" if
the browser has kept the picture, "all" if not. The run then gives what the browser has not, such as a painted mask.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component
from gradio.events import Dependency
from gradio.processing_utils import save_file_to_cache
from PIL import Image

from inversion import images
from inversion.common.errors import UserError
from inversion.common.names import safe_name
from inversion.methods import METHODS, preset_of
from inversion.serving import catalogue
from inversion.serving.runs import CroppedPicture, Request
from inversion.serving.session import Session, UnknownJob
from inversion.translations import INPUTS, input_of
from ui.history.form import Form, of_requests
from ui.parts.events import CROPS, PRIVATE, QUIET
from ui.parts.inputs import InputError, errors_as_messages
from ui.parts.masks import FILE, PAINTED
from ui.parts.originals import small_copy
from ui.parts.streams import Streams
from ui.parts.task_fields import MaskField, PictureField, TaskField
from ui.parts.uploads import PictureInput
from ui.parts.values import Options, Update
from ui.static import script

# Events of an opener after which the server fills a field for pictures; `fetched_KIND` fills one for a kind of input.
# The script asks again if an answer is lost: Gradio's page closes its stream of messages when all its events are over,
# and the messages of an event that it sends in that moment wait for the next one.
ASKED: Options = {"trigger_mode": "multiple", **CROPS, **PRIVATE}
EVENTS = ("fetched", "refetched", "fetched_pictures", "fetched_masks")
GONE = "This run is no longer kept."
OTHER_KEEPS = "The picture of this run is no longer kept. Upload it to go on."


def opener(key: str) -> gr.HTML:
    """The component without a look that sends the event, and tells the script when its answer has come."""
    names = [*EVENTS, *(f"fetched_{kind}" for kind in INPUTS)]  # Gradio wants them in the script
    # The key is in the script, because an answer that comes before the component has appeared replaces its properties.
    code = f"const EVENTS = {json.dumps(names)}, TAB = {json.dumps(key)};\n{script('opener')}"
    return gr.HTML("", answered=None, js_on_load=code, elem_id=f"{key}-opener", elem_classes="unseen")


def detail_of(event: gr.EventData) -> Mapping[str, Any]:
    """What an opener asks for: a form, or the key of a run that is shown, run again, or whose picture is taken."""
    return getattr(event, "detail", None) or {}


def filled(event: Dependency, field: Component) -> None:
    """Tell the script when an event has filled a field."""
    event.success(None, js=f"() => {{ window.hub?.arrived({json.dumps(field.elem_id)}); return []; }}", **QUIET)


@dataclass(frozen=True)
class Parts:
    """The components of a tab's input. fields: the task's own, some of which hold pictures."""

    form: Form
    upload: PictureInput
    fields: Sequence[TaskField]
    controls: Mapping[str, Component]


class Reopening:
    """The updates of a tab's input. opener: see `opener`."""

    def __init__(self, session: Session, parts: Parts, component: gr.HTML) -> None:
        self.session, self.parts, self.component = session, parts, component
        self.streams, self._answers = Streams(), 0

    @property
    def pictures(self) -> dict[str, Component]:
        """The task's own fields for pictures and masks, by name."""
        own = {field.card.name for field in self.parts.fields if isinstance(field, MaskField | PictureField)}
        return {name: one for name, one in self.parts.controls.items() if name in own}

    def outputs(self) -> list[Component]:
        """Every component that `restored` may name. Fields for pictures have events of their own: see `uploads`."""
        given = self.parts.form.settings
        own = [one for name, one in self.parts.controls.items() if name not in self.pictures]
        return list(dict.fromkeys([*self.parts.form.parts().values(), *given.menus(), *own, self.component]))

    def wire(self) -> Dependency:
        """Connect the events that put the pictures of a run into their fields. Returns the first one."""
        fetched: Dependency = self.component.fetched(self.picture, None, self.parts.upload.component, **ASKED)
        filled(fetched, self.parts.upload.component)
        if self.pictures:
            own = [*self.pictures.values()]
            filled(self.component.refetched(self.own_pictures, None, own, **ASKED), own[0])
        return fetched

    def restored(self, detail: Mapping[str, Any], before: str | None = None) -> Iterator[Update]:
        """The fields; then the script asks for the pictures if a run is named whose pictures are kept.

        before: key of the tab's results before a reload.
        """
        form = detail.get("form")
        requests: tuple[Request, ...] = ()
        key = detail.get("key") or detail.get("picture")
        if key:
            try:
                requests = self.session.history.requests(str(key))
            except UnknownJob:
                gr.Info(OTHER_KEEPS)
        if detail.get("key") and requests:
            form = {**of_requests(requests), "ran": True}
        ran = detail.get("ran") if before and self.session.history.has(before) else None
        self._answers += 1
        whole = bool(self.pictures and (self._takes_files(form) if ran else detail.get("key") and requests))
        events = {"fetched": self.parts.upload.component.elem_id} if requests or ran == "all" else {}
        events |= {"refetched": next(iter(self.pictures.values())).elem_id} if whole else {}
        asked = before if ran else str(key)
        answer = {"number": self._answers, "form": None, "key": asked if events else None, "events": events}
        if not isinstance(form, Mapping):
            yield {self.component: gr.update(answered=answer)}
            return
        update = self.parts.form.updates(form)
        for field in self.parts.fields if whole else ():
            if isinstance(field, MaskField):
                update |= {self.parts.controls[field.source]: FILE, self.parts.controls[field.invert]: False}
        yield {**update, self.component: gr.update(answered={**answer, "form": form})}
        yield from self._offered(form)

    def _takes_files(self, form: object) -> bool:
        """Whether every mask of a form is painted or from a file, not drawn by the page."""
        own = form.get("own") if isinstance(form, Mapping) else None
        given = own if isinstance(own, Mapping) else {}
        masks = [field for field in self.parts.fields if isinstance(field, MaskField)]
        return all(given.get(field.source, PAINTED) in (PAINTED, FILE) for field in masks)

    def picture(self, event: gr.EventData) -> str:
        """The file of a run's picture. Raises gr.Error."""
        with errors_as_messages():
            request = self.session.history.requests(str(getattr(event, "key", None)))[0]
        name = safe_name(Path(request.name).stem or "picture") + ".png"
        component, pixels = self.parts.upload.component, request.picture
        file = cached_picture(pixels, name, component)
        small = small_copy(Image.fromarray(pixels), Path(file)) if self.parts.upload.paints else None
        return file if small is None else cached_picture(small, name, component)

    def own_pictures(self, event: gr.EventData) -> object:
        """The files of the pictures and masks of a run, in the order of `pictures`. Raises gr.Error."""
        with errors_as_messages():
            request = self.session.history.requests(str(getattr(event, "key", None)))[0]
        files = []
        for name, component in self.pictures.items():
            value = request.inputs.get(name)
            pixels = value.pixels if isinstance(value, CroppedPicture) else value
            files.append(cached_picture(pixels, f"{name}.png", component) if isinstance(pixels, np.ndarray) else None)
        return files if len(files) > 1 else files[0]

    def _offered(self, form: Mapping[str, Any]) -> Iterator[Update]:
        """The methods that the form's model can run, once it is loaded."""
        settings, model = self.parts.form.settings, form.get("model")
        if not isinstance(model, str) or model not in catalogue.models() or self.session.files.missing(str(model)):
            return
        try:
            missing, lacking = self.session.unavailable(str(model))
        except UserError:  # a run with this model will show it
            return
        methods = form.get("methods")
        selected = [key for key in METHODS if isinstance(methods, list) and key in methods]
        offered = settings.offered(missing, lacking, selected, str(model))
        kept = [key for key in selected if key not in missing]
        if kept and any(key in missing for key in settings.selected):  # the page's first answer has changed the choice
            offered[settings.methods] = gr.update(value=kept, rows=settings.menu.rows(missing))
        yield {**offered, **self.parts.form.options(form)}


def cached_picture(pixels: np.ndarray, name: str, component: Component) -> str:
    """A picture or mask as a file with this name, in the cache of the page."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        images.write_png(path, pixels)
        return str(save_file_to_cache(path, component.GRADIO_CACHE))


def changed(requests: Sequence[Request], detail: Mapping[str, Any], history: Session) -> list[Request]:
    """The requests with another model, or one of them with another method. Raises UserError."""
    model, method, first = detail.get("model"), detail.get("method"), requests[0]
    if model:
        if model not in catalogue.models():
            raise InputError("This model is not known. Choose another one.")
        drawn = bool(first.translation) and input_of(first.translation).drawn
        crop = first.crop if drawn or first.crop.how == "hand" else history.crop(first.picture, str(model))
        again = [replace(one, model=str(model), crop=crop, options={}, start=None) for one in requests]
        return again[:1] if first.translation else again
    if method:
        if method not in METHODS or first.analysis or first.translation:
            raise InputError("This method is not known. Choose another one.")
        presets = {preset_of(METHODS[one.method].configured(one.settings)) for one in requests if one.method in METHODS}
        preset = "published" if presets == {"published"} else "quick"
        return [replace(requests[0], method=str(method), settings=METHODS[str(method)].preset(preset))]
    return list(requests)
