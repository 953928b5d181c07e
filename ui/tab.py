"""What a task's tab is: its words, its own controls, and how their values become a request."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr

from inversion.catalogue import MethodCard, ModelCard, TaskCard
from inversion.session import Session
from ui import inputs
from ui.uploads import picture_field


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

    key: ClassVar[str]  # of the task; also the tab's id in element ids
    label: ClassVar[str]
    intro: ClassVar[str]
    methods: ClassVar[tuple[str, ...]] = ("w", "mganprior")  # chosen when the page opens
    measured: ClassVar[str] = ""  # label of the checkbox for pictures that already are the measurement; "": no such box

    @abstractmethod
    def controls(self, desk: Desk) -> dict[str, Any]:
        """Lay out the picture input, under the name "picture", and the task's own controls."""

    @abstractmethod
    def read(self, values: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Fields of a Request (picture, mask, factor) from the controls' values. Raises InputError or BadImage."""


class PictureTab(Tab):
    """A tab whose input is a picture alone."""

    def controls(self, desk: Desk) -> dict[str, gr.components.Component]:
        return {"picture": picture_field("Picture", f"{self.key}-picture"), **self.more_controls(desk)}

    def more_controls(self, desk: Desk) -> dict[str, gr.components.Component]:
        """Controls below the picture."""
        return {}

    def read(self, values: Mapping[str, Any], seed: int) -> dict[str, Any]:
        return {"picture": inputs.picture(values["picture"])}
