"""Faces in a photo: YuNet from its registered file or the cascade, and the crop of the photo for a model."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from inversion.align import (
    ESTIMATED_NOTE,
    FRAMED_NOTE,
    FRAMES,
    AlignError,
    Crop,
    CropMode,
    Face,
    Quad,
    crop_around,
    quad_of,
    side_of,
)
from inversion.checkpoints import fetch
from inversion.checkpoints.cascade import FaceCascade
from inversion.checkpoints.photo import notes
from inversion.checkpoints.registry import Entry, HubError
from inversion.common.errors import UserError

CANVAS = 640  # side in pixels that the detector's file declares; some of OpenCV's engines accept no other
SIDES = (640, 320)  # longer side of the picture on the canvas; the detector misses faces above about 300 pixels
CONFIDENCE = 0.7
SMALLEST_PHOTO = 64  # side in pixels of the smallest picture that is searched for a face
PAUSE = 600.0  # seconds after a failed download of the detector before the next one
logger = logging.getLogger(__name__)

Detector = Callable[[np.ndarray], Sequence[Face]]  # uint8 (H, W, 3) -> the faces in it


class YuNet:
    """OpenCV's face detector (Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023) from its ONNX file.

    Thread-safe, because it keeps no network between calls.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, picture: np.ndarray) -> list[Face]:
        """The faces in an RGB picture uint8 (H, W, 3). Raises AlignError if OpenCV cannot use the file."""
        for largest in SIDES:
            faces = self._at(picture, min(1.0, largest / max(picture.shape[:2])))
            if faces:
                return faces
        return []

    def _at(self, picture: np.ndarray, scale: float) -> list[Face]:
        """The faces in the picture, found at `scale` times its size."""
        import cv2  # slow to import, and few commands look for faces

        width, height = (max(1, round(side * scale)) for side in picture.shape[1::-1])
        small = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
        # OpenCV's engine warns on every call although it works as requested.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        canvas = np.zeros((CANVAS, CANVAS, 3), np.uint8)
        canvas[:height, :width] = np.asarray(small)[:, :, ::-1]  # OpenCV's order of channels
        try:
            net = cv2.FaceDetectorYN.create(str(self.path), "", (CANVAS, CANVAS), CONFIDENCE)
            _, rows = net.detect(canvas)
        except cv2.error as error:
            logger.warning("%s: %s", self.path, error.err)
            raise AlignError(f"The face detector cannot use {self.path.name}. Crop by hand.") from None
        return (
            [] if rows is None else [_face(row, (picture.shape[1] / width, picture.shape[0] / height)) for row in rows]
        )


def _face(row: np.ndarray, scale: tuple[float, float]) -> Face:
    """A face from a row of the detector, whose points are multiplied by `scale` (x, y).

    The row is the box (4), then x and y of the person's right eye, left eye, nose, right and left corner of the mouth,
    which is left to right in the picture, then the score.
    """
    points = row[4:14].reshape(5, 2) * scale
    left_eye, right_eye, nose, left_mouth, right_mouth = ((float(x), float(y)) for x, y in points)
    return Face(left_eye, right_eye, nose, left_mouth, right_mouth, float(row[14]))


@dataclass(frozen=True)
class Target:
    """The purpose of a crop: its frame, "ffhq" or a key of `align.FRAMES`, and the side of the model's pictures.

    fit: fits squares to faces without a network. None if it was not trained on this frame.
    """

    crop: str = "ffhq"
    resolution: int = 0
    fit: FaceCascade | None = None


def registered(entries: Mapping[str, Entry]) -> Detector:
    """YuNet if its file of 0.2 MB is cached or can be downloaded, else the cascade.

    Raises HubError if neither is available.
    """
    entry = next((entry for entry in entries.values() if entry.architecture == "yunet"), None)
    if entry is not None and (fetch.cached(entry) is not None or yunet_pause.allowed()):
        try:
            return YuNet(fetch.fetch(entry))
        except HubError as error:
            yunet_pause.failed()
            logger.info("%s", error)
    cascade = offline(entries)
    if cascade is None:
        raise HubError("No face detector is registered. Crop by hand, or use the centre.")
    return cascade


def offline(entries: Mapping[str, Entry]) -> FaceCascade | None:
    """The registered cascade. None if there is none. Raises HubError if its file is missing or damaged."""
    entry = next((entry for entry in entries.values() if entry.architecture == "cascade"), None)
    return None if entry is None else FaceCascade(fetch.fetch(entry))


def target_of(entries: Mapping[str, Entry], entry: Entry | None) -> Target:
    """The target of a model's entry: FFHQ's frame, unless the model has a frame of its own."""
    if entry is None or entry.crop not in FRAMES:
        return Target(resolution=0 if entry is None else entry.resolution)
    try:
        return Target(entry.crop, entry.resolution, offline(entries))
    except HubError as error:
        logger.warning("%s", error)
        return Target(entry.crop, entry.resolution)


def choose(
    picture: np.ndarray, how: CropMode, find: Callable[[], Detector], number: int = 1, target: Target | None = None
) -> Crop:
    """The crop of a picture uint8 (H, W, 3). `number` counts the faces from the largest, 1; `find` makes the detector.

    auto: a face if there is one, else the central square with a note. face: a face; raises AlignError or HubError if
    there is none. Any other mode: the central square.
    """
    target = Target() if target is None else target
    if how not in ("auto", "face"):
        return Crop()
    if how == "auto" and target.fit is not None:
        if min(picture.shape[:2]) < SMALLEST_PHOTO:
            return Crop()
        if target.fit.is_framed(picture):
            return Crop(note=FRAMED_NOTE)
    try:
        faces = list(find()(picture))
        squares = [_square(picture, face, target) for face in faces]
    except UserError as error:
        if how == "face":
            raise
        return Crop(note=f"The centre of the picture is used without looking for a face. {error}")
    if how == "auto" and not faces:
        return Crop(note="No face was found, so the centre of the picture is used. Crop by hand if that is wrong.")
    if not faces:
        raise AlignError("No face was found. Use the centre, or crop by hand.")
    if not 1 <= number <= len(faces):
        raise AlignError(f"There is no face {number}. Choose a number from 1 to {len(faces)}; 1 is the largest face.")
    order = sorted(range(len(faces)), key=lambda index: -side_of(squares[index]))
    squares = [squares[index] for index in order]
    lines = [ESTIMATED_NOTE] if faces[order[number - 1]].estimated else []
    return crop_around(squares, picture, number, [*lines, *notes(picture, squares[number - 1], target.resolution)])


def _square(picture: np.ndarray, face: Face, target: Target) -> Quad:
    if target.fit is not None and not face.estimated:
        return target.fit.refined(picture, face)
    return quad_of(face, target.crop)


class DownloadPause:
    """Remembers a failed download for PAUSE seconds, so that not every photo waits for it without a network."""

    def __init__(self) -> None:
        self._until = 0.0

    def allowed(self) -> bool:
        """Whether a download may be tried."""
        return time.monotonic() >= self._until

    def failed(self) -> None:
        """Start a pause."""
        self._until = time.monotonic() + PAUSE


yunet_pause = DownloadPause()
