"""From the bytes of a file to a picture of Pillow with a checked size, before its pixels are decoded.

The header states the cost of decoding, which is limited here: bytes, pixels, scans, frames.
"""

from __future__ import annotations

import importlib
import io
import math
import warnings
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageFile, features

from inversion.common.texts import is_text
from inversion.images import jpeg, png, profiles, webp
from inversion.images.errors import BadImage

MIN_SIDE, MAX_SIDE = 8, 16384
MAX_PIXELS = 4096 * 4096  # of a picture after reading; larger pictures are shrunk
SCANS_TIMES_PIXELS = 10**9  # of a JPEG, about 5 s
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF")

# Largest numbers of pixels that can be decoded in about 400 MiB. A JPEG of one scan is shrunk while it is decoded.
LARGEST: Mapping[str, int] = {
    "PNG": 50 * 10**6,
    "JPEG": 128 * 10**6,
    "progressive JPEG": 50 * 10**6,
    "WEBP": MAX_PIXELS,
    "GIF": MAX_PIXELS,
    "TIFF": 50 * 10**6,
    "BMP": 50 * 10**6,
    "AVIF": 32 * 10**6,
    "HEIF": 50 * 10**6,
}
# The plugins are used instead of `Image.open`, whose limit applies to the whole process.
PLUGINS: Mapping[str, tuple[str, str]] = {
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIF": ("pillow_heif", "HeifImageFile"),
}
SIGNATURES: tuple[tuple[str, int, bytes], ...] = (
    ("PNG", 0, png.SIGNATURE),
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("WEBP", 8, b"WEBP"),
    ("GIF", 0, b"GIF87a"),
    ("GIF", 0, b"GIF89a"),
    ("camera raw", 8, b"CR\2\0"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("TIFF", 0, b"II+\0"),  # BigTIFF
    ("TIFF", 0, b"MM\0+"),
    ("BMP", 0, b"BM"),
    ("JPEG XL", 0, b"\xff\x0a"),
    ("JPEG XL", 4, b"JXL "),
    ("JPEG 2000", 4, b"jP  "),
    ("camera raw", 0, b"FUJIFILMCCD-RAW"),
    *(("camera raw", 0, mark) for mark in (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")),
    ("camera raw", 4, b"ftypcrx "),
    ("Photoshop", 0, b"8BPS"),
    ("PDF", 0, b"%PDF"),
    ("ZIP", 0, b"PK\3\4"),
    ("GZIP", 0, b"\x1f\x8b"),
    ("NumPy", 0, b"\x93NUMPY"),
    ("GIMP", 0, b"gimp xcf"),
    ("OpenEXR", 0, b"v/1\x01"),
    ("Radiance HDR", 0, b"#?"),
    ("DICOM", 128, b"DICM"),
    ("QOI", 0, b"qoif"),
    ("EPS", 0, b"%!PS"),
    ("video", 0, b"\x1aE\xdf\xa3"),  # Matroska and WebM
    ("video", 8, b"AVI LIST"),
    ("icon", 0, b"icns"),
    ("icon", 0, b"\0\0\1\0"),
    *(("Netpbm", 0, b"P%d" % kind) for kind in range(1, 8)),
)
JSON = "a JSON text, such as a message of a server or the outlines of a mask: export it as PNG or download it again"
# Texts that stand where a picture should be, by their first characters in small letters.
TEXTS: tuple[tuple[bytes, str], ...] = (
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an SVG drawing or another XML file"),
    (b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull` in its repository to get the picture"),
    (b"<", "a web page, which sites send if a login is needed: open the link in a browser and download the picture"),
    (b"{", JSON),
    (b"[", JSON),
)
BRANDS = {  # of files that begin with a box "ftyp"; the first match counts
    "AVIF": (b"avif", b"avis"),
    "HEIF": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
    "video": (b"isom", b"iso2", b"mp41", b"mp42", b"qt  ", b"M4V ", b"3gp4", b"3gp5"),
}
SUBFILE_TYPE, DNG_VERSION = 254, 50706  # tags of TIFF

# Pillow raises above twice this number in the whole process, so also if gradio decodes a file before our code runs.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
# Between this number and twice this number, Pillow only warns. Our own code checks the size itself.
warnings.filterwarnings("ignore", module=r"PIL\.")


CUT = "The file is cut off; the missing part is grey."
HELP = {
    "HEIF": "a HEIC photo, which needs the Python package pillow-heif on the computer of the hub",
    "AVIF": "an AVIF picture, which needs a Pillow with AVIF on the computer of the hub",
    "camera raw": "a camera raw file",
    "video": "a video",
    "PDF": "a PDF document",
    "ZIP": "a ZIP archive or a PyTorch file",
    "GZIP": "a packed file",
    "NumPy": "a NumPy array",
    "icon": "an icon",
    "OpenEXR": "an OpenEXR picture",
}


def opened(data: bytes, notes: list[str]) -> ImageFile.ImageFile:
    """The first picture of a file, not yet decoded. Sentences for the user are added to `notes`.

    Raises BadImage; plugins of Pillow raise other errors for damaged files.
    """
    form = _format_of(data)
    plugin = _plugin(form)
    if form == "JPEG":
        photo = jpeg.first_picture(data)
        image = plugin(io.BytesIO(photo.data))
        _check_size(image, "progressive JPEG" if photo.scans > 1 else form)
        if photo.scans * math.prod(image.size) > SCANS_TIMES_PIXELS:
            raise BadImage(f"The JPEG file has {photo.scans} scans. Open it in an image editor and save it again.")
        if photo.cut:
            notes.append(CUT)
        _draft(image)
        return image
    several, empty, colours = False, False, profiles.in_boxes(data) if form in ("AVIF", "HEIF") else None
    if form == "WEBP":
        data = webp.complete(data, notes)
    if form == "AVIF":
        _check_boxes(data)
    if form == "PNG":
        first = png.first_picture(data)
        data, several, empty, colours = first.data, first.frames, first.empty, first.colours
        if first.cut:
            notes.append(CUT)
    try:
        image = plugin(io.BytesIO(data))
    except SyntaxError:
        if form != "TIFF":
            raise
        raise BadImage("The TIFF file is damaged or of a rare kind. Export the picture as JPEG or PNG.") from None
    _check_size(image, form)
    if empty:
        raise BadImage("The file holds almost none of the pixels that its header states. Copy or download it again.")
    if form == "TIFF":
        _check_tiff(image)
    if profiles.embed(image, colours):
        notes.append(
            "The picture has a high dynamic range (HDR), so its colours look pale. Export it in a standard range."
        )
    if several or getattr(image, "is_animated", False):
        notes.append("The file has several frames or pages. The first one is used.")
    return image


def _format_of(data: bytes) -> str:
    """The format, by the first bytes. Raises BadImage, which names the format if it is known but not supported."""
    form = next((name for name, place, mark in SIGNATURES if data.startswith(mark, place)), None)
    if form is None and data[4:8] == b"ftyp":
        brands = data[8 : max(16, min(int.from_bytes(data[:4], "big"), 256))]
        form = next((name for name, marks in BRANDS.items() if any(mark in brands for mark in marks)), None)
    if form in FORMATS:
        return form
    if form is not None:
        name = HELP.get(form, f"a {form} picture")
        raise BadImage(f"The file is {name}, which is not read here. Export the picture as JPEG or PNG.")
    if not data:
        raise BadImage("The file is empty. Copy or download it again.")
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    text = next((name for mark, name in TEXTS if start.startswith(mark)), None)
    if text is not None:
        way = "" if ":" in text else ", which is not read here. Export the picture as JPEG or PNG"
        raise BadImage(f"The file is {text}{way}.")
    if is_text(start):
        raise BadImage("The file is a text. Export the picture as JPEG or PNG.")
    raise BadImage(
        "The file is not a PNG, JPEG or WebP picture. GIF, TIFF, BMP, AVIF and HEIC are read, too. "
        "Export the picture as JPEG or PNG."
    )


def _check_boxes(data: bytes) -> None:
    """Refuse an AVIF file whose boxes (ISO/IEC 14496-12) end after the file: no decoder gives a part. BadImage."""
    place = 0
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        if size == 1:  # a long size follows
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        if size < 8:  # 0: up to the end of the file
            return
        place += size
    if place > len(data):
        lost = f"{place - len(data):,} of {place:,} bytes are missing"
        raise BadImage(f"The AVIF file is cut off: {lost}. Copy or download it again.")


def _plugin(form: str) -> Any:  # noqa: ANN401 - a class of Pillow or pillow-heif
    """The class that reads a format. Raises BadImage if its decoder is not installed."""
    module, name = PLUGINS[form]
    try:
        if form == "AVIF" and not features.check("avif"):
            raise ImportError
        return getattr(importlib.import_module(module), name)
    except ImportError:
        raise BadImage(f"The file is {HELP[form]}. Export the picture as JPEG or PNG.") from None


def _check_size(image: Image.Image, form: str) -> None:
    """Check the size in the header. Raises BadImage."""
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        raise BadImage(f"The picture is {width}x{height} pixels. Each side must have at least {MIN_SIDE}.")
    if max(width, height) > MAX_SIDE or width * height > LARGEST[form]:
        limit = f"{LARGEST[form] // 10**6} million pixels for a {form} and {MAX_SIDE} a side"
        raise BadImage(f"The picture is {width}x{height} pixels. The limit is {limit}. Use a smaller one.")


def _check_tiff(image: Image.Image) -> None:
    """Refuse camera raw files, whose first picture is a thumbnail. Raises BadImage."""
    tags = getattr(image, "tag_v2", {})
    if DNG_VERSION in tags or tags.get(SUBFILE_TYPE, 0) == 1:
        raise BadImage(f"The file is {HELP['camera raw']}, which is not read here. Export the picture as JPEG or PNG.")


def _draft(image: Image.Image) -> None:
    """Let Pillow decode a JPEG at a half, a quarter or an eighth of its size if it exceeds MAX_PIXELS."""
    width, height = image.size
    for part in (2, 4, 8):
        if -(-width // part) * -(-height // part) <= MAX_PIXELS:
            if width * height > MAX_PIXELS:
                image.draft(None, (width // part, height // part))
            return
