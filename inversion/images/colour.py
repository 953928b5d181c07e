"""From the colours and depths of files to 8 bits of sRGB."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

MAX_PROFILE = 4 * 2**20  # bytes
SRGB_WITHIN = 2  # largest difference, of 255, between sRGB and a profile that counts as sRGB
NAME_LENGTH = 60  # largest number of characters of a profile's name in a note
MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # colour space of a profile -> mode of its pictures


def eight_bits(image: Image.Image) -> Image.Image:
    """A picture of 16 bits, 32 bits or floating-point numbers as 8 bits grey; any other picture unchanged.

    Pillow's own conversion would clip. Values below 256 stay as they are: masks and maps of class numbers.
    """
    if image.mode not in ("F", "I") and not image.mode.startswith("I;"):
        return image
    values = np.nan_to_num(np.asarray(image).astype(np.float32))
    top = values.max()
    if image.mode == "F" and top <= 1:
        values *= 255
    elif top > 255:
        values /= 256 if top <= 0xFFFF else top / 255
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def largest(image: Image.Image) -> int:
    """The largest value of a picture of one channel."""
    return int(np.nan_to_num(np.asarray(image)).max())


def to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """8-bit picture of any mode -> RGB without alpha, converted by its ICC profile if it has one.

    Adds a sentence to `notes` if the colours change, or if the profile cannot be read.
    """
    if not profile:
        return image.convert("RGB")
    try:
        return _converted(image, profile, notes)
    except Exception:  # errors of littleCMS and of Pillow, for damaged profiles
        notes.append("The colour profile of the file cannot be read. The colours are taken as sRGB.")
        return image.convert("RGB")


def _converted(image: Image.Image, data: bytes, notes: list[str]) -> Image.Image:
    """The picture in sRGB. Raises any error for a damaged profile."""
    from PIL import ImageCms

    if len(data) > MAX_PROFILE:
        raise ValueError("the profile is too large")
    profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
    mode = MODES.get(profile.profile.xcolor_space.strip())
    grey = image.mode in ("1", "L", "LA", "La")
    if mode is None or (mode == "CMYK") != (image.mode == "CMYK") or (mode == "L" and not grey):
        return image.convert("RGB")  # the profile belongs to another kind of picture
    srgb = ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent(ImageCms.getDefaultIntent(profile))
    transform = ImageCms.buildTransform(profile, srgb, mode, "RGB", renderingIntent=intent)
    if mode != "CMYK":
        probe = _probe().convert(mode)
        change = np.asarray(transform.apply(probe), np.int16) - np.asarray(probe.convert("RGB"))
        if np.abs(change).max() <= SRGB_WITHIN:
            return image.convert("RGB")
    name = "".join(c for c in ImageCms.getProfileDescription(profile) if c.isprintable()).strip()[:NAME_LENGTH]
    result = transform.apply(image.convert(mode), Image.new("RGB", image.size))
    notes.append(f"Converted from {name or 'another colour space'} to sRGB.")
    return result


def _probe() -> Image.Image:
    """Colours in steps of 51 in all three channels, and 216 greys."""
    steps = np.arange(0, 256, 51, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    greys = np.repeat(np.arange(len(colours), dtype=np.uint8)[:, None], 3, axis=1)
    return Image.fromarray(np.stack([colours, greys]))
