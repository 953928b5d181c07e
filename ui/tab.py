"""What a task's tab is: its words, its own controls, and how their values become a request."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr
import numpy as np

from inversion.align import Crop
from inversion.serving.catalogue import MethodCard, ModelCard, TaskCard
from inversion.serving.session import Session
from ui.parts import inputs
from ui.parts.uploads import picture_field

Cropper = Callable[[np.ndarray], Crop]  # uint8 (H, W, 3) -> the part of it that is used


@dataclass(frozen=True)
class Desk:
    """What every tab needs to know."""

    session: Session
    methods: Mapping[str, MethodCard]
    models: Mapping[str, ModelCard]
    tasks: Mapping[str, TaskCard]
    examples: Sequence[Path]  # pictures to try


class Tab(ABC):
    """One task's page. A new one is a subclass in a file of its own and a line in `ui.TABS`."""

    key: ClassVar[str]  # of the task, unless `task` says another; also the tab's id in element ids
    label: ClassVar[str]
    intro: ClassVar[str]
    methods: ClassVar[tuple[str, ...]] = ("w", "mganprior")  # chosen when the page opens
    task: ClassVar[str] = ""  # that its runs are of; "": `key`
    measured: ClassVar[str] = ""  # label of the checkbox for pictures that already are the measurement; "": no such box

    @abstractmethod
    def controls(self, desk: Desk) -> dict[str, Any]:
        """Lay out the picture input, under the name "picture", and the task's own controls."""

    @abstractmethod
    def picture(self, values: Mapping[str, Any]) -> np.ndarray:
        """The uploaded picture, uint8 (H, W, 3). Raises InputError or BadImage."""

    @abstractmethod
    def read(self, values: Mapping[str, Any], seed: int, crop: Cropper) -> dict[str, Any]:
        """Fields of a Request (picture, crop, mask, ...) from the controls' values. Raises InputError or BadImage."""


class PictureTab(Tab):
    """A tab whose input is a picture alone."""

    def controls(self, desk: Desk) -> dict[str, gr.components.Component]:
        return {"picture": picture_field("Picture", f"{self.key}-picture"), **self.more_controls(desk)}

    def more_controls(self, desk: Desk) -> dict[str, gr.components.Component]:
        """Controls below the picture."""
        return {}

    def picture(self, values: Mapping[str, Any]) -> np.ndarray:
        return inputs.picture(values["picture"])

    def read(self, values: Mapping[str, Any], seed: int, crop: Cropper) -> dict[str, Any]:
        picture = self.picture(values)
        return {"picture": picture, "crop": crop(picture)}
