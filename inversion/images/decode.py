"""The pixels of a file, upright and at most MAX_PIXELS, with notes for the user. A cut file gives its existing part."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps

from inversion.images import colour
from inversion.images.errors import BadImage
from inversion.images.files import read_bytes
from inversion.images.formats import CUT, MAX_PIXELS, opened
from inversion.images.profiles import profile_of

# Colour of the missing part of a cut PNG, the same as in a cut JPEG.
GREY: dict[str, tuple[int, ...]] = {"L": (128,), "LA": (128, 255), "RGB": (128,) * 3, "RGBA": (128, 128, 128, 255)}
DECODERS = threading.BoundedSemaphore(2)  # at the same time: each may take a few hundred MiB
WAIT = 60.0  # seconds for a free decoder; after that, the picture is refused
MIN_ALPHA_RANGE = 32  # smallest difference of alpha values that marks pixels
NEARLY = 5  # alpha below the largest one that still counts as opaque
LONG = 10  # times the shorter side: from here on, little of the picture is in a square
DARK = (255, 4095)  # largest values of pictures of 8 to 12 bits in files of 16
WHITE_FROM = 224  # lowest mean of a drawing in white ink, which would be invisible on a white page


@dataclass(frozen=True, eq=False)
class Decoded:
    """An upright RGB picture without metadata, and sentences about it for the user.

    indices: of the colours of a palette picture, uint8 (H, W), or the values of a grey picture of 16 bits, uint16; None
    for other pictures. erased: the part of a picture with varying alpha that is not opaque, uint8 (H, W), 255 there,
    else 0; None for other pictures.
    """

    picture: Image.Image
    notes: tuple[str, ...] = ()
    indices: NDArray[np.uint8 | np.uint16] | None = None
    erased: NDArray[np.uint8] | None = None


def read(source: str | Path | bytes) -> Image.Image:
    """The picture of `decode`. Raises BadImage."""
    return decode(source).picture


def decode(source: str | Path | bytes) -> Decoded:
    """Decode the first picture of a file, or of its bytes, to RGB in the colours of sRGB.

    Pictures of more than MAX_PIXELS are shrunk by a whole factor. Transparent parts become white; behind a drawing in
    white they become black. Raises BadImage.
    """
    with decoding():
        image, notes = pixels(source)
        if max(image.size) >= LONG * min(image.size):
            notes.append(f"The picture is a long strip of {image.width}x{image.height} pixels; a square of it is used.")
        indices = np.asarray(image) if image.mode == "P" or image.mode.startswith("I;16") else None
        return Decoded(_flat(image, notes), tuple(notes), indices, _erased(image))


def read_stack(lowest: str | Path | bytes, above: Sequence[str | Path | bytes]) -> Image.Image:
    """Pictures on each other, the lowest one on white and with its size; RGB. Raises BadImage."""
    with decoding():
        image = pixels(lowest)[0].convert("RGBA")
        page = Image.new("RGBA", image.size, "white")
        page.alpha_composite(image)
        for source in above:  # one by one to save memory
            image = pixels(source)[0].convert("RGBA")
            page.alpha_composite(image if image.size == page.size else image.resize(page.size))
        return page.convert("RGB")


@contextmanager
def decoding() -> Iterator[None]:
    """A context for decoding: it limits the number of decoders, and turns every error into BadImage."""
    if not DECODERS.acquire(timeout=WAIT):
        raise BadImage("Many pictures are being read at the moment. Try again in a minute.")
    try:
        yield
    except BadImage:
        raise
    except MemoryError:
        raise BadImage("There is not enough memory to read the picture. Use a smaller one.") from None
    except Exception as error:  # decoders raise anything from SyntaxError to struct.error on damaged files
        cut = isinstance(error, EOFError) or "truncated" in str(error)
        reason = "cut off" if cut else "damaged, and its data cannot be decoded"
        raise BadImage(f"The picture is {reason}. Copy or download it again.") from None
    finally:
        DECODERS.release()


def pixels(source: str | Path | bytes) -> tuple[Image.Image, list[str]]:
    """The first picture of a file in its own mode, upright and at most MAX_PIXELS, and notes for the user.

    Call it within `decoding`. Raises BadImage, and errors of Pillow for damaged files.
    """
    notes: list[str] = []
    with opened(read_bytes(source), notes) as image:
        drafted = image.format == "JPEG" and bool(image.decoderconfig)
        _load(image, notes)
        small = _shrunk(image)
        turned = _upright(small)
        if drafted or small is not image:
            notes.append(f"The picture is large and is used at {turned.width}x{turned.height} pixels.")
        turned.info["icc_profile"] = profile_of(image)
        return turned, notes


def _load(image: ImageFile.ImageFile, notes: list[str]) -> None:
    """Decode the pixels. If the file is cut, a note says so. Raises BadImage."""
    if CUT in notes and image.mode in GREY and image.format == "PNG":
        image.im = Image.new(image.mode, image.size, GREY[image.mode]).im  # the decoder writes over it
    try:
        image.load()
    except OSError as error:
        if "truncated" not in str(error):
            raise
        image.tile = []  # Pillow keeps the rows that it has decoded
        if CUT not in notes:
            notes.append(CUT)
    if CUT in notes:
        notes[notes.index(CUT)] = _cut_note(image)
    elif image.format == "JPEG" and _ends_grey(image):
        notes.append("The last rows of the picture are plain grey, as in a damaged file.")


def _ends_grey(image: Image.Image) -> bool:
    """Whether the last 8 rows have the grey that libjpeg gives to pixels that a file states and does not hold."""
    width, height = image.size
    return image.crop((0, height - 8, width, height)).convert("RGB").getextrema() == ((128, 128),) * 3


def _cut_note(image: Image.Image) -> str:
    """The note about the missing part of a cut file, by its last pixels. Raises BadImage if no pixels exist."""
    if image.format not in ("JPEG", "PNG"):
        return "The file is cut off; the missing part is blank."
    width, height = image.size
    grey = [(128, 128)] * len(image.getbands())
    if list(image.getextrema())[:3] == grey[:3]:
        raise BadImage("The file is cut off before its first pixels. Copy or download it again.")
    if image.crop((width - 4, height - 4, width, height)).convert("RGB").getextrema() == ((128, 128),) * 3:
        return CUT
    if "interlace" in image.info:
        return "The end of the file is missing; lines of the picture may be grey."
    if "progressive" in image.info:
        return "The end of the file is missing; parts of the picture may be blurred."
    return "The end of the file is missing; the picture seems to be complete."


def _shrunk(image: Image.Image) -> Image.Image:
    """The picture, or a smaller one of at most MAX_PIXELS."""
    factor = math.ceil(math.sqrt(image.width * image.height / MAX_PIXELS))
    if factor == 1:
        return image
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image.reduce(factor)
    # Class numbers and colours of a palette have no mean.
    return image.resize((image.width // factor, image.height // factor), Image.Resampling.NEAREST)


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its metadata state; unchanged if they cannot be read."""
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except Exception:  # damaged metadata: anything from SyntaxError to struct.error
        return image


