"""The two containers of torch.save, read with placeholders where PyTorch refuses: zip archives and old streams."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from inversion.checkpoints.accidents import CUT
from inversion.checkpoints.unpickle import STORAGES, Inert, Refused, load_inert, load_plain, one_line

LOCAL_HEADER = 30  # bytes before the name in a zip archive's record
MODULES = b"_reconstruct_persistent_obj"  # in pickles of NVIDIA's networks, which PyTorch always refuses


def load_archive(path: Path, archive: zipfile.ZipFile) -> object:
    """The content of a torch.save archive, with `Inert` for objects of unknown classes. Raises Refused."""
    name = next(entry for entry in archive.namelist() if entry.endswith("data.pkl"))
    pickled = archive.read(name)
    if MODULES not in pickled:
        try:
            return load_plain(path, mmap=True)
        except Refused:
            pass  # read again, with placeholders: still without any code
    return load_inert(io.BytesIO(pickled), _archived(path, archive, name.removesuffix("data.pkl")))


def load_stream(path: Path) -> object:
    """The content of a torch.save file of PyTorch before 1.6, with `Inert` for unknown classes. Raises Refused."""
    try:
        return load_plain(path)
    except Refused:
        pass  # as above
    with path.open("rb") as file:
        for _ in range(3):  # a number that marks the format, its version, and sizes of types
            load_inert(file)
        storages = _Streamed(path.stat().st_size)
        content = load_inert(file, storages)
        storages.fill(file, load_inert(file))
    return content


def _archived(path: Path, archive: zipfile.ZipFile, folder: str) -> Callable[[object], object]:
    """The function that returns the storage of a persistent id, mapped from the archive."""
    data = torch.from_numpy(np.memmap(path, np.uint8, "c"))  # copy-on-write: the file never changes
    found: dict[str, Tensor] = {}

    def storage(pid: object) -> object:
        kind, dtype, key = pid[:3] if isinstance(pid, tuple) and len(pid) > 2 else (None, None, None)
        if kind != "storage" or dtype not in STORAGES or not isinstance(key, str):
            return Inert(pid)
        if key not in found:
            found[key] = _record(data, archive, f"{folder}data/{key}", STORAGES[dtype])
        return found[key]

    return storage


def _record(data: Tensor, archive: zipfile.ZipFile, name: str, dtype: torch.dtype) -> Tensor:
    """The numbers of a record of an archive. Raises Refused."""
    try:
        member = archive.getinfo(name)
    except KeyError:
        raise Refused(f"it lacks its record {one_line(name)}: download it again") from None
    start = member.header_offset
    head = bytes(data[start : start + LOCAL_HEADER].numpy())
    if len(head) < LOCAL_HEADER or member.compress_type != zipfile.ZIP_STORED:
        raise Refused(CUT)
    start += LOCAL_HEADER + sum(struct.unpack("<HH", head[26:30]))
    values = data[start : start + member.file_size]
    if len(values) < member.file_size or member.file_size % dtype.itemsize:
        raise Refused(CUT)
    return values.view(dtype) if start % dtype.itemsize == 0 else values.clone().view(dtype)


class _Streamed:
    """The storages of an old torch.save file: empty while its pickle is read, filled from what follows it."""

    def __init__(self, size: int) -> None:
        self.left = size  # bytes that the file can still hold
        self.storages: dict[str, Tensor] = {}

    def __call__(self, pid: object) -> object:
        if not isinstance(pid, tuple) or len(pid) < 2:
            return Inert(pid)
        if pid[0] == "module":
            return pid[1]  # a class, which the file names together with its source text
        if pid[0] != "storage" or len(pid) < 5 or pid[1] not in STORAGES or not isinstance(pid[4], int):
            return Inert(pid)
        dtype, key, count, view = pid[1], str(pid[2]), pid[4], pid[5] if len(pid) > 5 else None
        if key not in self.storages:
            self.left -= count * STORAGES[dtype].itemsize
            if count < 0 or self.left < 0:
                raise Refused(CUT)
            self.storages[key] = torch.empty(count, dtype=STORAGES[dtype])
        storage = self.storages[key]
        return storage if view is None else storage[view[1] : view[1] + view[2]]

    def fill(self, file: BinaryIO, keys: object) -> None:
        """Read the numbers of all storages. Raises Refused."""
        for key in keys if isinstance(keys, list) else ():
            count = int.from_bytes(file.read(8), "little")
            storage = self.storages.pop(str(key), None)
            if storage is None or count != len(storage):
                raise Refused(CUT)
            if count and file.readinto(storage.view(torch.uint8).numpy()) != count * storage.itemsize:  # type: ignore[attr-defined]
                raise Refused(CUT)
        if self.storages:
            raise Refused(CUT)
