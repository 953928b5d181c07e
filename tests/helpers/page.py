"""Calls of the page's endpoints by a script, and tabs that are laid out outside the page."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio_client import Client, handle_file
from PIL import Image

from helpers.serving import Served
from inversion.serving import catalogue
from inversion.tasks import TASKS
from ui.parts.context import PageContext
from ui.parts.own_jobs import OwnJobs
from ui.tabs import Tab

FEW = {"w.steps": 3, "wplus.steps": 3}
W = {"methods": ["w"], "settings": {"w.steps": 3}}
T = TypeVar("T", bound=Tab)


def own_parameters(task: str) -> list[str]:
    """Names of the parameters that only some tasks have: for the fields of this task, and for a given measurement."""
    names = [] if TASKS[task].exact else ["measured"]
    for card in catalogue.task(task).fields:
        names += [card.name, card.source, f"invert_{card.name}"] if card.kind == "mask" else [card.name]
    return names


def all_parameters(own: Iterable[str], *first: str) -> list[str]:
    """Names of all parameters of an endpoint that runs methods. own: those that only some endpoints have."""
    options = [card.name for card in catalogue.model_fields()]
    return [
        "picture",
        *first,
        "methods",
        "model",
        "seed",
        "settings",
        "budget",
        *own,
        *options,
        "align",
        "start",
        "preset",
    ]


def required(endpoint: str) -> dict[str, Any]:
    """Inputs that an endpoint needs besides a picture."""
    if endpoint == "edit":
        return {"moves": {"yaw": 1}}
    return {card.source: "centre" for card in catalogue.task(endpoint).fields if card.kind == "mask"}


# Endpoint -> names of its parameters.
ENDPOINTS = {f"/{task}": all_parameters(own_parameters(task)) for task in TASKS} | {
    "/edit": all_parameters(["moves", "layers", "keep", "mask", "keep_identity"]),
    "/sketch": ["picture", "kind", "model", "seed", "variations", "alpha", "mix_layers", "align"],
    "/grid": ["picture", "x", "y", "z", "model", "seed", "settings", "budget", "align"],
    "/analyse": ["picture", "kind", "model", "seed", "settings", "budget", "align"],
    "/compare": all_parameters(dict.fromkeys(name for task in TASKS for name in own_parameters(task)), "task"),
    "/combine": [
        *["picture", "second", "kind", "methods", "model", "seed", "settings", "budget", "pictures", "layer"],
        *["mask", "mask_source", "invert_mask", "label", "align", "preset", "context_weight"],
    ],
}


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
