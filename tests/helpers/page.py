"""Calls of the page's endpoints by a script, and tabs that are laid out outside the page."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio_client import Client, handle_file
from PIL import Image

from helpers.serving import Served
from inversion.serving import catalogue
from ui.parts.context import PageContext
from ui.parts.own_jobs import OwnJobs
from ui.tabs import Tab

FEW = {"w.steps": 3, "wplus.steps": 3}
W = {"methods": ["w"], "settings": {"w.steps": 3}}
# Inputs that an endpoint needs besides a picture.
REQUIRED: dict[str, dict[str, Any]] = {"inpaint": {"hole": "centre"}, "edit": {"moves": {"yaw": 1}}}
PARAMETERS = ["picture", "methods", "model", "seed", "settings", "budget"]
ENDPOINTS = {
    "/reconstruct": [*PARAMETERS, "label", "align"],
    "/colorize": [*PARAMETERS, "measured", "label", "align"],
    "/superres": [*PARAMETERS, "measured", "factor", "label", "align"],
    "/inpaint": [*PARAMETERS, "measured", "mask", "hole", "invert_mask", "label", "align"],
    "/denoise": [*PARAMETERS, "measured", "sigma", "label", "align"],
    "/edit": [*PARAMETERS, "moves", "layers", "keep", "label", "align"],
    "/sketch": ["picture", "kind", "model", "seed", "variations", "alpha", "mix_layers", "align"],
    "/compare": [
        "picture",
        "task",
        *PARAMETERS[1:],
        "measured",
        "factor",
        "mask",
        "hole",
        "invert_mask",
        "sigma",
        "label",
        "align",
    ],
}
T = TypeVar("T", bound=Tab)


def call(client: Client, name: str, picture: Path | None, **parameters: Any) -> tuple[list[Any], list[Any], str | None]:  # noqa: ANN401
    """Call an endpoint; returns its last event."""
    given = {"methods": ["w", "wplus"], "settings": FEW, **parameters}
    return client.predict(picture=handle_file(picture) if picture else None, api_name=name, **given)


def opened(path: str) -> Image.Image:
    """The picture in a file."""
    with Image.open(path) as image:
        image.load()
        return image


def answer(url: str, data: bytes | None = None, **headers: str) -> int:
    """HTTP status of a request."""
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 - our own server
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def laid_out(kind: type[T], site: Served) -> T:
    """A tab of the page, laid out again outside the page."""
    with gr.Blocks():
        tab = kind(PageContext(site.session, catalogue.methods(), catalogue.models(), (), OwnJobs(site.session)))
        with gr.Tabs(), gr.Tab(tab.label) as place:
            tab.build(place)
    return tab
