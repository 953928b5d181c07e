"""What is kept with the job of a grid, so that it can be shown, filled in and run again later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from PIL import Image

from inversion import images
from inversion.common.rows import Row
from inversion.common.settings import kind_of
from inversion.grids import GridPlan, Layout, Materials, originals
from inversion.images.drawn import DRAWN_MASKS
from inversion.serving.runs import Request
from inversion.serving.session import JobView
from inversion.tasks import task_class
from ui.parts.grid_cells import ShownGrid


def grid_record(plan: GridPlan, form: Mapping[str, Any], pictures: Sequence[str], masks: Sequence[str]) -> Row:
    """The record of a grid as JSON. form: what its fields hold. pictures, masks: names of the files."""
    used = {setup.picture for setup in plan.setups}
    named = {"pictures": [name for name in pictures if name in used], "masks": [*masks]}
    return {"layout": plan.layout.record(), "title": plan.title, "form": dict(form), **named}


def shown_grid(view: JobView, requests: Sequence[Request]) -> ShownGrid:
    """A grid as the page shows it. requests: () if they are no longer kept. Raises GridError if the record is none."""
    layout, title = Layout.of_record(view.about.get("layout"), len(view.runs)), str(view.about.get("title"))
    if requests:
        return ShownGrid(layout, title, *originals(requests))
    one = view.truth is not None and not {"picture", "model"} & {axis.key for axis in layout.axes}
    pictures = [("picture", view.truth)] if one and view.truth is not None else []
    return ShownGrid(layout, title, pictures, [0 if one else None] * len(view.runs))


def pictures_of(requests: Sequence[Request]) -> dict[str, np.ndarray]:
    """The pictures of a grid, uint8 (H, W, 3), by their names."""
    names = dict.fromkeys(one.name for one in requests)
    return {name: next(one.picture for one in requests if one.name == name) for name in names}


def masks_of(plan: GridPlan, requests: Sequence[Request]) -> dict[str, np.ndarray]:
    """The mask files of a grid, uint8 (H, W), by their names. plan: of these requests."""
    found: dict[str, np.ndarray] = {}
    for setup, request in zip(plan.setups, requests, strict=True):
        kinds = {spec.name for spec in fields(task_class(setup.task)) if kind_of(spec) == "mask"}
        for field, name in setup.inputs:
            mask = request.inputs.get(field)
            if field in kinds and name not in DRAWN_MASKS and isinstance(mask, np.ndarray):
                found[str(name)] = mask
    return found


def materials_of(plan: GridPlan, requests: Sequence[Request]) -> Materials:
    """The files of a grid from its requests. plan: of these requests."""
    pictures = {name: images.Decoded(Image.fromarray(one)) for name, one in pictures_of(requests).items()}
    return Materials(pictures, {name: images.packed_png(one) for name, one in masks_of(plan, requests).items()})
