"""Bytes from files, and files from arrays."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from inversion.common.names import is_address, write_new
from inversion.images.errors import BadImage

MAX_BYTES = 64 * 2**20  # largest file; a photo of 48 million pixels has 10 to 40 MiB


def read_bytes(source: str | Path | bytes) -> bytes:
    """The bytes of a file, or `source` itself. Raises BadImage if there are more than MAX_BYTES."""
    too_large = BadImage(f"The file is larger than {MAX_BYTES // 2**20} MB. Use a smaller one.")
    if isinstance(source, bytes):
        if len(source) > MAX_BYTES:
            raise too_large
        return source
    path = Path(source)
    try:
        if not path.is_file():  # also refuses pipes and devices, which may never end
            raise BadImage(f"{_absence(path)}.")
        if path.stat().st_size > MAX_BYTES:
            raise too_large
        return path.read_bytes()
    except OSError as error:
        raise BadImage(f"The file {path} cannot be read: {error.strerror}.") from None


def save_png(path: str | Path, array: np.ndarray, recipe: Mapping[str, object] | None = None) -> Path:
    """Write uint8 (H, W, 3) as PNG, but never over a file: if one exists, as NAME-2, NAME-3, ... Returns the path.

    Creates the folders of the path. recipe: as of `write_png`. Raises OSError.
    """
    return write_new(Path(path), lambda part: write_png(part, array, recipe))


def _absence(path: Path) -> str:
    """Why there is no plain file at a path, and what to do."""
    if is_address(path):
        return f"{path} is a web address. Download the picture, and give its file"
    if path.is_symlink() and not path.exists():
        return f"The link {path} leads to no file. Give the picture itself"
    if path.exists():
        kind = "folder" if path.is_dir() else "pipe or device"
        return f"{path} is a {kind}, not a file. Give the file of a picture"
    return f"There is no file {path}"


def write_png(path: str | Path, array: np.ndarray, recipe: Mapping[str, object] | None = None) -> None:
    """Write uint8 (H, W, 3) as PNG; a file with this name is replaced. `save_png` keeps it. Raises OSError.

    `recipe` holds JSON values and becomes the text chunk "inversion". There is no other metadata.
    """
    info = None
    if recipe is not None:
        info = PngImagePlugin.PngInfo()
        info.add_text("inversion", json.dumps(recipe, sort_keys=True))
    Image.fromarray(array).save(path, format="PNG", pnginfo=info)


def packed_png(array: np.ndarray) -> bytes:
    """The bytes of a PNG file of uint8 (H, W) or (H, W, 3), with little compression for speed."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, format="PNG", compress_level=2)
    return file.getvalue()


def unpacked_png(data: bytes) -> np.ndarray:
    """The array that `packed_png` has packed."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        return np.asarray(image)


def thumbnail(array: np.ndarray, largest: int) -> bytes:
    """A small copy of uint8 (H, W, 3) as the bytes of a JPEG file, at most `largest` pixels a side."""
    image, file = Image.fromarray(array), io.BytesIO()
    image.thumbnail((largest, largest))
    image.save(file, "JPEG", quality=85)
    return file.getvalue()
