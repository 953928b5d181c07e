"""Codes on the command line: `--start`, and the files that are written beside a picture."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from inversion.checkpoints.codes import SavedCode, read_code
from inversion.common.names import companion, write_whole
from inversion.common.rows import Row
from inversion.editing.requests import Inverted
from inversion.serving.exports import ExportRequest
from inversion.serving.requests import Quick
from inversion.serving.runs import Finished, Request

T = TypeVar("T")
SUFFIXES = (".npz", ".npy", ".pt", ".pth")  # of files that `edit` takes as a code instead of a picture


class Answering(Protocol):
    """A lane, or several."""

    def answer(self, request: Quick[T]) -> T:
        """The answer of a quick request. Raises UserError."""


def add_start(parser: argparse.ArgumentParser) -> None:
    """Add --start."""
    parser.add_argument(
        "--start",
        type=Path,
        metavar="CODE",
        help="begin at a code: an .npz of this program, a W or W+ array (.npy, .npz, .pt), or a projector's output",
    )


def add_nvidia(parser: argparse.ArgumentParser) -> None:
    """Add --nvidia."""
    parser.add_argument(
        "--nvidia",
        action="store_true",
        help="for scripts of StyleGAN2-ADA and PTI, also write the code as NAME-styles.npy, and a tuned generator in "
        "NVIDIA's names as NAME-nvidia.pt",
    )


def start_of(args: argparse.Namespace) -> SavedCode | None:
    """The code of --start. Raises CodeError."""
    return None if args.start is None else read_code(args.start)


def write_files(
    picture: Path, lane: Answering, request: Request, finished: Finished, *, tuned: bool = True, nvidia: bool = False
) -> Row:
    """Write the code (.npz) and the tuned generator (.safetensors) beside a picture; their paths, None for none.

    tuned: whether to write the generator, too. nvidia: also write both as other projects read them. Raises HubError
    and OSError.
    """
    result = Inverted(finished.code, finished.weights, finished.row["model_options"])
    files = lane.answer(ExportRequest(request.model, result, request.method, tuned, nvidia))
    written = [("code", ".npz", files.code), ("weights", ".safetensors", files.generator)]
    if nvidia:
        written += [("styles", "-styles.npy", files.array), ("nvidia", "-nvidia.pt", files.nvidia)]
    paths: Row = {key: None for key, _, _ in written}
    for key, suffix, data in written:
        if data is not None:
            path = companion(picture, suffix)
            write_whole(path, partial(Path.write_bytes, data=data))
            paths[key] = str(path)
    return paths
