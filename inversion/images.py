"""Pictures in files and arrays: decoding, limits, cropping, and conversion from and to NCHW float32 in [-1, 1]."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageOps, PngImagePlugin

from inversion.common.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

MAX_BYTES = 32 * 2**20  # largest file
MAX_PIXELS = 4096 * 4096  # about a 16-megapixel photo
MAX_SIDE = 16384
MIN_SIDE = 8
FORMATS = ("PNG", "JPEG", "WEBP")

# Pillow raises above twice this number in the whole process, so also when gradio decodes before our code runs.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
# Between once and twice this number Pillow only warns; `read` checks the size itself.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


class BadImage(UserError):
    """A file that is not a picture we accept; the text says why."""


def read(source: str | Path | bytes) -> Image.Image:
    """Decode a PNG, JPEG or WebP file, or its bytes, to an upright RGB picture without metadata.

    Transparent parts become white. Raises BadImage.
    """
    data = _bytes(source)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_header(image)
            image.load()
            return _flatten(ImageOps.exif_transpose(image))
    except BadImage:
        raise
    except Image.DecompressionBombError:
        raise BadImage(f"The picture has more than {MAX_PIXELS // 10**6} million pixels. Use a smaller one.") from None
    except Image.UnidentifiedImageError:
        raise BadImage("The file is not a PNG, JPEG or WebP picture.") from None
    except Exception as error:  # decoders raise anything from SyntaxError to struct.error on damaged files
        raise BadImage(f"The picture is damaged and cannot be read ({type(error).__name__}).") from None


def read_mask(source: str | Path | bytes, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Decode a mask: uint8 (H, W), 255 (the hole) where the file is closer to white than to black, else 0.

    shape: (H, W) of the picture, to which the mask is resized. Raises BadImage, also for other proportions.
    """
    grey = np.asarray(read(source).convert("L"))
    mask = np.where(grey >= 128, 255, 0).astype(np.uint8)
    if shape is None:
        return mask
    (height, width), (tall, wide) = mask.shape, shape
    if abs(width / height - wide / tall) > 0.02:
        raise BadImage(
            f"The mask is {width}x{height} pixels and the picture {wide}x{tall}. Their proportions must be the same."
        )
    return np.asarray(Image.fromarray(mask).resize((wide, tall), Image.Resampling.NEAREST))


def fit(image: Image.Image, resolution: int) -> Image.Image:
    """Central square, resized to `resolution` pixels a side (Lanczos); a picture of this size is returned unchanged."""
    if image.size == (resolution, resolution):
        return image
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return image.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box)


def to_tensor(picture: np.ndarray | Image.Image) -> Tensor:
    """uint8 (H, W, 3) or an RGB picture -> (1, 3, H, W) float32 in [-1, 1]. Raises BadImage for other arrays."""
    array = np.array(picture)  # a copy: torch must not share memory with a read-only buffer
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise BadImage(f"a picture must be uint8 (H, W, 3), not {array.dtype} {array.shape}")
    return torch.from_numpy(array).permute(2, 0, 1)[None].float().div(127.5).sub(1).contiguous()


def quantise(x: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> uint8 of the same shape, clamped and rounded to the nearest."""
    return x.detach().float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)


def to_array(x: Tensor) -> np.ndarray:
    """One picture (1, 3, H, W) or (3, H, W) in [-1, 1] -> uint8 (H, W, 3). Raises ValueError for a larger batch."""
    if x.ndim == 4 and x.shape[0] != 1:
        raise ValueError(f"expected one picture, got {x.shape[0]}")
    return quantise(x.reshape(x.shape[-3:])).permute(1, 2, 0).cpu().numpy()


def known_pixels(mask: np.ndarray, resolution: int) -> Tensor:
    """A mask uint8 (H, W), white = hole -> (1, 1, R, R) float32, 1 = known, cropped as `fit` crops the picture.

    A resized pixel is known only if no part of it is in the hole, so that no paint leaks into the measurement.
    """
    painted = Image.fromarray(np.where(mask >= 128, 255, 0).astype(np.uint8))
    if painted.size != (resolution, resolution):
        side = min(painted.size)
        left, top = (painted.width - side) // 2, (painted.height - side) // 2
        crop = painted.crop((left, top, left + side, top + side))
        painted = crop.resize((resolution, resolution), Image.Resampling.BOX)
    return torch.from_numpy(np.array(painted) == 0).float()[None, None]


def write_png(path: str | Path, array: np.ndarray, recipe: Mapping[str, Any] | None = None) -> None:
    """Write uint8 (H, W, 3) as PNG, without metadata but `recipe`, which becomes a JSON text chunk "inversion"."""
    info = None
    if recipe is not None:
        info = PngImagePlugin.PngInfo()
        info.add_text("inversion", json.dumps(recipe, sort_keys=True))
    Image.fromarray(array).save(path, format="PNG", pnginfo=info)


def _bytes(source: str | Path | bytes) -> bytes:
    """The bytes of the file. Raises BadImage if there are more than MAX_BYTES."""
    too_large = BadImage(f"The file is larger than {MAX_BYTES // 2**20} MB. Use a smaller one.")
    if isinstance(source, bytes):
        if len(source) > MAX_BYTES:
            raise too_large
        return source
    path = Path(source)
    try:
        if not path.is_file():  # refuses pipes and devices too, which would never end
            raise BadImage(f"There is no file {path}.")
        if path.stat().st_size > MAX_BYTES:
            raise too_large
        return path.read_bytes()
    except OSError as error:
        raise BadImage(f"The file {path} cannot be read: {error.strerror}.") from None


def _check_header(image: Image.Image) -> None:
    """Check size and animation by the header, before anything is decoded. Raises BadImage."""
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        raise BadImage(f"The picture is {width}x{height} pixels. Each side must have at least {MIN_SIDE}.")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise BadImage(
            f"The picture is {width}x{height} pixels, the limit is {MAX_PIXELS // 10**6} million. Use a smaller one."
        )
    if getattr(image, "n_frames", 1) > 1:
        raise BadImage("The file is an animation. Use a single picture.")


def _flatten(image: Image.Image) -> Image.Image:
    """Any mode -> RGB, in a new picture without the metadata of the file."""
    if image.mode.startswith("I"):  # 16 bits: Pillow's conversion would clip instead of scaling
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, "white")
        page.alpha_composite(image)
        image = page
    rgb = image.convert("RGB")
    return Image.frombytes("RGB", rgb.size, rgb.tobytes())
