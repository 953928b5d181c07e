"""The page on tiny networks, served on a free port of this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr
import pytest
from conftest import TINY, build_prior

from inversion import hub
from inversion.hub import Entry, Model
from inversion.session import Session
from ui import TABS, build, launch_options

MODELS = ("synthetic-faces", "only-z", "absent")


@dataclass(frozen=True)
class Served:
    """A running page."""

    url: str
    page: gr.Blocks
    session: Session


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def entry(name: str) -> Entry:
    """A registered generator without a file."""
    return Entry(name, "generator", "0" * 64, 1, "safetensors", "stylegan2", TINY, "test", "MIT", "x", file="x")


@contextmanager
def served(model: Model, folder: Path) -> Iterator[Served]:
    """The page with three models: a good one, one that serves few methods, and one that cannot be loaded."""
    narrow = build_prior()
    narrow.spaces = frozenset({"z"})
    models = {
        "synthetic-faces": replace(model, name="synthetic-faces"),
        "only-z": Model("only-z", narrow, narrow.resolution),
    }

    def load(name: str, device: str = "auto", dtype: str = "auto") -> Model:
        if name not in models:
            raise hub.HubError(f"{name}: its file cannot be had: is there a network?")
        return models[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "load", load)
        patch.setattr(hub, "registry", lambda: {name: entry(name) for name in MODELS})
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        session = Session("cpu", budget=60.0)
        session.warm("synthetic-faces")
        page = build(session, TABS)
        _, url, _ = page.launch(
            prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", server_port=free_port(), **launch_options()
        )
        try:
            yield Served(url, page, session)
        finally:
            page.close()
            session.close()
