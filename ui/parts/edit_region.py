"""The fold of the Edit tab that limits edits to a painted region. It stands below the faces, which stay in view."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gradio as gr
import numpy as np
from gradio.blocks import Block
from gradio.components import Component

from inversion.serving.runs import picture_digest
from inversion.serving.session import Session
from ui.parts import inputs
from ui.parts.events import CROPS, EDITS, PRIVATE
from ui.parts.inputs import InputError, errors_as_messages
from ui.parts.sliders import DirectionSliders, Region
from ui.parts.uploads import mask_editor
from ui.parts.values import Options, Update, Values

LOCAL, GLOBAL = "Edit only this region", "Edit the whole picture again"  # the button's text before and after a press
Edit = Callable[[Values, gr.Request], Iterator[Update]]  # edits all results again


class RegionFold:
    """The editor of the region; `wire` connects the events."""

    def __init__(self, key: str, session: Session, sliders: DirectionSliders) -> None:
        self.session, self.sliders = session, sliders
        with gr.Accordion("Edit only a region", open=False, elem_id=f"{key}-local"):
            with gr.Row():
                self.take = gr.Button("Paint on my picture", size="sm", min_width=90, elem_id=f"{key}-local-take")
                self.only = gr.Button(LOCAL, size="sm", min_width=90, elem_id=f"{key}-only")
            self.editor = mask_editor("Paint the region to edit", f"{key}-local-region")

    def wire(self, picture: Block, job: gr.State, edit: Edit, outputs: list[Component]) -> None:
        """Connect the events. picture: the tab's upload. job: that is shown. outputs: of `edit`."""
        self.job, self.edit = job, edit
        self.take.click(uploaded, picture, self.editor, **CROPS, **PRIVATE)
        given: set[Block] = {job, self.editor, *self.sliders.inputs()}
        pressed: Options = {"trigger_mode": "multiple", **EDITS, **PRIVATE}  # also while the edit still runs
        self.only.click(self.limit, given, [*outputs, self.sliders.region], **pressed)

    def outputs(self) -> list[Component]:
        """Components that `cleared` updates."""
        return [self.only]

    def cleared(self) -> Update:
        """The button as it is before a press; a region belongs to the results of one job."""
        return {self.only: LOCAL}

    def limit(self, values: Values, request: gr.Request) -> Iterator[Update]:
        """Limit the edits to the painted region, or if they are limited, do not limit them any more."""
        region_state = self.sliders.region
        with errors_as_messages():
            view, region = self.session.snapshot(values[self.job] or ""), values[region_state]
            if region is not None and region.job == view.key:
                region = None
            else:
                picture, mask = painted_region(values[self.editor])
                if picture_digest(picture) != view.picture:
                    raise InputError("The painted picture is not that of the results. Press Paint on my picture.")
                region = Region(view.key, mask)
        yield {region_state: region, self.only: LOCAL if region is None else GLOBAL}
        yield from self.edit({**values, region_state: region}, request)


def uploaded(path: str | None) -> np.ndarray:
    """The upload as a picture to paint on, uint8 (H, W, 3). Raises gr.Error."""
    with errors_as_messages():
        return inputs.picture(path)


def painted_region(painted: tuple[np.ndarray, np.ndarray] | None) -> tuple[np.ndarray, np.ndarray]:
    """Picture uint8 (H, W, 3) and mask uint8 (H, W) of an editor. Raises InputError without a picture or a mask."""
    if painted is None:
        raise InputError("Press Paint on my picture first, then paint a region.")
    picture, mask = painted[:2]
    if not mask.any():
        raise InputError("No region is painted. Paint over a part of your picture.")
    return picture, mask
