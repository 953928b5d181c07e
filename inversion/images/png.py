"""PNG files before they are decoded: without text and frames, and with an end.

Pillow refuses whole files if their text chunks are long (workflows, prompts) or if their end is missing. So only the
chunks that concern the pixels are passed on.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from inversion.images.errors import BadImage
from inversion.images.profiles import Colours, by_chunks, by_codes

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
PROFILE = b"iCCP"
STATING = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}  # chunks that state colours -> bytes
TURNS = {b"eXIf": b"", b"zTXt": b"Raw profile type exif", b"iTXt": b"XML:com.adobe.xmp"}  # may hold the orientation
MAX_CHUNKS = 100_000
MAX_TEXT = 2**20  # bytes of a chunk in TURNS or of a profile, when it is inflated; Pillow's own limit
DEFLATE = 1032  # largest ratio of a deflated stream
MIN_SHARE = 0.02  # smallest fraction of the pixels that the file must contain


@dataclass(frozen=True)
class Png:
    """The first picture of a file. cut: the end was missing. frames: there are more pictures.

    empty: the file has almost none of the pixels that its header states. colours: those that it states by numbers.
    """

    data: bytes
    empty: bool
    cut: bool
    frames: bool
    colours: Colours | None


def first_picture(data: bytes) -> Png:
    """The first picture of a PNG file. Raises BadImage if it has too many parts."""
    parts, cut, frames, stream = [SIGNATURE], True, False, 0
    stated: dict[bytes, bytes] = {}
    for count, (kind, body, whole) in enumerate(_chunks(data)):
        if count > MAX_CHUNKS:
            raise BadImage("The PNG file has too many parts. Open it in an image editor and save it again.")
        if kind == b"CgBI":
            raise BadImage("The PNG file is made for iOS apps. Open it on an Apple device and save it as a usual PNG.")
        if kind == b"IEND":
            cut = False
            break
        if STATING.get(kind) == len(body):
            stated.setdefault(kind, body)
        frames |= kind == b"acTL" and body[:4] > b"\0\0\0\1"
        if kind == b"IDAT":
            stream += len(body)
        if (kind in PIXELS and (whole or kind == b"IDAT")) or (whole and _is_small(kind, body)):
            checksum = zlib.crc32(body, zlib.crc32(kind))
            parts += [struct.pack(">I", len(body)), kind, body, struct.pack(">I", checksum)]
    empty = stream * DEFLATE < MIN_SHARE * _raw_size(data)
    parts += [struct.pack(">I", 0), b"IEND", struct.pack(">I", zlib.crc32(b"IEND"))]
    return Png(b"".join(parts), empty, cut, frames, _colours(stated))


def _colours(chunks: Mapping[bytes, bytes]) -> Colours | None:
    """The colours that the chunks of STATING state; None for none. The first of cICP, sRGB, gAMA with cHRM counts."""
    if b"cICP" in chunks:
        return by_codes(chunks[b"cICP"][0], chunks[b"cICP"][1])
    if b"sRGB" in chunks or not chunks:
        return None
    numbers = {kind: struct.unpack(f">{len(body) // 4}I", body) for kind, body in chunks.items()}
    return by_chunks(numbers.get(b"gAMA", (None,))[0], numbers.get(b"cHRM"))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Kind, body and whether the body is whole, for every chunk. Raises BadImage for a wrong checksum of the header."""
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        ends = data[place + 8 + length : place + 12 + length]
        place += 12 + length
        # The stream of the pixels has its own checksum, so some writers leave this one wrong.
        if len(ends) == 4 and kind in PIXELS[:3] and ends != struct.pack(">I", zlib.crc32(body, zlib.crc32(kind))):
            raise BadImage("The picture is damaged: its checksum is wrong. Copy or download it again.")
        yield kind, body, len(body) == length


def _is_small(kind: bytes, body: bytes) -> bool:
    """True for a profile or an orientation that does not exceed MAX_TEXT."""
    if kind == PROFILE:
        return _inflates(body.partition(b"\0")[2][1:])
    if kind not in TURNS or len(body) > MAX_TEXT or not body.startswith(TURNS[kind]):
        return False
    text = body.partition(b"\0")[2]
    return {b"zTXt": _inflates(text[1:]), b"iTXt": text[:1] == b"\0"}.get(kind, True)


def _inflates(stream: bytes) -> bool:
    """True if a deflated stream is whole and has at most MAX_TEXT bytes."""
    reader = zlib.decompressobj()
    try:
        reader.decompress(stream, MAX_TEXT)
    except zlib.error:
        return False
    return reader.eof


def _raw_size(data: bytes) -> int:
    """Bytes of all rows according to the header."""
    if data[12:16] != b"IHDR" or len(data) < 26:
        return 2**62
    width, height, depth, kind = struct.unpack_from(">IIBB", data, 16)
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(kind, 1)
    return height * ((width * bits + 7) // 8 + 1)
