"""Moving pictures as files: an animated WebP, and an MP4 by the VP9 encoder that comes with OpenCV."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from inversion.images.errors import BadImage

LOSSLESS = 512  # pixels a side
SECONDS = 0.06  # of a frame


def write_webp(path: str | Path, frames: Sequence[np.ndarray], seconds: float = SECONDS) -> None:
    """Write pictures uint8 (H, W, 3) as an animated WebP that repeats; a file with this name is replaced.

    seconds: of a frame. Up to LOSSLESS pixels a side, the frames are stored without loss. Raises OSError.
    """
    first, *rest = [Image.fromarray(frame) for frame in frames]
    lossless = max(first.size) <= LOSSLESS
    options = {"duration": round(1000 * seconds), "loop": 0, "lossless": lossless, "quality": 90, "method": 2}
    first.save(path, format="WEBP", save_all=True, append_images=rest, **options)


def write_mp4(path: str | Path, frames: Sequence[np.ndarray], seconds: float = SECONDS) -> None:
    """Write pictures uint8 (H, W, 3) as an MP4 with VP9, which browsers play; a file with this name is replaced.

    seconds: of a frame. The last row and column are repeated if their number is odd. Raises BadImage if OpenCV has no
    such encoder, OSError.
    """
    import cv2

    height, width = (size + size % 2 for size in frames[0].shape[:2])
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "video.mp4"  # OpenCV reads the format from the ending
        code = cv2.VideoWriter.fourcc(*"vp09")
        video = cv2.VideoWriter(str(whole), code, 1 / seconds, (width, height))
        if not video.isOpened():
            raise BadImage("This OpenCV cannot write MP4. Use WebP.")
        for frame in frames:
            edge = ((0, height - frame.shape[0]), (0, width - frame.shape[1]), (0, 0))
            video.write(cv2.cvtColor(np.pad(frame, edge, mode="edge"), cv2.COLOR_RGB2BGR))
        video.release()
        shutil.move(whole, path)
