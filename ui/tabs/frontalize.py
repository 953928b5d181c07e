"""The tab that turns a face to the front: a translation of the tab for sketches in a place where users look for it."""

from __future__ import annotations

from typing import ClassVar

from ui.tabs.sketch import Sketch


class Frontalize(Sketch):
    """A photo of a turned face becomes its frontal view."""

    key: ClassVar[str] = "frontalize"
    label: ClassVar[str] = "Frontalise"
    takes_pictures: ClassVar[bool] = True
    intro: ClassVar[str] = "An encoder turns a face to the front in one pass. Variations keep its shapes."
    first: ClassVar[str] = "Upload a turned face or choose an example, then press Make pictures."
    only: ClassVar[str] = "frontalize"
