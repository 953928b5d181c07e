"""Checks values from the page or from a script, and says in plain words what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np

from inversion import images
from inversion.common.echo import without_echo
from inversion.common.errors import UserError

NO_PICTURE = "Upload a picture first, paste one, or choose an example."
GONE = "The picture has expired. Upload it again."
MAX_SEED = 2**31 - 1
MAX_LAYERS = 64  # more than any generator has


class InputError(UserError):
    """Something is missing or does not fit; the text says what to do."""


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """Show errors whose text is for the user as messages on the page. Do not keep it open across a yield."""
    try:
        yield
    except UserError as error:
        # Gradio shows messages as HTML, and the text may quote the user.
        raise gr.Error(escape(without_echo(sentence(error)), quote=False), duration=12, print_exception=False) from None


def sentence(error: UserError) -> str:
    """The text of an error with a capital letter, unless it begins with the name of a file or of a setting."""
    text = str(error)
    first = text.split(" ")[0]
    return first.capitalize() + text[len(first) :] if first.isalpha() else text


def picture(path: str | None) -> np.ndarray:
    """The uploaded file as uint8 (H, W, 3). Raises InputError or BadImage."""
    return noted_picture(path)[0]


def noted_picture(path: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The uploaded file as uint8 (H, W, 3), and notes for the user. Raises InputError or BadImage."""
    decoded = decoded_picture(path)
    return np.asarray(decoded.picture), decoded.notes


def decoded_picture(path: str | None) -> images.Decoded:
    """The uploaded file. Raises InputError or BadImage."""
    if not path:
        raise InputError(NO_PICTURE)
    return images.decode(existing(path))


def existing(path: str) -> str:
    """The path of an upload. Raises InputError if the file has been deleted, as happens after about an hour."""
    if not Path(path).exists():
        raise InputError(GONE)
    return path


def whole(value: float | None, name: str, low: float = 0, high: float = MAX_SEED) -> int:
    """A whole number between low and high, or InputError naming the control."""
    if value is None or value != value or not float(value).is_integer() or not low <= value <= high:
        raise InputError(f"{name} must be a whole number between {low:g} and {high:.10g}.")
    return int(value)


def number(value: float | None, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A number between low and high, or InputError naming the control."""
    if value is None or not low <= value <= high:  # also refuses nan
        raise InputError(f"{name} must be a number between {low:g} and {high:g}.")
    return float(value)
