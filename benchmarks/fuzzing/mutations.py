"""Random damage to files: to their bytes, and to the parts of a format, whose sums and lengths are then made right."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress

MOST_CHANGES = 4  # of one file
LONGEST_INSERT, LONGEST = 1 << 16, 1 << 20  # bytes
PNG = b"\x89PNG\r\n\x1a\n"
NUMBERS = (0, 1, -1, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1)
TOKENS = (
    *("0", "-1", "1e999", "nan", "null", "true", "[]", "{}", '""', "9" * 400, "0x", "1_000", "2024-01-01", "..", "/"),
    *('"\\ud800"', "'", '"', "[" * 300, "{" * 300, "{'a':" * 100, "&a [*a, *a]", "*a", "<<: *a", "? ", "- ", ": "),
    *("!!python/object/apply:os.system [id]", "!!binary aGk=", "!!set {a}", "!!timestamp x", "%TAG ! x", "---", "\x00"),
    *("\n", "\t", "#", ",", "]", "}", "(", ")", "(1,)", "-" * 50, "\ufeff", "\u2028", "é" * 50, "None", "lambda: 0"),
    *("'|O'", "'<f4'", "'<U99999999'", "[('a', '<f4')]", "(2**40,)", "(9999999999,)", "(-1,)", "True"),
)
Change = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def mutated(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A damaged copy of a file. others: good files, of which pieces may be inserted."""
    if rng.random() < 0.5:
        with suppress(Exception):  # a file that has been damaged before may have no parts
            found = _in_parts(rng, data, others)
            if found is not None:
                return found
    return _changed(rng, data, others)


def _changed(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Bytes, or words if it is a text, with a few changes."""
    made = bytearray(data)
    words = all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in data[:4096]) and rng.random() < 0.8
    for _ in range(rng.randint(1, MOST_CHANGES)):
        rng.choice(WORDS if words else BYTES)(rng, made, others)
    return bytes(made[:LONGEST])


def _span(rng: random.Random, data: bytearray) -> tuple[int, int]:
    """A random part of the data, mostly a short one."""
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + int(2 ** rng.uniform(0, 10)))


def _flip(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    for _ in range(rng.choice([1, 1, 1, 2, 8]) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _replace(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _number(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    size, order = rng.choice([1, 2, 4, 8]), rng.choice(["little", "big"])
    place = rng.randrange(len(data) + 1)
    data[place : place + size] = (rng.choice(NUMBERS) % 2 ** (8 * size)).to_bytes(size, order)


def _delete(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    start, end = _span(rng, data)
    del data[start:end]


def _repeat(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    start, end = _span(rng, data)
    count = min(rng.choice([1, 2, 100, 5000]), LONGEST_INSERT // max(1, end - start))
    data[end:end] = data[start:end] * count


def _insert(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    place = rng.randrange(len(data) + 1)
    data[place:place] = rng.choice([rng.randbytes(rng.randint(1, 64)), bytes(rng.randint(1, 4096))])


def _cut(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _splice(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    other = bytearray(rng.choice(others))
    start, end = _span(rng, other)
    place, until = _span(rng, data)
    data[place : rng.choice([place, until])] = other[start:end]


def _swap(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    (start, end), place = _span(rng, data), rng.randrange(len(data) + 1)
    piece = data[start:end]
    del data[start:end]
    data[place:place] = piece


def _token(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    """Put a token at the place of a word, or between two words."""
    ends = [place for place, byte in enumerate(data[:LONGEST_INSERT]) if byte in b" \n,:[]{}()'\""] or [0]
    start = rng.choice(ends)
    end = next((place for place in ends if place > start), len(data))
    data[start + 1 : rng.choice([start + 1, end])] = rng.choice(TOKENS).encode("utf-8", "surrogatepass")


def _lines(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    """Shuffle, repeat or drop lines."""
    lines = bytes(data).split(b"\n")
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    action = rng.randrange(3)
    if action == 0:
        lines[first], lines[second] = lines[second], lines[first]
    elif action == 1:
        lines[first:first] = [lines[second]] * rng.choice([1, 1, 1000])
    else:
        del lines[first]
    data[:] = b"\n".join(lines)


BYTES: tuple[Change, ...] = (_flip, _replace, _number, _number, _delete, _repeat, _insert, _cut, _splice, _swap)
WORDS: tuple[Change, ...] = (_token, _token, _token, _lines, _delete, _swap, _repeat, _flip)


def _in_parts(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes | None:
    """The file with one damaged part and right lengths and sums. None if its format has no parts."""
    if data.startswith(PNG):
        return _png(rng, data, others)
    if data.startswith(b"PK\3\4"):
        return _archive(rng, data, others)
    if data.startswith(b"\x93NUMPY"):
        size = struct.unpack_from("<H", data, 8)[0]
        header = _changed(rng, data[10 : 10 + size], others)[:65535]
        return data[:8] + struct.pack("<H", len(header)) + header + data[10 + size :]
    if data[8:9] == b"{":
        size = int.from_bytes(data[:8], "little")
        header = _header(rng, data[8 : 8 + size], others)
        return len(header).to_bytes(8, "little") + header + data[8 + size :]
    return None


def _png(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A PNG file with a damaged, repeated or moved chunk. The pixels are damaged before they are deflated."""
    chunks, place = [], len(PNG)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        chunks.append((kind, data[place + 8 : place + 8 + length]))
        place += 12 + length
    which = rng.randrange(len(chunks))
    kind, body = chunks[which]
    if kind == b"IDAT" and rng.random() < 0.7:
        body = zlib.compress(_changed(rng, zlib.decompress(body), others))
    else:
        body = _changed(rng, body, others)
    chunks[which] = (kind, body)
    if rng.random() < 0.2:
        chunks.insert(rng.randrange(len(chunks)), rng.choice(chunks))
    parts = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(b, zlib.crc32(k))) for k, b in chunks]
    return b"".join([PNG, *parts])


def _archive(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A zip archive with a damaged, missing, renamed or packed member."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(member.filename, archive.read(member)) for member in archive.infolist()]
    which = rng.randrange(len(members))
    name, content = members[which]
    action = rng.randrange(8)
    if action == 0:
        del members[which]
    elif action == 1:
        members[which] = (rng.choice(["../x", "/x", "", "a/data.pkl", rng.choice(members)[0], "\u202e.npy"]), content)
    else:
        found = _in_parts(rng, content, others) if rng.random() < 0.7 else None
        members[which] = (name, found or _changed(rng, content, others))
    out = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def _header(rng: random.Random, header: bytes, others: Sequence[bytes]) -> bytes:
    """The header of a safetensors file: a text with damage, or other values in the JSON."""
    if rng.random() < 0.5:
        return _changed(rng, header, others)
    tree = json.loads(header)
    name = rng.choice(list(tree))
    if isinstance(tree[name], dict) and tree[name] and rng.random() < 0.8:
        key = rng.choice(list(tree[name]))
        tree[name][key] = rng.choice(
            [None, [], [0], [-1, 2], [2**62] * 2, "F32", "F8_E4M3", "x", {}, 0, [1, 2, 3], "{}"]
        )
    else:
        tree[rng.choice(["generator", "", "generator.", "code.ws", "x" * 200, "\ud800"])] = tree.pop(name)
    return json.dumps(tree).encode()
