"""Masks from files: the marked pixels, for the usual ways of marking them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from inversion.images import colour
from inversion.images.decode import MIN_ALPHA_RANGE, decoding, pixels
from inversion.images.errors import BadImage

Marks = NDArray[np.bool_]

ERASED = "The transparent part of the picture is the hole."
PICTURE = (
    "The mask looks like a photo. Give a picture that is white where the hole is and black elsewhere, or erase the "
    "hole from the photo, so that it is transparent."
)
FLAT_COLOURS = 8  # largest number of colours of a painted layer; a photo has more
FLAT_SHARE = 0.95  # fraction of the pixels that have these colours
SATURATED = 64  # difference between the channels of a colour
FEW = 32  # colours or numbers of a mask that is not a grey picture
SAMPLE = 100_000  # pixels that are looked at, of many
TONES = (32, 224)  # greys between black and white
MANY_GREYS = 0.2  # fraction of the pixels with these greys from which the user gets a note
SOFT = 0.5  # pixels with these greys, per pixel of the hole, from which the user gets it, too
MIDDLE = (112, 144)  # greys of the part of a trimap that is not decided
A_GREY = 0.01  # the same fraction for a mask of a few colours, such as a trimap
EVEN = 24  # largest difference between neighbours within a surface of one colour
PHOTO = 0.1  # smallest fraction of coloured pixels in a photo of colours
COLOURED = 24  # difference between the channels of a coloured pixel
INTERIOR = 0.75  # smallest fraction of such pixels in a mask; the others are edges
SMALLEST = 0.001  # fraction of them that makes a colour
NEAR = 32  # largest difference between a colour and what a JPEG makes of it
WHITES = (65535, 2**31 - 1, 2**32 - 1)  # of greys of 16 and 32 bits
CLASS_NUMBERS = 32  # numbers below this one are classes, not greys
SHAPE_WITHIN = 0.02  # largest difference of proportions


@dataclass(frozen=True, eq=False)
class DecodedMask:
    """A mask, uint8 (H, W), 255 = marked, else 0; and sentences about it for the user."""

    pixels: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


def read_mask(
    source: str | Path | bytes, shape: tuple[int, int] | None = None, *, invert: bool = False
) -> NDArray[np.uint8]:
    """The pixels of `decode_mask`, uint8 (H, W), 255 where marked. Raises BadImage."""
    return decode_mask(source, shape, invert=invert).pixels


def decode_mask(
    source: str | Path | bytes, shape: tuple[int, int] | None = None, *, invert: bool = False
) -> DecodedMask:
    """Decode a mask: uint8 (H, W), 255 where the file marks a hole, else 0.

    An alpha channel that varies is the mask: on a painted layer the opaque part is marked, in a photo the clear part.
    Otherwise white is marked, or the larger of two values, or all but the background in a mask of a few colours.
    shape: (H, W) of the picture, to which the mask is scaled. invert: mark the other pixels instead.
    Raises BadImage, also if the proportions differ, and if no pixel or every pixel is marked.
    """
    with decoding():
        image, notes = pixels(source)
        marked = _marked(image, notes) != invert
    if not marked.any():
        more = [] if invert else ["White marks the hole; if black does, invert the mask."]
        raise BadImage(" ".join(["The mask marks no hole.", *more]))
    if marked.all():
        raise BadImage("The mask marks the whole picture, so that nothing is left to see. Leave a part unmarked.")
    mask = np.where(marked, 255, 0).astype(np.uint8)
    if shape is None or mask.shape == shape:
        return DecodedMask(mask, tuple(notes))
    (height, width), (tall, wide) = mask.shape, shape
    if abs(width / height - wide / tall) > SHAPE_WITHIN * wide / tall:
        raise BadImage(
            f"The mask is {width}x{height} pixels and the picture {wide}x{tall}. Their proportions must be the same."
        )
    notes.append(f"The mask was scaled from {width}x{height} to {wide}x{tall} pixels.")
    scaled = Image.fromarray(mask).resize((wide, tall), Image.Resampling.NEAREST)
    return DecodedMask(np.asarray(scaled), tuple(notes))


def read_layer(source: str | Path | bytes) -> NDArray[np.uint8]:
    """A layer that was painted on a picture: uint8 (H, W), 255 where there is paint. Raises BadImage.

    Paint is everything that is not clear; on a layer without alpha, everything that is not white.
    """
    with decoding():
        image, _ = pixels(source)
        if image.has_transparency_data:
            return np.where(np.asarray(image.convert("RGBA").getchannel("A")) > 0, 255, 0).astype(np.uint8)
        return np.where((np.asarray(image.convert("RGB")) < 255).any(axis=2), 255, 0).astype(np.uint8)


def is_unknown(erased: NDArray[np.uint8] | None, mask: NDArray[np.uint8]) -> bool:
    """Whether a picture was erased, and only within the hole: what was there is not known.

    erased, mask: uint8 (H, W), not 0 where erased or marked; erased is None for a picture without transparency.
    """
    return erased is not None and bool(erased.any() and mask[erased > 0].all())


def _marked(image: Image.Image, notes: list[str]) -> Marks:
    """The marked pixels (H, W) of a mask in the mode of its file."""
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        low, high = int(alpha.min()), int(alpha.max())
        if high - low >= MIN_ALPHA_RANGE:
            return _by_alpha(np.asarray(image.convert("RGB")), alpha >= (low + high) / 2, notes)
        if high == 0:
            raise BadImage("The mask is transparent everywhere, so that it marks nothing. Paint over the part to fill.")
    if image.mode != "P" and (numbers := _one_channel(image)) is not None:
        values = _few_numbers(numbers)
        if values is not None and len(values) == 2:
            return _larger(numbers, float(values[0]), float(values[1]), notes=notes)
        if values is not None and values.max() < CLASS_NUMBERS:
            notes.append("The mask holds small numbers: everything that is not 0 is the hole.")
            return numbers > 0
        if values is not None and len(values) > 2 and values.max() > 255 and values.max() not in WHITES:
            notes.append("The mask holds the numbers of objects: everything that is not 0 is the hole.")
            return numbers > 0
    picture = colour.eight_bits(image).convert("RGB")
    rgb, counted = np.asarray(picture), picture.getcolors(FEW)
    colours = None if counted is None else np.array([one for _, one in counted])
    if colours is not None and np.ptp(colours, axis=1).max() >= SATURATED:
        return _not_background(rgb, colours, notes)
    surfaces = _surfaces(picture) if colours is None else None
    if surfaces is not None and np.ptp(surfaces, axis=1).max() >= SATURATED:
        return _not_background(_sharpened(rgb, surfaces), surfaces, notes)
    grey = np.asarray(picture.convert("L"))
    if colours is not None and len(colours) == 2:
        return _larger(grey, float(grey.min()), float(grey.max()), notes=notes)
    tones = (grey > TONES[0]) & (grey < TONES[1])
    if colours is not None and _is_trimap(colours):
        notes.append("The mask has black, grey and white: grey belongs to the hole, too.")
        return grey >= MIDDLE[0]
    many = min(MANY_GREYS, SOFT * (grey >= 128).mean()) if colours is None else A_GREY
    if tones.mean() > many:
        if colours is None and (np.ptp(rgb, axis=2) >= COLOURED).mean() >= PHOTO:
            raise BadImage(PICTURE)
        notes.append("The mask has greys between black and white. Pixels that are closer to white are the hole.")
    return grey >= 128


def _is_trimap(colours: NDArray[np.generic]) -> bool:
    """Whether the colours (N, 3) of a mask are black, a grey in the middle and white (matting, Chuang et al. 2001)."""
    greys = sorted(colours.mean(axis=1).tolist())
    return len(greys) == 3 and greys[0] <= TONES[0] and MIDDLE[0] <= greys[1] <= MIDDLE[1] and greys[2] >= TONES[1]


def _one_channel(image: Image.Image) -> np.ndarray | None:
    """The numbers (H, W) of a picture of one channel, or of three equal ones; None for any other."""
    numbers = np.asarray(image)
    if len(image.getbands()) == 1:
        return numbers
    equal = image.mode == "RGB" and (numbers == numbers[..., :1]).all()
    return numbers[..., 0] if equal else None


def _by_alpha(rgb: NDArray[np.uint8], opaque: Marks, notes: list[str]) -> Marks:
    """The paint of a layer, or the part of a photo that was erased."""
    visible = rgb[opaque]
    shades = visible[:: max(1, len(visible) // SAMPLE)].astype(np.int32) >> 3
    _, counts = np.unique(shades @ (1, 32, 1024), return_counts=True)
    edge = np.concatenate([opaque[0], opaque[-1], opaque[:, 0], opaque[:, -1]])
    framed = edge.mean() >= FLAT_SHARE and opaque.mean() > 0.5  # a window in a page of one colour
    if np.sort(counts)[::-1][:FLAT_COLOURS].sum() >= FLAT_SHARE * counts.sum() and not framed:
        notes.append("The mask is a painted layer: its paint is the hole.")
        return opaque
    notes.append("The mask is a picture with a transparent part: that part is the hole.")
    return ~opaque


def _few_numbers(values: NDArray[np.generic]) -> NDArray[np.generic] | None:
    """The distinct numbers, sorted, or None if there are more than FEW."""
    flat = values.ravel()
    if len(np.unique(flat[:: max(1, len(flat) // SAMPLE)])) > FEW:
        return None
    distinct = np.unique(flat)
    return distinct if len(distinct) <= FEW else None


def _larger(values: NDArray[np.generic], low: float, high: float, *, notes: list[str]) -> Marks:
    """The pixels with the larger of two values. A note tells about it, unless the values are black and white."""
    if (low, high) not in ((0, 255), (0, 65535), (0, 1)):
        notes.append(f"The mask has the values {low:g} and {high:g}; {high:g} is the hole.")
    return np.asarray(values) == high


def _not_background(rgb: NDArray[np.uint8], colours: NDArray[np.generic], notes: list[str]) -> Marks:
    """The pixels of a mask of a few colours that are not background: black, else white, else the border's colour."""
    named = {"black": (0, 0, 0), "white": (255, 255, 255)}
    name = next((name for name, one in named.items() if (colours == one).all(axis=1).any()), "like the border")
    edge = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    shown, counts = np.unique(edge, axis=0, return_counts=True)
    background = named.get(name, shown[counts.argmax()])
    notes.append(f"The mask has several colours: everything that is not {name} is the hole.")
    return (rgb != np.asarray(background)).any(axis=2)


