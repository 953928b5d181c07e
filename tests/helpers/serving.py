"""The page on tiny networks, served on a free port of this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import torch
from gradio import networking

from helpers.checkpoints import use_entries
from helpers.drawings import reading_encoders
from helpers.networks import TINY, build_prior
from inversion.checkpoints import fetch, hub, own
from inversion.checkpoints.places import VARIABLE
from inversion.checkpoints.registry import Entry, HubError
from inversion.editing import Direction
from inversion.encoders import Encoder
from inversion.generators import StyleGAN2
from inversion.model import Model
from inversion.serving.limits import WebLimits
from inversion.serving.session import Request, Session
from ui import State, build, launch_options
from ui.page import PRIVATE_LIMITS

MODELS = ("synthetic-faces", "only-z", "absent")
CACHED, FETCH = fetch.cached, fetch.fetch  # for files that a test adds
SIZE = 40_000_000  # bytes of the file of "remote", as its server states them


class Remote:
    """A Hub with one file. A download gets half of it at once, and the rest after `gate` is set."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "remote.safetensors"
        self.gate = threading.Event()
        self.problem: str | None = None  # why the next download fails
        self.fetched = 0
        self.resets = 0

    def reset(self) -> None:
        """Forget all downloads; the next one succeeds."""
        self.resets += 1
        self.gate.clear()
        self.problem = None
        self.file.unlink(missing_ok=True)

    def cached(self, entry: Entry) -> Path | None:
        if entry.own:
            return CACHED(entry)
        return self.file if entry.name == "remote" and self.file.is_file() else None

    def fetch(self, entry: Entry, progress: fetch.Progress | None = None, renew: bool = False) -> Path:
        if entry.own:
            return FETCH(entry, progress, renew)
        self.fetched += 1
        if self.problem is not None:
            raise HubError(f"{entry.name}: {self.problem}")
        resets = self.resets
        while not self.gate.wait(0.02):
            if self.resets != resets:
                raise HubError(f"{entry.name}: the download was stopped")
            if progress is not None:
                progress(SIZE // 2, SIZE)
        self.file.write_bytes(b"x")
        return self.file


class RecordingSession(Session):
    """A session that remembers the keys of its jobs: `submitted`, oldest first."""

    def __init__(self, device: str, budget: float) -> None:
        super().__init__(device, "float32", budget, additions=True)  # as the tiny model computes
        self.submitted: list[str] = []

    def submit(self, requests: Sequence[Request], **options: Any) -> str:  # noqa: ANN401 - as in a session
        key = super().submit(requests, **options)
        self.submitted.append(key)
        return key


@dataclass(frozen=True)
class Served:
    """A running page."""

    url: str
    page: gr.Blocks
    session: RecordingSession
    remote: Remote


def free_port() -> int:
    """A free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def entry(name: str) -> Entry:
    """A registered generator without a file."""
    common = {"format": "safetensors", "architecture": "stylegan2", "domain": "test", "licence": "MIT"}
    common |= {"resolution": TINY, "bytes": 1, "sha256": "0" * 64}
    return Entry(name, "generator", source="x", file="x", **common)  # type: ignore[arg-type]


def registered() -> dict[str, Entry]:
    """MODELS, one of aligned faces, one on the Hub, and one with a manual download."""
    entries = {name: entry(name) for name in MODELS}
    elsewhere: dict[str, Any] = {
        "file": None,
        "bytes": SIZE,
        "filename": "remote.safetensors",
        "grade": "A",
        "source": "https://example.org/remote",
    }
    entries["aligned"] = replace(entries["absent"], name="aligned", crop="ffhq")
    entries["remote"] = replace(entries["absent"], **elsewhere, name="remote", repo_id="a/b", revision="0" * 40)
    entries["by-hand"] = replace(entries["absent"], **elsewhere, name="by-hand", note="Somebody's drive.")
    return entries


def translators(prior: StyleGAN2) -> dict[str, Encoder]:
    """A tiny encoder for every translation but the cartoon."""
    return {name: encoder for name, encoder in reading_encoders(prior).items() if name != "toonify"}


def whole(model: Model) -> Model:
    """The tiny model as the default model: with directions of two attributes, and encoders of drawings."""
    prior = model.prior
    assert isinstance(prior, StyleGAN2)
    rows = torch.eye(prior.w_dim)
    directions = {
        name: Direction(name, name.capitalize(), "attributes", row, 1.0, normal=row)
        for name, row in (("yaw", rows[:1]), ("smile", rows[1:2]))
    }
    encoders = {**model.encoders, **translators(prior)}
    return replace(model, name="synthetic-faces", domain="synthetic-faces", encoders=encoders, directions=directions)


@contextmanager
def served(model: Model, folder: Path, limits: WebLimits = PRIVATE_LIMITS) -> Iterator[Served]:
    """The page with `registered` models: a good one, one that serves few methods, one that cannot be loaded, and so on.

    Good and remote ones are the tiny model. limits: of the web server.
    """
    narrow = build_prior()
    narrow.spaces = frozenset({"z"})
    models = {
        "synthetic-faces": whole(model),
        "only-z": Model("only-z", narrow, narrow.resolution),
        **{name: replace(model, name=name) for name in ("aligned", "remote")},
    }
    remote = Remote(folder)

    real = hub.load

    def load(name: str, device: str = "auto", dtype: str = "auto") -> Model:
        if name in own.own():
            return real(name, device, dtype)
        if name not in models:
            raise HubError(f"{name}: its file is not available: is there a network?")
        return models[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "load", load)
        use_entries(patch, folder, *registered().values())
        patch.setattr(fetch, "cached", remote.cached)
        patch.setattr(fetch, "fetch", remote.fetch)
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        patch.setenv(VARIABLE, str(folder / "derived"))
        # Gradio waits three seconds for its own page, and a busy machine may take longer.
        patch.setattr(networking, "url_ok", lambda url: True)
        session = RecordingSession("cpu", budget=60.0)
        session.warm("synthetic-faces")
        page, state = build(session, limits=limits), State()
        state.ready.set()
        _, url, _ = page.launch(
            prevent_thread_lock=True,
            quiet=True,
            server_name="127.0.0.1",
            server_port=free_port(),
            **launch_options(state, additions=limits is PRIVATE_LIMITS, limits=limits),
        )
        try:
            yield Served(url, page, session, remote)
        finally:
            page.close()
            session.close()


@pytest.fixture(scope="package")
def site(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page on tiny networks."""
    with served(model, tmp_path_factory.mktemp("gradio")) as running:
        yield running
