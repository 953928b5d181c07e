"""JPEG files before they are decoded: the number of their scans, and whether their end is missing.

libjpeg decodes every scan, and 100 KB with many scans can take minutes. So the scans are counted first. A second
picture after the first one (a preview, a gain map, an MPO frame) is ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from inversion.images.errors import BadImage

MARKER = re.compile(rb"\xff([^\x00\xff])")  # FF 00 is a byte FF of the pixels
RARE = (0xC3, *range(0xC5, 0xC8), 0xCB, *range(0xCD, 0xD0))  # frames that no decoder here reads: lossless, hierarchical
FRAMES = tuple(code for code in range(0xC0, 0xD0) if code not in (0xC4, 0xC8, 0xCC))
START, END, SCAN, RESTARTS = 0xD8, 0xD9, 0xDA, range(0xD0, 0xD8)
MAX_SCANS = 100  # encoders write 1 to 15
MAX_MARKERS = 10_000


@dataclass(frozen=True)
class Jpeg:
    """The first picture of a file. data: its bytes, with an end. cut: the end was missing."""

    data: bytes
    scans: int
    cut: bool


def first_picture(data: bytes) -> Jpeg:
    """The first picture of a JPEG file. Raises BadImage for no pixels, too many parts, or a rare coding."""
    parts, scans, place = [b"\xff\xd8"], 0, 2
    start = end = 0  # of the pixels: from the first scan
    for _ in range(MAX_MARKERS):
        found = MARKER.search(data, place)
        code = found[1][0] if found else END
        if found is None or code == END:
            end = len(data) if found is None else found.start()
            break
        place = found.end()
        if code in (START, 1, *RESTARTS):
            continue
        place += max(2, int.from_bytes(data[place : place + 2], "big"))
        if place > len(data):  # cut within the header of a part
            end, found = found.start(), None
            break
        bits = data[found.end() + 2 : found.end() + 3]
        if not start and code in FRAMES and (code in RARE or bits != b"\x08"):
            raise BadImage("The JPEG file is of a rare kind, such as 12 bits or lossless. Export it as a usual JPEG.")
        if code == SCAN:
            scans += 1
            start = start or found.end() - 2
        elif not start:  # bytes between the parts are left out
            parts.append(b"\xff" + data[found.end() - 1 : place])
    else:
        raise BadImage("The JPEG file has too many parts. Open it in an image editor and save it again.")
    if scans > MAX_SCANS:
        raise BadImage(f"The JPEG file has {scans} scans, the limit is {MAX_SCANS}. Save it again without them.")
    if not start:
        raise BadImage("The file is cut off before its first pixels. Copy or download it again.")
    return Jpeg(b"".join([*parts, data[start:end], b"\xff\xd9"]), scans, cut=found is None)
