"""Foreign checkpoints to safetensors: a file is read once, in a child process with limits.

    contents = inspect(path)                # the networks in the file; BadCheckpoint if it is refused
    contents = convert(path, out)           # also writes one safetensors file of all its networks
    networks = open_converted(out)          # {"generator": ..., "discriminator": ...}

A file that holds a direction in W and no network becomes a plain array, `.npy`; a code becomes our `.npz`, see `codes`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inversion.checkpoints.converted import Contents, Part, open_converted
from inversion.checkpoints.places import PACKAGE
from inversion.checkpoints.registry import BadCheckpoint
from inversion.common.names import is_address

CHILD = (
    f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); "
    "from inversion.checkpoints.transcribe import answer_request; answer_request()"
)

__all__ = ["Contents", "Limits", "Part", "convert", "inspect", "open_converted", "read_in_child"]


log = logging.getLogger(__name__)
POLL = 0.25  # seconds between two calls of `Limits.watch`


def _go_on() -> None:
    """Watch nothing."""


@dataclass(frozen=True)
class Limits:
    """Limits for reading a foreign file: seconds, and bytes more than an idle child has. None: by the file's size.

    watch: called a few times a second meanwhile; an exception that it raises ends the child, and is passed on.
    """

    seconds: float = 600.0
    memory: int | None = None
    watch: Callable[[], None] = _go_on

    def allowance(self, size: int) -> int:
        """Bytes of memory for a file of `size` bytes: reading and renaming hold about two copies of it."""
        return (1 << 30) + 4 * size if self.memory is None else self.memory


def inspect(path: Path, encoder: str | None = None, limits: Limits = Limits()) -> Contents:
    """Read a foreign file in a child process and describe it. Raises BadCheckpoint if it is refused.

    `encoder` ("psp", "e4e", ...) is the architecture of an encoder if its file does not state it.
    """
    return read_in_child(path, None, encoder, limits)


def convert(path: Path, out: Path, encoder: str | None = None, limits: Limits = Limits()) -> Contents:
    """Write the networks of a foreign file to `out`, which is never visible in part. Raises BadCheckpoint.

    The caller compares `Contents.sha256` with the expected one.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
            written = Path(folder) / "converted"
            contents = read_in_child(path, written, encoder, limits)
            os.replace(written, out)
    except OSError as error:
        raise BadCheckpoint(f"{path.name}: cannot write {out} ({error.strerror or error})") from None
    return contents


def read_in_child(path: Path, out: Path | None, encoder: str | None, limits: Limits) -> Contents:
    """Run `transcribe.answer_request` in a new interpreter. Any failure raises BadCheckpoint with one line."""
    memory = limits.allowance(file_size(path))
    work = {"path": str(path.resolve()), "out": str(out.resolve()) if out else None, "encoder": encoder}
    request = {"seconds": limits.seconds, "memory": memory, "work": work}
    # One thread, because the stacks and heaps of more threads would count against the limit. The child needs no GPU.
    settings = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    try:
        with _lifeline() as lifeline:
            command = [sys.executable, "-c", CHILD, json.dumps(request)]
            done = _ended(command, {**os.environ, **settings}, lifeline, limits)
    except subprocess.TimeoutExpired:
        raise BadCheckpoint(f"{path.name}: reading it takes longer than {limits.seconds:g} s") from None
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise BadCheckpoint(f"{path.name}: {_cause_of_death(done, memory)}") from None
    if done.stderr:
        log.info("%s: %s", path.name, done.stderr.decode(errors="replace"))
    if "error" in answer:
        raise BadCheckpoint(f"{path.name}: {answer['error']}")
    found = answer["contents"]
    parts = (Part(**{**part, "channels": tuple(part["channels"])}) for part in found["networks"])
    return Contents(**{**found, "networks": tuple(parts), "notes": tuple(found["notes"])})


def _ended(
    command: Sequence[str], environment: dict[str, str], stdin: int, limits: Limits
) -> subprocess.CompletedProcess[bytes]:
    """The ended child. Raises subprocess.TimeoutExpired, and any error of `limits.watch`; no child is left."""
    deadline = time.monotonic() + limits.seconds
    with subprocess.Popen(  # noqa: S603 - this interpreter, on a module of this package
        command,
        cwd=PACKAGE.parent,
        env=environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        try:
            while True:
                try:
                    out, err = child.communicate(timeout=min(POLL, max(0.0, deadline - time.monotonic())))
                    return subprocess.CompletedProcess(command, child.returncode, out, err)
                except subprocess.TimeoutExpired:
                    limits.watch()
                    if time.monotonic() >= deadline:
                        raise
        except BaseException:
            child.kill()
            raise


def file_size(path: Path) -> int:
    """Bytes of a file. Raises BadCheckpoint unless it is a plain file that can be read."""
    try:
        state = path.stat()
    except OSError as error:
        if is_address(path):
            raise BadCheckpoint(f"{path} is a web address: download the file, and give its path") from None
        raise BadCheckpoint(f"{path.name}: cannot read it ({error.strerror or error})") from None
    if stat.S_ISDIR(state.st_mode):
        raise BadCheckpoint(f"{path.name}: it is a folder: give the checkpoint's file inside")
    if not stat.S_ISREG(state.st_mode):
        raise BadCheckpoint(f"{path.name}: it is not a plain file: copy the checkpoint to the disk first")
    return state.st_size


@contextmanager
def _lifeline() -> Iterator[int]:
    """A file for the child to read from. It ends when this process ends in any way, and the child ends with it."""
    child_end, own_end = os.pipe()
    try:
        yield child_end
    finally:
        os.close(own_end)
        os.close(child_end)


def _cause_of_death(done: subprocess.CompletedProcess[bytes], memory: int) -> str:
    """Why a child may have ended without an answer."""
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [""]
    name = signal.Signals(-done.returncode).name if done.returncode < 0 else ""
    if name == "SIGKILL" or "Memory" in last[0] or "alloc" in last[0]:
        return f"reading it takes more than {memory >> 20} MB of memory"
    if name == "SIGXCPU":
        return "reading it takes too long"
    log.error("the reader ended without an answer: %s %s", name, last[0])
    return "the process that reads it ended early: the file may be damaged, so download it again"