def _surfaces(picture: Image.Image) -> NDArray[np.uint8] | None:
    """The colours (N, 3) of the even surfaces of a mask with soft edges or from a JPEG; None for any other picture.

    Colours that are nearly black or nearly white become black and white.
    """
    low, high = (
        np.asarray(picture.filter(kind(3)), np.int16) for kind in (ImageFilter.MinFilter, ImageFilter.MaxFilter)
    )
    even = (high - low).max(axis=2) <= EVEN
    if even.mean() < INTERIOR:
        return None
    inside = np.asarray(picture)[even]
    inside = inside[:: max(1, len(inside) // SAMPLE)].astype(np.int32)
    _, where, counts = np.unique((inside + NEAR // 2) // NEAR @ (1, 16, 256), return_inverse=True, return_counts=True)
    main = np.flatnonzero(counts >= SMALLEST * len(inside))
    if len(main) > FLAT_COLOURS or counts[main].sum() < FLAT_SHARE * len(inside):
        return None
    found = np.stack([np.median(inside[where == index], axis=0) for index in main])
    found[found.max(axis=1) <= NEAR] = 0
    found[found.min(axis=1) >= 255 - NEAR] = 255
    return found.astype(np.uint8)


def _sharpened(rgb: NDArray[np.uint8], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every pixel (H, W, 3) as the nearest of a few colours (N, 3)."""
    nearest, least = np.zeros(rgb.shape[:2], np.uint8), np.full(rgb.shape[:2], np.inf, np.float32)
    for index, one in enumerate(colours):
        distance = np.square(rgb.astype(np.float32) - one).sum(axis=2)
        closer = distance < least
        nearest[closer], least[closer] = index, distance[closer]
    return colours[nearest]
