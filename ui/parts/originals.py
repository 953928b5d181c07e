"""Pictures to paint on are shown small. Their originals are found again by the pixels of the small copies.

For every event that reads an editor, a browser encodes its picture again and sends it twice: 25 MB for a photo of 12
megapixels.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

from inversion import images
from inversion.serving.runs import picture_digest

EDITOR_SIDE = 1024  # pixels of the longer side of a picture in an editor
KEPT = 512  # originals whose small copies are known

_paths: OrderedDict[str, Path] = OrderedDict()  # digest of a small copy -> file of its original
_lock = Lock()


def small_copy(picture: Image.Image, file: Path) -> np.ndarray | None:
    """The RGB picture of a file at the size of an editor, uint8 (H, W, 3); None if it is not larger than that.

    From then on, `original_of` finds the file by the copy.
    """
    if max(picture.size) <= EDITOR_SIDE:
        return None
    small = picture.copy()
    small.thumbnail((EDITOR_SIDE, EDITOR_SIDE), Image.Resampling.LANCZOS)
    pixels = np.asarray(small)
    with _lock:
        _paths[picture_digest(pixels)] = file
        while len(_paths) > KEPT:
            _paths.popitem(last=False)
    return pixels


def original_of(decoded: images.Decoded) -> images.Decoded:
    """The original of a picture from an editor if it is a small copy and the file is still there, else the picture.

    Raises BadImage if the file has become unreadable.
    """
    with _lock:
        file = _paths.get(picture_digest(np.asarray(decoded.picture)))
    return images.decode(file) if file is not None and file.is_file() else decoded
