"""The only place that knows uint8, PIL, EXIF, sizes and limits; elsewhere pictures are NCHW float32 in [-1, 1]."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, PngImagePlugin
from torch import Tensor

from inversion.common.errors import UserError

MAX_BYTES = 32 * 2**20  # of a file
MAX_PIXELS = 4096 * 4096  # about a 16-megapixel photo
MAX_SIDE = 16384
MIN_SIDE = 8
FORMATS = ("PNG", "JPEG", "WEBP")

# Pillow raises above twice this number, everywhere in the process: also where gradio decodes before our code runs.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
# Between once and twice the number Pillow only warns; `read` looks at the size itself.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


class BadImage(UserError):
    """A file that is no picture we take; the text says why in the user's words."""


def read(source: str | Path | bytes) -> Image.Image:
    """Decode a PNG, JPEG or WebP file or its bytes: upright, RGB, clear parts white, no metadata. Raises BadImage."""
    data = _bytes(source)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_header(image)
            image.load()
            return _flatten(ImageOps.exif_transpose(image))
    except BadImage:
        raise
    except Image.DecompressionBombError:
        raise BadImage(f"the picture has more than {MAX_PIXELS // 10**6} million pixels: make it smaller") from None
    except Image.UnidentifiedImageError:
        raise BadImage("the file is not a PNG, JPEG or WebP picture") from None
    except Exception as error:  # decoders raise anything from SyntaxError to struct.error on damaged files
        raise BadImage(f"the picture is damaged and cannot be read ({type(error).__name__})") from None


def read_mask(source: str | Path | bytes, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Decode a mask: uint8 (H, W), 255 where the file is nearer to white (the hole), else 0. Raises BadImage.

    shape: (H, W) of its picture, to which it is brought; one of other proportions is refused.
    """
    grey = np.asarray(read(source).convert("L"))
    mask = np.where(grey >= 128, 255, 0).astype(np.uint8)
    if shape is None:
        return mask
    (height, width), (tall, wide) = mask.shape, shape
    if abs(width / height - wide / tall) > 0.02:
        raise BadImage(
            f"the mask is {width}x{height} pixels and the picture {wide}x{tall}: they must have the same proportions"
        )
    return np.asarray(Image.fromarray(mask).resize((wide, tall), Image.Resampling.NEAREST))


def fit(image: Image.Image, resolution: int) -> Image.Image:
    """Central square at `resolution` pixels, antialiased; a picture that has this size already is returned as it is."""
    if image.size == (resolution, resolution):
        return image
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return image.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box)


def to_tensor(picture: np.ndarray | Image.Image) -> Tensor:
    """uint8 (H, W, 3) or an RGB picture -> (1, 3, H, W) float32 in [-1, 1]."""
    array = np.array(picture)  # a copy: torch must not share memory with a read-only buffer
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise BadImage(f"a picture is uint8 (H, W, 3), not {array.dtype} {array.shape}")
    return torch.from_numpy(array).permute(2, 0, 1)[None].float().div(127.5).sub(1).contiguous()


def quantise(x: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> uint8 of the same shape, rounded to the nearest; what lies outside is clamped."""
    return x.detach().float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)


def to_array(x: Tensor) -> np.ndarray:
    """One picture (1, 3, H, W) or (3, H, W) in [-1, 1] -> uint8 (H, W, 3)."""
    if x.ndim == 4 and x.shape[0] != 1:
        raise ValueError(f"one picture at a time, not {x.shape[0]}")
    return quantise(x.reshape(x.shape[-3:])).permute(1, 2, 0).cpu().numpy()


def known_pixels(mask: np.ndarray, resolution: int) -> Tensor:
    """A mask uint8 (H, W), white = hole -> (1, 1, R, R) float32 with 1 = known, cropped as `fit` crops its picture.

    A pixel counts as known only where no part of it was painted over, so that no paint leaks into the measurement.
    """
    painted = Image.fromarray(np.where(mask >= 128, 255, 0).astype(np.uint8))
    if painted.size != (resolution, resolution):
        side = min(painted.size)
        left, top = (painted.width - side) // 2, (painted.height - side) // 2
        crop = painted.crop((left, top, left + side, top + side))
        painted = crop.resize((resolution, resolution), Image.Resampling.BOX)
    return torch.from_numpy(np.array(painted) == 0).float()[None, None]


def write_png(path: str | Path, array: np.ndarray, recipe: Mapping[str, Any] | None = None) -> None:
    """Write uint8 (H, W, 3) as PNG. Nothing of the upload goes in; `recipe` (if any) as one text chunk "inversion"."""
    info = None
    if recipe is not None:
        info = PngImagePlugin.PngInfo()
        info.add_text("inversion", json.dumps(recipe, sort_keys=True))
    Image.fromarray(array).save(path, format="PNG", pnginfo=info)


def _bytes(source: str | Path | bytes) -> bytes:
    """The file's bytes, never more than MAX_BYTES of them."""
    too_large = BadImage(f"the file is larger than {MAX_BYTES // 2**20} MB")
    if isinstance(source, bytes):
        if len(source) > MAX_BYTES:
            raise too_large
        return source
    path = Path(source)
    try:
        if not path.is_file():  # also keeps us from reading a pipe or a device for ever
            raise BadImage(f"there is no picture at {path}")
        if path.stat().st_size > MAX_BYTES:
            raise too_large
        return path.read_bytes()
    except OSError as error:
        raise BadImage(f"cannot read {path}: {error.strerror}") from None


def _check_header(image: Image.Image) -> None:
    """Refuse by what the header says, before anything is decoded."""
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        raise BadImage(f"the picture is {width}x{height} pixels: it needs at least {MIN_SIDE} on each side")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise BadImage(
            f"the picture is {width}x{height} pixels, the limit is {MAX_PIXELS // 10**6} million: make it smaller"
        )
    if getattr(image, "n_frames", 1) > 1:
        raise BadImage("the file is an animation: give a single picture")


def _flatten(image: Image.Image) -> Image.Image:
    """Any mode -> RGB, a new picture without the file's metadata."""
    if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion would clip, not scale
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, "white")
        page.alpha_composite(image)
        image = page
    rgb = image.convert("RGB")
    return Image.frombytes("RGB", rgb.size, rgb.tobytes())
