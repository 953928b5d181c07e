"""WebP files before they are decoded: a file whose metadata are cut off is given without them.

libwebp decodes complete files only, so a file that ends within its pixels is refused.
"""

from __future__ import annotations

from inversion.images.errors import BadImage

HEAD = 12  # bytes "RIFF", size, "WEBP"
PIXELS = (b"VP8 ", b"VP8L", b"ANMF")
FLAGS = {b"EXIF": 0x08, b"XMP ": 0x04}  # bits of the header that announce metadata


def complete(data: bytes, notes: list[str]) -> bytes:
    """The file with a true size in its header. Adds a note if its end is missing. Raises BadImage if pixels are."""
    size = int.from_bytes(data[4:8], "little") + 8
    if len(data) >= size:
        return data
    parts, place, pixels = [], HEAD, 0
    while place + 8 <= len(data):
        kind, length = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        end = place + 8 + length
        if end > len(data):
            break
        parts.append(data[place:end] + bytes(length % 2))
        pixels += kind in PIXELS
        place = end + length % 2
    if not pixels:
        share = f"{len(data):,} of {size:,} bytes"
        raise BadImage(f"The WebP file is cut off: only {share} are there. Copy or download it again.")
    names = {part[:4] for part in parts}
    if parts[0][:4] == b"VP8X":
        lost = sum(bit for kind, bit in FLAGS.items() if kind not in names)
        parts[0] = parts[0][:8] + bytes([parts[0][8] & ~lost]) + parts[0][9:]
    notes.append("The end of the file is missing; the picture seems to be complete.")
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + len(body).to_bytes(4, "little") + body
