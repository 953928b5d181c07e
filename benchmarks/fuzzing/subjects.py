"""What reads input: for each kind its good files, and the function that the hub itself uses."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.common import RowFile
from benchmarks.fuzzing import seeds
from benchmarks.fuzzing.mutations import mutated
from inversion import images
from inversion.checkpoints import convert, registry, store
from inversion.checkpoints.codes import read_code
from inversion.checkpoints.registry import BadCheckpoint
from inversion.cli.records import add_rows
from inversion.common.errors import UserError
from inversion.serving.archive.archive import Archive
from inversion.serving.limits import Limits

Read = Callable[[Any], object]
Inputs = Iterator[Any]  # bytes of files; of arguments, any values
LIMITS = convert.Limits(seconds=10.0, memory=1 << 30)  # of the process that reads a foreign file


@dataclass(frozen=True)
class Subject:
    """One reader. count: inputs by default. inputs: endless, by a seeded generator. read: raises UserError at most.

    forks: it reads in processes of its own.
    """

    label: str
    count: int
    inputs: Callable[[random.Random], Inputs]
    read: Read
    forks: bool = False


def files(folder: Path, marker: Path) -> dict[str, Subject]:
    """The readers of files. folder: where they may write. marker: what hostile files would write."""
    scratch = folder / "input"

    def stored(read: Callable[[Path], object], suffix: str = "") -> Read:
        path = scratch.with_suffix(suffix)

        def run(data: bytes) -> None:
            path.write_bytes(data)
            read(path)

        return run

    def mask(data: bytes) -> None:
        images.read_layer(data)
        images.decode_mask(data, (seeds.SIDE, seeds.SIDE))

    def subject(label: str, count: int, made: Sequence[bytes], read: Read, forks: bool = False) -> Subject:
        return Subject(label, count, lambda rng: mutations(rng, made), read, forks)

    checkpoints = seeds.checkpoints(marker)
    return {
        "pictures": subject("pictures", 20_000, seeds.pictures(), images.decode),
        "masks": subject("masks", 2000, [*seeds.masks(), *seeds.pictures()[:3]], mask),
        "registries": subject("lists of checkpoints", 2000, seeds.registries(), stored(_registry, ".yaml")),
        "rows": subject("files of rows and hashes", 2000, seeds.rows(), stored(_rows)),
        "results": _results(folder),
        "codes": subject("codes", 2000, seeds.codes(), stored(read_code, ".npz"), forks=True),
        "checkpoints": subject("checkpoints", 2000, checkpoints, stored(convert.inspect, ".pt"), forks=True),
    }


def _results(folder: Path) -> Subject:
    """The folder of results, with damage in one of its files: the list, a request, a picture, a code."""
    whole, place = seeds.results(folder / "whole"), folder / "results"

    def inputs(rng: random.Random) -> Inputs:
        while True:
            name = rng.choice([*whole, "index.sqlite"])
            data = mutated(rng, whole[name], [*whole.values()])
            # A file of another size is refused by its size alone.
            same = name != "index.sqlite" and rng.random() < 0.9
            yield name, data[: len(whole[name])].ljust(len(whole[name]), b"\0") if same else data

    def read(given: tuple[str, bytes]) -> None:
        shutil.rmtree(place, ignore_errors=True)
        for name, data in {**whole, given[0]: given[1]}.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
        archive = Archive(place, Limits())
        try:
            archive.entries(seeds.OWNER, 10)
            archive.job(seeds.JOB).view()
            archive.requests(seeds.JOB)
            archive.result(seeds.JOB, 0)
        finally:
            archive.close()

    return Subject("folders of results", 1000, inputs, read)


def mutations(rng: random.Random, made: Sequence[bytes]) -> Iterator[bytes]:
    """The good files themselves, then damaged copies of them, without end."""
    yield from made
    while True:
        yield mutated(rng, rng.choice(made), made)


def _registry(path: Path) -> None:
    registry.registry(path)


def _rows(path: Path) -> None:
    """Every reader of rows, and of the hashes of first downloads."""
    entry = replace(registry.registry()["yunet"], sha256=None, note="sha256 unknown")
    text = path.read_bytes()
    learnt = store.learnt_path()
    learnt.parent.mkdir(parents=True, exist_ok=True)
    learnt.write_bytes(text)
    for name in ("rows.json", "rows.csv"):
        rows = path.with_name(name)
        rows.write_bytes(text)
        add_rows(rows, [{"picture": "x.png", "psnr": 1.0}])
        for made in path.parent.glob("rows*"):
            made.unlink()
    problems = []
    for read in (lambda: RowFile(path).rows(), lambda: store.expected(entry)):
        try:
            read()
        except UserError as error:
            problems.append(error)
    if problems:
        raise problems[0]


@contextmanager
def forked_reader() -> Iterator[None]:
    """Read foreign files in forks of this process, because a new interpreter takes seconds to start."""
    with mock.patch.object(convert, "read_in_child", _read_in_fork):
        yield


def _read_in_fork(path: Path, out: Path | None, encoder: str | None, limits: convert.Limits) -> convert.Contents:
    """As `convert.read_in_child`, with the limits of this benchmark."""
    size = convert.file_size(path)
    work = {"path": str(path.resolve()), "out": str(out.resolve()) if out else None, "encoder": encoder}
    request = {"seconds": LIMITS.seconds, "memory": LIMITS.allowance(size), "work": work}
    source, sink = os.pipe()
    pid = os.fork()
    if not pid:
        _answer(request, sink)
    os.close(sink)
    with os.fdopen(source, "rb") as pipe:
        lines = pipe.read().splitlines()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if not lines:
        name = signal.Signals(-status).name if status < 0 else str(status)
        if name in ("SIGKILL", "SIGXCPU", "SIGABRT"):  # of its limits; the hub says the same
            raise BadCheckpoint(f"{path.name}: reading it takes too much memory or time")
        raise RuntimeError(f"the reader ended with {name}")
    answer = json.loads(lines[-1])
    if "error" in answer:
        raise BadCheckpoint(f"{path.name}: {answer['error']}")
    found = answer["contents"]
    parts = (convert.Part(**{**part, "channels": tuple(part["channels"])}) for part in found["networks"])
    return convert.Contents(**{**found, "networks": tuple(parts), "notes": tuple(found["notes"])})


def _answer(request: dict[str, object], sink: int) -> None:
    """In the fork: answer as the child process does, then end it."""
    from inversion.checkpoints import transcribe

    status = 1
    try:
        sys.argv = ["", json.dumps(request)]
        quiet = os.open(os.devnull, os.O_RDWR)
        os.dup2(quiet, 2)
        sys.stdout = os.fdopen(sink, "w")
        os.dup2(os.pipe()[0], 0)  # never ends: the parent lives
        transcribe.answer_request()
        sys.stdout.flush()
        status = 0
    finally:
        os._exit(status)


def arguments(page: Any) -> Subject:  # noqa: ANN401 - `ui.api.Page`, which this package does not import
    """The validation of the page's API: random arguments of every endpoint."""
    from benchmarks.fuzzing.calls import wrong_value

    endpoints = list(page.endpoints)

    def inputs(rng: random.Random) -> Inputs:
        while True:
            endpoint = rng.choice(endpoints)
            values = [getattr(part, "value", None) for part in endpoint.inputs.values()]
            for place in rng.sample(range(len(values)), min(len(values), rng.choice([0, 1, 1, 1, 2, 3]))):
                values[place] = wrong_value(rng)
            values = values[:-1] if rng.random() < 0.03 else values
            yield endpoint, values

    return Subject("arguments", 10_000, inputs, lambda given: given[0].checked(given[1]))


def shown(given: Any) -> bytes:  # noqa: ANN401 - an input of a subject
    """An input as bytes, to be kept."""
    if isinstance(given, bytes):
        return given
    endpoint, values = given
    if isinstance(values, bytes):
        return f"{endpoint}\n".encode() + values
    return json.dumps([endpoint.name, values], default=str).encode("utf-8", "surrogatepass")
