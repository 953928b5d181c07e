"""One running page, its client, and pictures to upload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from helpers.serving import Remote, Served, site
from helpers.waiting import until
from PIL import Image, PngImagePlugin
from torch import Tensor

from inversion import images
from inversion.align import Face
from inversion.checkpoints import detector

__all__ = ["site"]  # a fixture


@pytest.fixture(scope="package")
def client(site: Served, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """A script that calls the page's endpoints."""
    folder = str(tmp_path_factory.mktemp("downloads"))
    return Client(site.url, verbose=False, download_files=folder, httpx_kwargs={"timeout": 60})


@pytest.fixture(scope="package")
def picture(pictures: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upload with metadata that must not come back."""
    path = tmp_path_factory.mktemp("uploads") / "upload.png"
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "secret of the upload")
    Image.fromarray(images.to_array(pictures[0])).resize((96, 64)).save(path, pnginfo=info)
    return path


@pytest.fixture
def face(monkeypatch: pytest.MonkeyPatch) -> Face:
    """The one face that the detector finds in `picture`, turned a little."""
    found = Face((38, 24), (48, 26), (42, 30), (38, 35), (46, 36))
    monkeypatch.setattr(detector, "registered", lambda entries: lambda picture: [found])
    return found


@pytest.fixture
def remote(site: Served) -> Iterator[Remote]:
    """The stand-in for the Hub, with nothing downloaded."""
    site.remote.reset()
    yield site.remote
    site.remote.gate.set()  # lets go of a thread that a failed test has left
    until(lambda: not site.session.status().downloading)
