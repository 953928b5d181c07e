"""ICC profiles of pictures that state their colours by numbers: in EXIF (DCF 2.0, "R03"), or as ITU-T H.273 does."""

from __future__ import annotations

import struct

from PIL import Image

INTEROPERABILITY, INDEX = 0xA005, 1  # tags
# Red, green and blue of Adobe RGB (1998) in XYZ, adapted to D50, and its gamma.
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
ADOBE_GAMMA = 563 / 256
# By the code of the primaries in ITU-T H.273, the same for the colours of wide screens and television.
WIDE = {
    9: ("BT.2020", ((0.67348, 0.27904, -0.00194), (0.16567, 0.67534, 0.02998), (0.12505, 0.04561, 0.79685))),
    12: ("Display P3", ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))),
}
SRGB_GAMMA = 2.2
HDR = (16, 18)  # codes of transfer functions: PQ, HLG
D50 = (0.9642, 1.0, 0.8249)


def profile_of(image: Image.Image) -> bytes | None:
    """The embedded profile of a picture, or the one that its EXIF names; None if there is none."""
    embedded = image.info.get("icc_profile")
    if embedded or "exif" not in image.info:
        return embedded
    try:
        index = image.getexif().get_ifd(INTEROPERABILITY).get(INDEX)
    except Exception:  # damaged metadata
        return None
    return matrix_profile("Adobe RGB (1998)", ADOBE_RGB, ADOBE_GAMMA) if str(index).startswith("R03") else None


def in_boxes(data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer that an AVIF or HEIC file states (ISO/IEC 23000-22, nclx); None if it states none."""
    place = data.find(b"colrnclx")
    return None if place < 0 or place + 12 > len(data) else struct.unpack_from(">HH", data, place + 8)


def embed(image: Image.Image, colours: tuple[int, int] | None) -> bool:
    """Give a picture the profile of its stated primaries and transfer, unless it has one.

    Returns whether it has a high dynamic range, for which there is no profile.
    """
    if colours is None or image.info.get("icc_profile"):
        return False
    primaries, transfer = colours
    if transfer in HDR:
        return True
    if primaries in WIDE:
        image.info["icc_profile"] = matrix_profile(*WIDE[primaries], SRGB_GAMMA)
    return False


def matrix_profile(name: str, primaries: tuple[tuple[float, ...], ...], gamma: float) -> bytes:
    """A display profile of version 2 (ICC.1:2001) with the XYZ (D50) of three primaries and one gamma."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name.encode() + bytes(79),
        b"cprt": b"text" + bytes(5),
        b"wtpt": _xyz(D50),
        **dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, primaries), strict=True)),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for key, value in tags.items():
        table += struct.pack(">4sII", key, start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head = (head + bytes(12) + b"acsp").ljust(68, b"\0") + _xyz(D50)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)
