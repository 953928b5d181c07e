"""Uploads are checked when they arrive, so that a bad file is refused at once and not by a run."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from ui.parts.events import CROPS, PRIVATE, QUIET
from ui.parts.inputs import errors_as_messages
from ui.parts.values import Value


def refuse_bad_files(field: gr.Image | gr.ImageEditor, read: Callable[[Value], object]) -> None:
    """Say at the upload why `read` raises UserError for the field's value, and empty the field.

    An editor's own preprocessing raises, so `read` may do nothing.
    """

    def check(value: Value) -> None:
        if value is not None:
            with errors_as_messages():
                read(value)

    checked = field.upload(check, field, None, **CROPS, **PRIVATE)
    checked.failure(lambda: None, None, field, **QUIET)
