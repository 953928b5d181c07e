"""ICC profiles of pictures that state their colours by numbers: as DCF 2.0 (EXIF), ITU-T H.273 or PNG say it."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

INTEROPERABILITY, INDEX = 0xA005, 1  # tags
D50 = (0.9642, 1.0, 0.8249)  # white of a profile, XYZ
D65 = (0.3127, 0.3290)
BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))  # XYZ to cones (ICC.1)
# Positions (x, y) of white, red, green and blue.
SRGB = (D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE_RGB = (D65, (0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
DISPLAY_P3 = (D65, (0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
BT_2020 = (D65, (0.708, 0.292), (0.17, 0.797), (0.131, 0.046))
NAMES = {ADOBE_RGB: "Adobe RGB (1998)", DISPLAY_P3: "Display P3", BT_2020: "BT.2020"}
CODES = {9: BT_2020, 12: DISPLAY_P3}  # of primaries in ITU-T H.273; other pictures are taken as sRGB
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}  # of transfer functions in ITU-T H.273; the others count as sRGB's
HDR = (16, 18)  # codes of transfer functions: PQ, HLG
ADOBE_GAMMA = 563 / 256
USUAL_GAMMA = 1 / 0.45455  # that PNG files state for the curve of sRGB
WITHIN = 0.01  # largest difference of positions and gammas that are the same
MAX_GAMMA = 5.0  # largest and, as its inverse, smallest gamma that is believed
MIN_AREA = 0.02  # of the triangle of the primaries; that of sRGB has 0.11
CURVE = 1024  # values of the curve of sRGB in a profile

Position = tuple[float, float]
Positions = tuple[Position, Position, Position, Position]


class Colours(NamedTuple):
    """Colours that a file states. gamma: None for the curve of sRGB. high_range: the picture is HDR."""

    primaries: Positions = SRGB
    gamma: float | None = None
    high_range: bool = False


def profile_of(image: Image.Image) -> bytes | None:
    """The embedded profile of a picture, or the one that its EXIF names; None if there is none."""
    embedded = image.info.get("icc_profile")
    if embedded or "exif" not in image.info:
        return embedded
    try:
        index = image.getexif().get_ifd(INTEROPERABILITY).get(INDEX)
    except Exception:  # damaged metadata
        return None
    return profile(Colours(ADOBE_RGB, ADOBE_GAMMA)) if str(index).startswith("R03") else None


def by_codes(primaries: int, transfer: int) -> Colours:
    """The colours of codes of ITU-T H.273."""
    return Colours(CODES.get(primaries, SRGB), GAMMAS.get(transfer), transfer in HDR)


def by_chunks(gamma: int | None, positions: tuple[int, ...] | None) -> Colours:
    """The colours of a PNG file by its chunks gAMA and cHRM (PNG, third edition), in units of 1/100,000.

    Values that no screen has are ignored.
    """
    exponent = 100_000 / gamma if gamma else USUAL_GAMMA
    believed = abs(exponent - USUAL_GAMMA) >= WITHIN and 1 / MAX_GAMMA <= exponent <= MAX_GAMMA
    return Colours(_screen(positions), exponent if believed else None)


def _screen(numbers: tuple[int, ...] | None) -> Positions:
    """White, red, green and blue from eight numbers, as one of the known screens if they are close to it."""
    if numbers is None:
        return SRGB
    x, y = np.array(numbers).reshape(4, 2).T / 100_000
    area = abs((x[2] - x[1]) * (y[3] - y[1]) - (x[3] - x[1]) * (y[2] - y[1])) / 2
    if min(y) <= 0 or max(x + y) > 1 or area < MIN_AREA:
        return SRGB
    white, red, green, blue = ((float(one), float(other)) for one, other in zip(x, y, strict=True))
    found = (white, red, green, blue)
    return next((one for one in (SRGB, *NAMES) if np.abs(np.subtract(one, found)).max() < WITHIN), found)


def in_boxes(data: bytes) -> Colours | None:
    """The colours that an AVIF or HEIC file states (ISO/IEC 23000-22, nclx); None if it states none."""
    place = data.find(b"colrnclx")
    if place < 0 or place + 12 > len(data):
        return None
    return by_codes(*struct.unpack_from(">HH", data, place + 8))


def embed(image: Image.Image, colours: Colours | None) -> bool:
    """Give a picture the profile of its stated colours, unless it has one.

    Returns whether it has a high dynamic range, for which there is no profile.
    """
    if colours is None or image.info.get("icc_profile"):
        return False
    if colours.high_range:
        return True
    if colours != Colours():
        image.info["icc_profile"] = profile(colours)
    return False


@lru_cache(maxsize=16)
def profile(colours: Colours) -> bytes:
    """A display profile of version 2 (ICC.1:2001)."""
    name = NAMES.get(colours.primaries, "another colour space")
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name.encode() + bytes(79),
        b"cprt": b"text" + bytes(5),
        b"wtpt": _xyz(D50),
        **dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, _matrix(colours.primaries)), strict=True)),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(colours.gamma)),
    }
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for key, value in tags.items():
        table += struct.pack(">4sII", key, start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head = (head + bytes(12) + b"acsp").ljust(68, b"\0") + _xyz(D50)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _matrix(positions: Positions) -> list[tuple[float, ...]]:
    """Red, green and blue as XYZ, for a white of D50 (Bradford)."""
    white, *primaries = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in positions)
    columns = np.stack(primaries, axis=1)
    columns = columns * np.linalg.solve(columns, white)  # so that equal parts are white
    cones = np.array(BRADFORD)
    adapted = np.linalg.solve(cones, (cones @ np.array(D50) / (cones @ white))[:, None] * (cones @ columns))
    return [tuple(map(float, column)) for column in adapted.T]


def _curve(gamma: float | None) -> bytes:
    """The curve from stored values to light: a power, or that of sRGB (IEC 61966-2-1)."""
    if gamma is not None:
        return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    values = np.linspace(0, 1, CURVE)
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return b"curv" + bytes(4) + struct.pack(">I", CURVE) + np.rint(light * 65535).astype(">u2").tobytes()


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)
