"""Puts an earlier run, or what was typed before, into the tab of a task. `static/reopen.js` asks for it.

The event has `detail`: {"form": see `form`} after a reload or from a file; {"key": of a run} from the list or a link,
with "run": true to run it again, and "model" or "method" to run it with another one; {"picture": key of a run} for a
form whose picture is that of the run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component

from inversion import images
from inversion.common.errors import UserError
from inversion.common.names import safe_name
from inversion.methods import METHODS, preset_of
from inversion.serving import catalogue
from inversion.serving.runs import CroppedPicture, Request
from inversion.serving.session import Session, UnknownJob
from ui.history.form import Form, of_requests
from ui.parts.inputs import InputError
from ui.parts.masks import FILE
from ui.parts.streams import Streams
from ui.parts.task_fields import MaskField, PictureField, TaskField
from ui.parts.uploads import PictureInput
from ui.parts.values import Update
from ui.static import script

GONE = "This run is no longer kept."
OTHER_KEEPS = "The picture of this run is no longer kept. Upload it to go on."


def opener(key: str) -> gr.HTML:
    """The component without a look that sends the event, and tells the script when its answer has come."""
    return gr.HTML(
        "", tab=key, answered=None, js_on_load=script("opener"), elem_id=f"{key}-opener", elem_classes="unseen"
    )


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

    def outputs(self) -> list[Component]:
        """Every component that `restored` may name."""
        given = self.parts.form.settings
        pictures = [one for one in self.parts.controls.values() if isinstance(one, gr.Image)]
        own = [*self.parts.form.parts().values(), *given.menus(), self.parts.upload.component, *pictures]
        return list(dict.fromkeys([*own, self.component]))

    def restored(self, detail: Mapping[str, Any]) -> Iterator[Update]:
        """The fields, and the picture if a run is named whose picture is kept. Raises gr.Error."""
        form = detail.get("form")
        requests: tuple[Request, ...] = ()
        key = detail.get("key") or detail.get("picture")
        if key:
            try:
                requests = self.session.history.requests(str(key))
            except UnknownJob:
                gr.Info(OTHER_KEEPS)
        if detail.get("key") and requests:
            form = of_requests(requests)
        if not isinstance(form, Mapping):
            yield {self.component: self._answer(None)}
            return
        update = self.parts.form.updates(form)
        with tempfile.TemporaryDirectory() as folder:
            if requests:
                update |= self._pictures(requests[0], Path(folder), whole=bool(detail.get("key")))
            yield {**update, self.component: self._answer(form)}
        yield from self._offered(form)

    def _answer(self, form: Mapping[str, Any] | None) -> object:
        """Tell the script that the fields have got this form."""
        self._answers += 1
        return gr.update(answered={"number": self._answers, "form": form})

    def _pictures(self, request: Request, folder: Path, whole: bool) -> Update:
        """The picture of a run, and if `whole` those of the task's own fields, as files."""
        name = safe_name(Path(request.name).stem or "picture") + ".png"
        images.write_png(folder / name, request.picture)
        update: Update = {self.parts.upload.component: str(folder / name)}
        for field in self.parts.fields if whole else ():
            value = request.inputs.get(field.card.name)
            pixels = value.pixels if isinstance(value, CroppedPicture) else value
            if not isinstance(pixels, np.ndarray) or not isinstance(field, MaskField | PictureField):
                continue
            path = folder / f"{field.card.name}.png"
            images.write_png(path, pixels)
            update[self.parts.controls[field.card.name]] = str(path)
            if isinstance(field, MaskField):
                update[self.parts.controls[field.source]] = FILE
                update[self.parts.controls[field.invert]] = False
        return update

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


def changed(requests: Sequence[Request], detail: Mapping[str, Any], history: Session) -> list[Request]:
    """The requests with another model, or one of them with another method. Raises UserError."""
    model, method = detail.get("model"), detail.get("method")
    if model:
        if model not in catalogue.models():
            raise InputError("This model is not known. Choose another one.")
        first = requests[0]
        crop = first.crop if first.crop.how == "hand" else history.crop(first.picture, str(model))
        return [replace(one, model=str(model), crop=crop, options={}, start=None) for one in requests]
    if method:
        if method not in METHODS:
            raise InputError("This method is not known. Choose another one.")
        presets = {preset_of(METHODS[one.method].configured(one.settings)) for one in requests if one.method in METHODS}
        preset = "published" if presets == {"published"} else "quick"
        return [replace(requests[0], method=str(method), settings=METHODS[str(method)].preset(preset))]
    return list(requests)
