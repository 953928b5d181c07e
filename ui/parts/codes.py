"""Codes on the page: an upload to start from, and the files of a job's codes and tuned generators."""

from __future__ import annotations

import zipfile
from pathlib import Path

import gradio as gr

from inversion.checkpoints.codes import SavedCode, read_code
from inversion.methods.keep import KeepCode
from inversion.serving.exports import OpenRequest
from inversion.serving.session import JobView, Request, Session
from inversion.tasks import DEFAULT_TASK
from ui.parts.events import CROPS, PRIVATE, QUIET
from ui.parts.export import job_name, result_names
from ui.parts.inputs import InputError, errors_as_messages, existing

SUFFIXES = [".npz", ".npy", ".pt", ".pth"]
START_NOTE = (
    "A code to start from: an .npz that was downloaded here, a W or W+ array (.npy, .npz, .pt), NVIDIA's "
    "projected_w.npz, or rosinality's projector output."
)
NO_CODES = "These results have no code. Run a method that has one, such as W+."


class StartField:
    """The upload of a code to start from. Its value is the path of the file, or None."""

    def __init__(self, key: str, label: str) -> None:
        self.file = gr.File(label=label, file_types=SUFFIXES, type="filepath", height=140, elem_id=f"{key}-start")
        refused = self.file.upload(check, self.file, None, **CROPS, **PRIVATE)
        refused.failure(lambda: None, None, self.file, **QUIET)


def check(path: str | None) -> None:
    """Refuse a file without a code when it is uploaded. Raises gr.Error."""
    with errors_as_messages():
        read_start(path)


def read_start(path: str | None) -> SavedCode | None:
    """The code of an upload. Raises InputError or CodeError."""
    return read_code(Path(existing(path))) if path else None


def code_request(session: Session, model: str, code: SavedCode) -> Request:
    """The run that opens a code as it is, on its own picture, so that it can be edited. Raises UserError."""
    result, picture, _ = session.ask(OpenRequest(model, code))  # the run says the notes
    return Request(DEFAULT_TASK, KeepCode.key, picture, model, start=code, options=dict(result.options))  # type: ignore[arg-type]


def fetch_script(elem_id: str) -> str:
    """The script that downloads the file of an unseen download button, once the page has its new address."""
    return f"() => {{ setTimeout(() => document.getElementById('{elem_id}').click(), 300); }}"


def pack(view: JobView, session: Session, folder: Path) -> Path:
    """Write an archive with the code of every result (.npz, and its styles as .npy) and every tuned generator, twice:

    as .safetensors for this page, and in NVIDIA's names (-nvidia.pt) if it is a StyleGAN2.

    Raises InputError if no result has a code; UnknownJob if none is stored any longer; Busy.
    """
    archive = folder / f"{job_name(view)}-codes.zip"
    empty = True
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for index, picture in result_names(view).items():
            files, name = session.edits.files(view.key, index), picture.removesuffix(".png")
            for ending, data in (
                (".npz", files.code),
                ("-styles.npy", files.array),
                (".safetensors", files.generator),
                ("-nvidia.pt", files.nvidia),
            ):
                if data is not None:
                    packed.writestr(f"{name}{ending}", data)
                    empty = False
    if empty:
        raise InputError(NO_CODES)
    return archive
