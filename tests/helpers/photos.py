"""Photos as phones and cameras write them, made by Pillow from one picture."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

# ICC profiles: red, green and blue in XYZ (D50), and the gamma.
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
D50 = (0.9642, 1.0, 0.8249)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def scene(width: int = 96, height: int = 64) -> Image.Image:
    """An upright picture with no symmetry, smooth enough for JPEG, without saturated colours."""
    y, x = np.mgrid[:height, :width] / (height, width)[0]
    waves = [np.sin(5 * x + 2 * y), np.sin(3 * y - x), np.cos(4 * x * y)]
    return Image.fromarray(np.stack([128 + 70 * wave for wave in waves], axis=2).astype(np.uint8))


def interlaced(image: Image.Image) -> bytes:
    """The bytes of an interlaced RGB PNG, which Pillow does not write: seven passes over the picture (Adam7)."""
    pixels, steps = np.asarray(image), ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2))
    passes = [pixels[top::down, left::right] for top, left, down, right in (*steps, (0, 1, 2, 2), (1, 0, 2, 1))]
    rows = b"".join(b"\0" + row.tobytes() for one in passes for row in one)
    head = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 1)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def profile(name: str, primaries: tuple[tuple[float, ...], ...], gamma: float) -> bytes:
    """A minimal ICC profile of version 2: matrix and gamma."""

    def fixed(values: tuple[float, ...]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    text = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name.encode() + b"\0" + bytes(78)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0\0", b"wtpt": fixed(D50)}
    tags |= {key: fixed(one) for key, one in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    head, body = b"", b""
    for key, value in tags.items():
        padded = value + bytes(-len(value) % 4)
        head += struct.pack(">4sII", key, 132 + 12 * len(tags) + len(body), len(value))
        body += padded
    size = 132 + len(head) + len(body)
    start = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ") + bytes(12) + b"acsp"
    start = start.ljust(68, b"\0") + b"".join(struct.pack(">i", round(value * 65536)) for value in D50)
    return start.ljust(128, b"\0") + struct.pack(">I", len(tags)) + head + body


def in_profile(image: Image.Image, data: bytes) -> Image.Image:
    """The same colours as numbers of another profile."""
    other = ImageCms.ImageCmsProfile(io.BytesIO(data))
    converted = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), other)
    assert converted is not None
    return converted


def in_display_p3(image: Image.Image) -> Image.Image:
    """The same colours as numbers of Display P3 with the curve of sRGB, by the formulas of CSS Color 4."""
    light = _light(image) @ np.array(
        [[0.8224621, 0.0331941, 0.0170827], [0.1775380, 0.9668058, 0.0723974], [0, 0, 0.9105199]]
    )
    stored = np.where(light <= 0.0031308, light * 12.92, 1.055 * light.clip(0) ** (1 / 2.4) - 0.055)
    return Image.fromarray(np.rint(255 * stored.clip(0, 1)).astype(np.uint8))


def with_gamma(image: Image.Image, gamma: float) -> Image.Image:
    """The same colours as light to the power of 1 / gamma."""
    return Image.fromarray(np.rint(255 * _light(image) ** (1 / gamma)).astype(np.uint8))


def _light(image: Image.Image) -> np.ndarray:
    values = np.asarray(image) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def with_gain_map(photo: bytes, gain: bytes) -> bytes:
    """A JPEG with a second one behind it and the index of both (MPF), as phones write photos of high range."""
    entries = struct.pack(">IIIHH", 0x030000, len(photo), 0, 0, 0)
    entries += struct.pack(">IIIHH", 0, len(gain), len(photo), 0, 0)
    tags = [(0xB000, 7, 4, b"0100"), (0xB001, 4, 1, struct.pack(">I", 2)), (0xB002, 7, 32, struct.pack(">I", 50))]
    index = b"MM\0*\0\0\0\x08" + struct.pack(">H", 3)
    index += b"".join(struct.pack(">HHI4s", *tag) for tag in tags) + bytes(4) + entries
    return photo[:2] + b"\xff\xe2" + struct.pack(">H", len(index) + 6) + b"MPF\0" + index + photo[2:] + gain


def many_scans(width: int, height: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    data = encoded(Image.new("RGB", (width, height), (90, 120, 200)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]
