"""`convert`: list the networks in a foreign checkpoint, and write them as one safetensors file."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from inversion.checkpoints import store
from inversion.checkpoints.registry import BadCheckpoint, Entry, registry
from inversion.cli.common import write_table
from inversion.common.commands import Parser, UsageError, guarded
from inversion.encoders import SAME_TENSORS

if TYPE_CHECKING:
    from inversion.checkpoints.convert import Contents, Part


def main(argv: list[str]) -> int:
    """Print the contents of a file and the output path, then convert it."""
    parser = Parser(
        prog="python -m inversion convert",
        description="List the networks in a checkpoint, then write them as safetensors, or a direction or a "
        "latent code as NumPy arrays. No program code in the file is executed.",
        allow_abbrev=False,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="safetensors, PyTorch, NumPy or NVIDIA pickle")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--as", dest="name", metavar="NAME", help="registered file with manual download, see `models`")
    where.add_argument("--out", type=Path, metavar="FILE", help="default: next to FILE, as .safetensors, .npy or .npz")
    parser.add_argument(
        "--encoder",
        choices=SAME_TENSORS,
        help="architecture of an encoder, if the file fits both and does not name it",
    )
    parser.add_argument("--dry-run", action="store_true", help="only list the contents")
    args = parser.parse_args(argv)

    def run() -> None:
        from inversion.checkpoints.convert import convert, inspect  # imports all networks

        entry = None if args.name is None else _entry(args.name)
        meant = entry.architecture if entry is not None and entry.kind == "encoder" else None
        encoder = args.encoder or meant
        contents = inspect(args.file, encoder)
        if entry is not None:
            _check(args.file, contents, entry)
            out = store.converted(contents.sha256)
        else:
            out = args.out or args.file.with_suffix(_suffix(contents.networks[0]))
        _report(args.file, contents, out)
        taken = f"{out} exists already: choose another path with --out" if entry is None and out.exists() else ""
        if args.dry_run:
            sys.stdout.write(f"{taken}\n" if taken else "")
            return
        if taken:
            raise UsageError(taken)
        if convert(args.file, out, encoder) != contents:
            out.unlink()
            raise BadCheckpoint(f"{args.file.name} changed while it was read: try again")
        if entry is not None:
            store.seal(out)
            store.learn(entry, contents.sha256, contents.bytes)
        sys.stdout.write(f"written: {out} ({out.stat().st_size:,} bytes)\n")

    return guarded(parser.prog, run)


def _entry(name: str) -> Entry:
    """The registered entry of the file. Raises UsageError unless the entry has a manual download."""
    entries = registry()
    if name not in entries or not entries[name].by_hand:
        known = ", ".join(entry.name for entry in entries.values() if entry.by_hand) or "none"
        raise UsageError(f"--as {name}: not a registered file with manual download: choose from {known}")
    return entries[name]


def _check(file: Path, contents: Contents, entry: Entry) -> None:
    """Raises BadCheckpoint if the file is not the one that the entry describes."""
    sha256, _ = store.expected(entry)
    if sha256 is not None and sha256 != contents.sha256:
        found = f"its sha256 is {contents.sha256[:12]}..., not {sha256[:12]}..."
        raise BadCheckpoint(f"{file.name} is not the file of {entry.name}: {found}")
    part = next((part for part in contents.networks if part.kind == entry.kind), None)
    if part is None:
        raise BadCheckpoint(f"{file.name} holds no {entry.kind}, but {entry.name} is one")
    resolution = entry.resolution if entry.kind == "generator" else part.resolution
    if (part.architecture, part.resolution) != (entry.architecture, resolution):
        wanted, found = f"{entry.architecture} of {resolution}", f"{part.architecture} of {part.resolution} pixels"
        raise BadCheckpoint(f"{file.name}: {entry.name} is {wanted} pixels, but the file holds {found}")


def _suffix(part: Part) -> str:
    """The suffix of the converted file: of a lone direction, a code, or tensors by name."""
    return ".npz" if part.kind == "code" else ".npy" if part.layout == "tensor" else ".safetensors"


def _report(file: Path, contents: Contents, out: Path) -> None:
    sys.stdout.write(f"{file.name}: {contents.format}, {contents.bytes:,} bytes, sha256 {contents.sha256}\n")
    columns = ["kind", "architecture", "layout", "resolution", "num_ws", "inputs", "channels", "weights"]
    rows = [{key: value or "" for key, value in asdict(part).items()} for part in contents.networks]
    write_table([{**row, "channels": " ".join(map(str, row["channels"]))} for row in rows], columns)
    for part in contents.networks:
        if part.measured:
            sys.stdout.write(f"{part.kind}: the file has no mean style, so it was computed from mapped codes\n")
    for note in contents.notes:
        sys.stdout.write(f"{note}\n")
    sys.stdout.write(f"output: {out}\n")
    sys.stdout.flush()
