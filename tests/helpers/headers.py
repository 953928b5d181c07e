"""Safetensors files with hostile headers."""

from __future__ import annotations

import json
import struct


def headed(text: str, length: int | None = None, body: bytes = b"\0" * 64) -> bytes:
    """A file with this header and body; `length` is the stated length of the header, by default the true one."""
    raw = text.encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + body


def of_tensor(**changes: object) -> str:
    """The header of a file with one tensor of 16 numbers, with some fields changed."""
    return json.dumps({"a": {"dtype": "F32", "shape": [16], "data_offsets": [0, 64], **changes}})


HOSTILE = {
    "endless": headed("{}", length=2**63 - 1),
    "long": headed("{}", length=200 * 2**20),
    "overlap": headed(json.dumps({k: {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]} for k in "ab"})),
    "hole": headed(of_tensor(data_offsets=[8, 72]), body=b"\0" * 72),
    "negative": headed(of_tensor(data_offsets=[-8, 56])),
    "overflow": headed(of_tensor(shape=[2**40, 2**40])),
    "mismatch": headed(of_tensor(shape=[15])),
    "type": headed(of_tensor(dtype="F33")),
    "cut": headed(of_tensor())[:-8],
    "no json": headed("not json"),
    "pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94",
    "short": b"\0",
}
