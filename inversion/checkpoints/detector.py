"""Faces in a photo: YuNet from its registered file, and the crop of the photo for a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from inversion.align import AlignError, Crop, CropMode, Face, crop_around, side_of
from inversion.checkpoints import fetch
from inversion.checkpoints.registry import Entry, HubError

CANVAS = 640  # side in pixels that the detector's file declares; some of OpenCV's engines accept no other
SIDES = (640, 320)  # larger side of the picture on the canvas; the detector misses faces above about 300 pixels
CONFIDENCE = 0.7

Detector = Callable[[np.ndarray], Sequence[Face]]  # uint8 (H, W, 3) -> the faces in it


class YuNet:
    """OpenCV's face detector (Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023) from its ONNX file.

    It keeps no network between calls, so threads may share it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, picture: np.ndarray) -> list[Face]:
        """The faces in an RGB picture uint8 (H, W, 3). AlignError if OpenCV cannot use the file."""
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
            raise AlignError(f"OpenCV cannot use {self.path.name}: {error.err}. Crop by hand.") from None
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


def registered(entries: Mapping[str, Entry]) -> YuNet:
    """The registered detector. Its file of 0.2 MB is downloaded if it is missing. Raises HubError."""
    entry = next((entry for entry in entries.values() if entry.kind == "detector"), None)
    if entry is None:
        raise HubError("No face detector is registered. Crop by hand, or use the centre.")
    try:
        return YuNet(fetch.fetch(entry))
    except HubError as error:
        raise HubError(f"The face detector is not available. Crop by hand, or use the centre. ({error})") from None


def choose(picture: np.ndarray, how: CropMode, find: Callable[[], Detector], number: int = 1) -> Crop:
    """The crop of a picture uint8 (H, W, 3). `number` counts the faces from the largest, 1; `find` makes the detector.

    auto: a face if there is one, else the central square and a note. face: a face, or AlignError or HubError.
    """
    if how not in ("auto", "face"):
        return Crop()
    try:
        faces = sorted(find()(picture), key=lambda face: -side_of(face.quad))
    except (HubError, AlignError) as error:
        if how == "face":
            raise
        return Crop(note=f"The centre of the picture is used without looking for a face. {error}")
    if how == "auto" and not faces:
        return Crop(note="No face was found, so the centre of the picture is used. Crop by hand if that is wrong.")
    if not faces:
        raise AlignError("No face was found: use the centre, or crop by hand.")
    if not 1 <= number <= len(faces):
        raise AlignError(f"There is no face {number}: {len(faces)} found, and 1 is the largest.")
    return crop_around(faces[number - 1].quad, picture, number, len(faces))