def _flat(image: Image.Image, notes: list[str]) -> Image.Image:
    """Any mode -> RGB in the colours of sRGB, a new picture without the metadata of the file."""
    eight = colour.eight_bits(image)
    if eight is not image and DARK[0] < (top := colour.largest(image)) <= DARK[1]:
        notes.append(f"The largest value of the picture is {top} of 65535, so it is nearly black.")
    rgb = colour.to_srgb(eight, image.info.get("icc_profile"), notes)
    alpha = eight.convert("RGBA").getchannel("A") if eight.has_transparency_data else None
    if alpha is not None and alpha.getextrema() == (0, 0) and rgb.getcolors(1) is None:
        notes.append("The picture is transparent everywhere; its colours are shown as they are.")
    elif alpha is not None and alpha.getextrema() != (255, 255):
        page = "black" if _is_white(rgb, alpha) else "white"
        rgb = rgb.copy()
        rgb.putalpha(alpha)
        paper = Image.new("RGBA", rgb.size, page)
        paper.alpha_composite(rgb)
        rgb = paper.convert("RGB")
        notes.append(f"The transparent parts of the picture are {page}.")
    rgb.info = {}
    return rgb


def _erased(image: Image.Image) -> NDArray[np.uint8] | None:
    """Where a picture is not opaque, 255; None if it is, or if its alpha does not vary."""
    if not image.has_transparency_data:
        return None
    alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    low, high = int(alpha.min()), int(alpha.max())
    # The soft edge of an eraser belongs to the hole: its colours are mixed with those of the page.
    return np.where(alpha < high - NEARLY, 255, 0).astype(np.uint8) if high - low >= MIN_ALPHA_RANGE else None


def _is_white(rgb: Image.Image, alpha: Image.Image) -> bool:
    """True if the visible part is a drawing in white, which would be invisible on a white page."""
    cover = np.asarray(alpha, np.float32)
    total = float(cover.sum())
    return total > 0 and float((np.asarray(rgb.convert("L"), np.float32) * cover).sum()) / total >= WHITE_FROM
