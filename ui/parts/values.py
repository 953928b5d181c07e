"""Names for the values that pass between Gradio and the page. Gradio leaves their types open, so `Any` stands here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradio.blocks import Block

Value = Any  # of a component or of a parameter: its type depends on the component
Values = Mapping[Block, Value]  # what an event gets: component -> its value
Update = dict[Block, Value]  # what an event returns: component -> its new value, or what `gr.update` returns
Parameters = Mapping[str, Value]  # what an endpoint gets: name of the parameter -> its value
Options = dict[str, Any]  # keyword arguments of components, events and requests
