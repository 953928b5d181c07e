"""The models and tasks that the machine can serve, and the files that are loaded before the server is ready."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from inversion.checkpoints import fetch
from inversion.checkpoints.registry import DEFAULT, registry
from inversion.common.commands import zero_gpu
from inversion.serving.catalogue import models
from inversion.serving.runs import LaneError
from inversion.serving.session import Session

# The generator of photographs of faces, and what it is used with: encoders, identity, LPIPS, the face detector.
PHOTOS = ("stylegan2-ffhq-1024", "psp-ffhq", "e4e-ffhq", "arcface", "lpips-alexnet", "yunet")
SERVER = "server"  # the requester of its downloads
PATIENCE = 3.0  # seconds for an answer of the Hub
LOCAL = ("127.0.0.1", "localhost", "::1")  # addresses that only this machine can open


def best_files(device: str = "auto") -> tuple[str, ...]:
    """The best model for this machine first, then the files that belong to it.

    `PHOTOS` on a GPU if the files are cached or the Hub can be reached, else the embedded model. Runs torch only if the
    machine may have a GPU.
    """
    if device != "cpu" and has_gpu() and (all_cached(PHOTOS) or online()):
        return PHOTOS
    return (DEFAULT,)


def has_gpu() -> bool:
    """Whether runs get a GPU."""
    if zero_gpu():
        return True
    # On Linux an NVIDIA driver has this file: without it there is no need to wait for torch.
    if sys.platform == "linux" and not Path("/dev/nvidiactl").exists():
        return False
    from inversion.checkpoints.hub import find_device

    return find_device("auto").type == "cuda"


def only_local(share: bool) -> bool:
    """Whether only users of this machine can open the page: no tunnel, no Space, no address of a network."""
    return not (share or on_space()) and os.environ.get("GRADIO_SERVER_NAME", LOCAL[0]) in LOCAL


def served_names(given: Sequence[str], share: bool) -> list[str]:
    """Names under which browsers open the page, besides localhost and addresses. given: by the operator."""
    names = [*given, os.environ.get("SPACE_HOST", ""), os.environ.get("GRADIO_SERVER_NAME", "")]
    names += ["*.gradio.live"] if share else []
    names += ["*.hf.space"] if on_space() else []  # its proxy alone can reach the server
    return [name.strip().lower() for name in names if name.strip()]


def on_space() -> bool:
    """Whether this is a Space of Hugging Face."""
    return zero_gpu() or bool(os.environ.get("SPACE_ID"))


def check_names(names: Sequence[str]) -> None:
    """Raises LaneError if one of the names is not in the registry."""
    for name in names:
        if name not in registry():
            raise LaneError(f"There is no model {name!r}. Choose from: {', '.join(models())}.")


def preload(session: Session, names: Sequence[str]) -> None:
    """Download missing files, then load the generators among them and run each once. Raises UserError."""
    for name in names:
        if not session.files.missing(name):
            continue
        session.files.download(name, SERVER, operator=True)
        for _ in session.files.follow(name, SERVER):
            pass
        download = session.files.card(name).download
        if download is not None and download.state != "done":
            raise LaneError(download.message or f"{name} could not be downloaded.")
    for name in [name for name in names if name in models()]:
        session.warm(name)
        session.unavailable(name)  # waits until it is loaded


def all_cached(names: Sequence[str]) -> bool:
    """Whether the files of all these entries are cached. Uses no network."""
    return all(fetch.cached(registry()[name]) is not None for name in names)


def online() -> bool:
    """Whether the Hub answers. False if HF_HUB_OFFLINE is set."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")  # noqa: S310 - the Hub's own address
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE):  # noqa: S310
            return True
    except urllib.error.HTTPError:  # an answer, too
        return True
    except (OSError, ValueError):
        return False
