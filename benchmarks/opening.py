"""Measures the opening of a large generator: seconds, processor seconds and peak memory, each in a fresh process.

``python -m benchmarks.opening --json opening.json`` writes a StyleGAN2 of 1024 pixels in rosinality's layout into a
temporary cache: 7/4 as wide as the published one, about 380 MB, filled like the reference outputs' networks. Then
`hub.load` opens it: "first" converts it, "warm" finds the converted copy.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

import torch
import yaml

from benchmarks.common import benchmark_parser, write_rows
from benchmarks.peaks import PEAK, memory
from inversion.checkpoints import store
from inversion.common.commands import guarded
from inversion.parity.fill import Filler
from inversion.parity.runners import MANIFESTS

NAME = "wide"
MANIFEST = "rosinality_g1024"
COMMIT = "0" * 40
CONTEXT = multiprocessing.get_context("spawn")  # a forked process would count its parent's memory


@dataclass(frozen=True)
class Opening:
    """Time and memory that one opening took."""

    seconds: float
    cpu_seconds: float
    file_mb: float
    peak_mb: float  # peak memory of the process
    grown_mb: float  # by which the opening raised it
    grown_by_file: float  # the same, divided by the size of the file


@dataclass(frozen=True)
class OpeningRow(Opening):
    """An opening with its conditions. name: "first" or "warm"."""

    name: str
    dtype: str


def widened(key: str, shape: Sequence[int]) -> list[int]:
    """A tensor's shape with 7/4 of the channels; noise maps stay, they have none."""
    return list(shape) if key.startswith("noises.") else [n * 7 // 4 if n >= 32 else n for n in shape]


def write_generator(cache: Path) -> Path:
    """Write the generator to its place in the Hub's cache, and a registry with its entry; returns the registry."""
    file = cache / f"models--benchmark--{NAME}" / "snapshots" / COMMIT / "weights.pt"
    file.parent.mkdir(parents=True)
    manifest = json.loads((MANIFESTS / f"{MANIFEST}.json").read_text(encoding="utf-8"))
    shapes = {key: (widened(key, shape), dtype) for key, (shape, dtype) in manifest.items()}
    torch.save({"g_ema": Filler()(shapes, "equalised")}, file)
    entry = {
        "kind": "generator",
        "repo_id": f"benchmark/{NAME}",
        "filename": file.name,
        "revision": COMMIT,
        "sha256": store.digests.of(file),
        "bytes": file.stat().st_size,
        "grade": "B",
        "format": "torch",
        "architecture": "stylegan2",
        "resolution": 1024,
        "domain": "noise",
        "licence": "none",
        "source": "https://example.org",
    }
    registry = cache / "checkpoints.yaml"
    registry.write_text(yaml.safe_dump({NAME: entry}), encoding="utf-8")
    return registry


def open_generator(registry: Path, dtype: str, answer: Connection) -> None:
    """In a process of its own: load the model and send time and memory."""
    from inversion.checkpoints import hub
    from inversion.checkpoints import registry as module

    with patch.object(module, "REGISTRY", registry):
        before, wall, processor = memory(PEAK), time.perf_counter(), time.process_time()
        model = hub.load(NAME, "cpu", dtype)
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - processor
    size = module.registry(registry)[model.name].bytes or 0
    peak = memory(PEAK)
    answer.send(Opening(seconds, cpu_seconds, size / 1e6, peak / 1e6, (peak - before) / 1e6, (peak - before) / size))


def measure(registry: Path, dtype: str) -> Opening:
    """Open the generator in a fresh process; returns its time and memory. Raises RuntimeError if it fails."""
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=open_generator, args=(registry, dtype, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise RuntimeError("the process that opens the generator ended without an answer") from None
    finally:
        process.join()


def main(argv: Sequence[str] | None = None) -> int:
    """Open the generator several times and write a row for each."""
    args = benchmark_parser("opening", __doc__).parse_args(argv)
    rows: list[OpeningRow] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_HUB_CACHE"] = folder  # inherited by the new processes
        registry = write_generator(Path(folder))
        for name, dtype in (("first", "float32"), ("warm", "float32"), ("warm", "bfloat16")):
            rows.append(OpeningRow(**asdict(measure(registry, dtype)), name=name, dtype=dtype))
            sys.stdout.write(
                "{name:<6} {dtype:<9} {seconds:6.2f} s  {cpu_seconds:6.2f} s of processor  "
                "{grown_mb:6.0f} MB, {grown_by_file:.2f} x the file\n".format(**asdict(rows[-1]))
            )
    write_rows(args.json, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("python -m benchmarks.opening", main))
