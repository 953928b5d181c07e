"""A local Hub that serves files as huggingface.co does, with many kinds of failure, and registries that use it."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import constants

from helpers.checkpoints import clear_caches, use_registry
from helpers.foreign import checkpoint, small, write
from inversion.checkpoints import fetch, transfer
from inversion.checkpoints.layouts import LAYOUTS
from inversion.checkpoints.places import VARIABLE
from inversion.checkpoints.registry import SERVE_ALL, Entry, registry

COMMIT = "c" * 40
PAGE = b"<!DOCTYPE html><html><body>Quota exceeded</body></html>"
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "flipped": lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
    "short": lambda data: data[:-100],
    "long": lambda data: data + b"\0" * 100,
    "page": lambda data: PAGE,
}
REFUSALS = {  # mode: status, the Hub's error code
    "404": (404, "EntryNotFound"),
    "gated": (403, "GatedRepo"),
    "gated 401": (401, "GatedRepo"),
    "private": (401, "RepoNotFound"),
    "no revision": (404, "RevisionNotFound"),
    "500": (500, ""),
}
RESOLUTIONS = {  # of the generators that foreign.write makes
    "rosinality": 64,
    "nvidia": 64,
    "genforce-stylegan2": 64,
    "mganprior-stylegan2": 1024,
    "genforce-stylegan": 128,
    "idinvert": 256,
    "genforce-pggan": 64,
    "mganprior-pggan": 64,
}
ROLES = {"idinvert-encoder": "indomain", "e4e": "e4e", "restyle": "restyle"}  # of encoders; psp otherwise
IN_PSP_S_CONTAINER = {"e4e": "e4e_encoder_n8", "restyle": "restyle_psp_backbone_n8"}  # name: manifest of the encoder
OWNERS = {  # generators of other layouts than rosinality's, or in other files than the encoder's
    "genforce-discriminator": "mganprior-stylegan2",
    "idinvert-encoder": "rosinality",
    "idinvert-vgg16": "idinvert",
}
OFFICIAL = (*LAYOUTS, *IN_PSP_S_CONTAINER)  # what `Workplace.add_official` knows
MODES = ("whole", "cut", "range ignored", "always cut", "stalled", "silent", "no hub", "slow", *DAMAGE, *REFUSALS)


@dataclass
class LocalHub:
    """Files by (repo_id, filename), served as `mode` says; `asked` lists the requests in their order."""

    url: str = ""
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    mode: str = "whole"
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, Range
    tokens: dict[str, set[str | None]] = field(default_factory=dict)  # host: what was sent as Authorization
    done: threading.Event = field(default_factory=threading.Event)

    def add(self, repo_id: str, filename: str, data: bytes) -> None:
        """Put a file into a repository, at any revision."""
        self.files[repo_id, filename] = data

    def gets(self) -> list[str]:
        """Range headers of the requests for contents."""
        return [part for method, path, part in self.asked if method == "GET" and path.startswith("/cdn/")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LocalHub

    def do_HEAD(self) -> None:
        """Answer with the Hub's headers of a file: its commit, its hash as the etag, its size."""
        self._note()
        data = self._file()
        if self.hub.mode == "silent":
            self.hub.done.wait(30)
        elif data is None or self.hub.mode in REFUSALS:
            self._refuse()
        else:
            self.send_response(302)  # as for large files: elsewhere, and the truth in X-Linked-*
            if self.hub.mode != "no hub":
                self.send_header("X-Repo-Commit", self.path.split("/resolve/")[1].split("/")[0].replace("main", COMMIT))
                self.send_header("X-Linked-ETag", f'"{hashlib.sha256(data).hexdigest()}"')
                self.send_header("X-Linked-Size", str(len(data)))
            self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/cdn{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def do_GET(self) -> None:
        """Send the file, from its start or from the byte in Range, as the mode says."""
        self._note()
        data, mode = self._file(), self.hub.mode
        if data is None or mode in REFUSALS:
            self._refuse()
            return
        if not self.path.startswith("/cdn"):
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/cdn{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = DAMAGE.get(mode, lambda same: same)(data)
        start = int(self.headers.get("Range", "bytes=0-")[6:].rstrip("-")) if mode != "range ignored" else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self._send(data[start:], first="Range" not in self.headers)

    def _send(self, data: bytes, first: bool) -> None:
        mode, third = self.hub.mode, len(data) // 3
        if mode == "always cut" or (mode in ("cut", "range ignored") and first):
            self.wfile.write(data[:third])
            self.close_connection = True
        elif mode == "stalled":
            self.wfile.write(data[:third] if first else b"")
            self.wfile.flush()
            self.hub.done.wait(30)
            self.close_connection = True
        elif mode == "slow":
            for at in range(0, len(data), 1 << 16):
                self.wfile.write(data[at : at + (1 << 16)])
                time.sleep(0.05)
        else:
            self.wfile.write(data)

    def _file(self) -> bytes | None:
        path = self.path.removeprefix("/cdn").removeprefix("/")
        repo, _, rest = path.partition("/resolve/")
        repo = repo.removeprefix("spaces/").removeprefix("datasets/")
        return self.hub.files.get((repo, rest.partition("/")[2]))

    def _refuse(self) -> None:
        status, code = REFUSALS.get(self.hub.mode, REFUSALS["404"])
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _note(self) -> None:
        self.hub.asked.append((self.command, self.path, self.headers.get("Range", "")))
        host = self.headers["Host"].partition(":")[0]
        self.hub.tokens.setdefault(host, set()).add(self.headers.get("Authorization"))

    def log_message(self, format: str, *args: object) -> None:
        """Suppress the log."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Suppress the log: some tests close the connection."""


def serve() -> Iterator[LocalHub]:
    """Run a Hub on a free port until the generator is closed."""
    local = LocalHub()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": local}))
    local.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield local
    finally:
        local.done.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Workplace:
    """A registry, a Hub that serves its entries, and an empty cache."""

    local: LocalHub
    path: Path  # of the registry
    cache: Path

    def add(self, name: str, data: bytes, serve: bytes | None = None, **fields: object) -> Entry:
        """Register a file of the Hub with its own hash and size, and serve it, or `serve` in its place."""
        values: dict[str, object] = {
            "kind": "generator",
            "repo_id": f"somebody/{name}",
            "filename": "weights.pt",
            "revision": COMMIT,
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "format": "torch",
            "architecture": "stylegan2",
            "resolution": 64,
            "domain": "tiny",
            "licence": "MIT",
            "source": "https://example.org/tiny",
            "grade": "A",
            **fields,
        }
        entries = yaml.safe_load(self.path.read_text()) if self.path.is_file() else {}
        entries[name] = {key: value for key, value in values.items() if value is not None}
        self.path.write_text(yaml.safe_dump(entries, sort_keys=False))
        if values["repo_id"] is not None:
            self.local.add(str(values["repo_id"]), str(values["filename"]), data if serve is None else serve)
        return registry(self.path)[name]

    def add_official(self, layout: str) -> str:
        """Register a small file of a published layout. Returns its generator, or the generator that uses it.

        pSp's files are registered twice, for their encoder and for their decoder.
        """
        published = LAYOUTS["psp" if layout in IN_PSP_S_CONTAINER else layout]
        data = official(layout, self.path.with_name(f"{layout}.bin")).read_bytes()
        format = "nvidia-pickle" if layout == "nvidia" else "torch"
        if published.kind == "generator":
            features = "keras-vgg16" if layout == "idinvert" else "lpips"
            fields = {
                "architecture": published.architecture,
                "resolution": RESOLUTIONS[layout],
                "perceptual": features,
            }
            return self.add(layout, data, format=format, crop="ffhq", **fields).name
        if layout in OWNERS:
            owner = self.add_official(OWNERS[layout])
        elif published.kind == "encoder":
            decoder = official("psp", self.path.with_name("decoder.bin")).read_bytes()
            owner = self.add(f"{layout}-decoder", decoder, resolution=32).name
        else:
            owner = self.add_official("rosinality")
        role = ROLES.get(layout, "psp") if published.kind == "encoder" else None
        architecture = "e4e" if layout == "e4e" else published.architecture
        alone = published.kind in SERVE_ALL
        what = {"kind": published.kind, "architecture": architecture, "role": role}
        self.add(layout, data, generator=None if alone else owner, **what)
        return owner

    @property
    def derived(self) -> Path:
        """The folder of derived files."""
        return self.cache.with_name("derived")

    def leftovers(self) -> list[str]:
        """Unfinished files in the cache."""
        return [path.name for folder in (self.cache, self.derived) for path in folder.rglob("*.incomplete")]

    def settings(self) -> dict[str, object]:
        """The environment variables of huggingface_hub for this Hub and cache."""
        return {
            "ENDPOINT": self.local.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": self.local.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(self.cache),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DOWNLOAD_TIMEOUT": 20,
            "HF_HUB_ETAG_TIMEOUT": 20,
        }

    def process(self, name: str) -> tuple[BaseProcess, Connection]:
        """Start a process that fetches an entry and sends the sha256 of the file through the returned connection."""
        context = multiprocessing.get_context("forkserver")  # which imports once, not for every process
        context.set_forkserver_preload(["inversion.checkpoints.fetch"])
        own_end, child_end = context.Pipe(duplex=False)
        process = context.Process(
            target=_fetch, args=(self.path, name, (self.settings(), str(self.derived)), child_end)
        )
        process.start()
        child_end.close()
        return process, own_end


def official(name: str, path: Path) -> Path:
    """Write a small file of a published layout, or of an encoder that comes in pSp's container."""
    if name not in IN_PSP_S_CONTAINER:
        return write(name, path)
    held = checkpoint("psp")
    decoder = {key: value for key, value in held["state_dict"].items() if key.startswith("decoder.")}
    torch.save({**held, "state_dict": small(IN_PSP_S_CONTAINER[name], "encoder.") | decoder}, path)
    return path


def _fetch(path: Path, name: str, places: tuple[Mapping[str, object], str], answer: Connection) -> None:
    settings, os.environ[VARIABLE] = places
    for key, value in settings.items():
        setattr(constants, key, value)
    answer.send(hashlib.sha256(fetch.fetch(registry(path)[name]).read_bytes()).hexdigest())


def use(monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, object]) -> None:
    """Change settings of huggingface_hub."""
    for name, value in settings.items():
        monkeypatch.setattr(constants, name, value)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    """Use a registry, a Hub and a cache on this machine."""
    running = serve()
    local = next(running)
    place = Workplace(local, tmp_path / "checkpoints.yaml", tmp_path / "cache")
    place.cache.mkdir()
    use(monkeypatch, place.settings())
    monkeypatch.setenv(VARIABLE, str(place.derived))
    monkeypatch.setattr(transfer, "PAUSE", 0.01)
    use_registry(monkeypatch, place.path)
    clear_caches()
    yield place
    clear_caches()
    running.close()
