"""Models that are added while the page runs: scripts see and use them, and names that are not known are refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from helpers import ada
from helpers.foreign import write_nvidia
from helpers.page import W, call
from helpers.serving import Served

from inversion.checkpoints import own
from inversion.serving.additions import Adding, Upload
from ui.parts.add_file import KINDS, AddFile


def offered(site: Served) -> list[str]:
    """The models in the schema that a new client reads."""
    schema = Client(site.url, verbose=False).view_api(return_format="dict", print_info=False)
    parameters = schema["named_endpoints"]["/reconstruct"]["parameters"]
    return next(one["type"]["enum"] for one in parameters if one["parameter_name"] == "model")


def test_the_form_states_what_an_encoder_is_for(tmp_path: Path) -> None:
    given: list[Upload] = []
    cancelled = [Adding("reading", 0, over=True)]
    additions = SimpleNamespace(allowed=True, add=lambda visitor, upload: given.append(upload) or cancelled)
    form = AddFile(SimpleNamespace(additions=additions))  # type: ignore[arg-type]
    with gr.Blocks():
        form.build()
    shown = [form.fields(kind)[form.role]["visible"] for kind in KINDS]
    assert shown == [kind == "encoder" for kind in KINDS.values()]
    values = {form.file: tmp_path / "e.pt", form.owner: "synthetic-faces", form.role: "toonify"}
    values |= {form.domain: "", form.licence: "", form.crop: "none"}
    for kind, role in (("Encoder", "toonify"), ("Direction", None), ("Generator", None)):
        list(form.run({**values, form.kind: kind}, gr.Request()))
        assert given[-1].facts.role == role
    list(form.run({**values, form.kind: "Encoder", form.role: ""}, gr.Request()))
    assert given[-1].facts.role is None  # by the architecture and the input


def test_a_menu_of_models_is_refreshed_when_it_is_opened(client: Client) -> None:
    """Another window may have added a file since this one was opened."""
    menus = {one["id"] for one in client.config["components"] if one["props"].get("label") == "Model"}
    targets = (target for one in client.config["dependencies"] for target in one["targets"])
    assert menus and menus <= {component for component, event in targets if event == "focus"}


def test_an_added_model_serves_scripts_at_once(site: Served, client: Client, picture: Path, tmp_path: Path) -> None:
    before = offered(site)
    name = own.add_file(write_nvidia(tmp_path / "mine.pkl", {"G_ema": ada.weights()}))
    try:
        assert offered(site) == [name, *before]
        rows, _, _ = call(client, "/reconstruct", picture, model=name, **W)
        assert rows[0]["model"] == name and rows[0]["state"] == "done"
    finally:
        own.remove_file(name)
    assert offered(site) == before
    with pytest.raises(AppError, match=f"model must be one of synthetic-faces.*, not '{name}'"):
        call(client, "/reconstruct", picture, model=name, **W)
