"""Any pen, paper or canvas gives an encoder the same input."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
import torch
from helpers.drawings import COLOURS, SIDE, Array, blank, uploads
from PIL import Image

from inversion import images
from inversion.synthetic import HELD_OUT
from inversion.synthetic.faces import CLASSES, draw_faces
from inversion.translations import INPUTS
from inversion.translations.base import TranslationError
from inversion.translations.drawings import PURE, DrawingError, classes, lines

__all__ = ["uploads"]  # a fixture


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("shape", [(64, 64), (200, 301), (90, 70)])
def test_any_upload_becomes_what_the_encoder_reads(
    name: str, shape: tuple[int, int], uploads: dict[str, list[Array]]
) -> None:
    kind = INPUTS[name]
    channels = kind.channels(len(CLASSES))
    upload = np.ascontiguousarray(cv2.resize(uploads[name][0], shape[::-1], interpolation=cv2.INTER_NEAREST))
    read = kind.read(upload, channels, 32)
    assert read.shape == (1, channels, 32, 32)
    assert read.dtype == torch.float32
    assert read.max() <= 1
    assert read.min() >= (0 if kind.drawn else -1)
    if kind.has_classes:
        assert torch.equal(read.sum(dim=1), torch.ones(1, 32, 32))
    shown = kind.show(read)
    assert shown.shape == (32, 32, 3)
    assert shown.dtype == np.uint8


@pytest.mark.parametrize("name", INPUTS)
def test_an_encoder_of_another_input_is_refused(name: str, uploads: dict[str, list[Array]]) -> None:
    with pytest.raises(TranslationError, match="The model's encoder reads 77"):
        INPUTS[name].read(uploads[name][0], 77, 32)


def photograph(grey: Array) -> Array:
    """The drawing on paper in uneven light, grey lines, grain."""
    big = cv2.resize(grey, (320, 320), interpolation=cv2.INTER_CUBIC).astype(np.float64)
    y, x = np.mgrid[:320, :320] / 320
    paper = 120 + 90 * x - 40 * y
    grain = np.random.default_rng(0).normal(size=big.shape) * 4
    return (paper * (1 - 0.5 * (1 - big / 255)) + grain).clip(0, 255).astype(np.uint8)


def thickened(grey: Array) -> Array:
    big = cv2.resize(grey, (512, 512), interpolation=cv2.INTER_CUBIC)
    return cv2.erode(big, np.ones((9, 9), np.uint8))


STYLES = {
    "photographed": photograph,
    "thick": thickened,
    "chalk": lambda grey: 255 - grey,
    "pencil": lambda grey: 255 - (255 - grey) // 4,
    "large": lambda grey: cv2.resize(grey, (900, 900), interpolation=cv2.INTER_CUBIC),
}


@pytest.mark.parametrize("style", STYLES)
def test_pens_and_papers_give_the_same_lines(style: str) -> None:
    drawn = draw_faces(range(HELD_OUT, HELD_OUT + 4), 128).sketch[:, 0]
    plain = [((x + 1) * 127.5).round().byte().numpy() for x in drawn]
    expected = [lines(grey, 64) for grey in plain]
    for i, grey in enumerate(plain):
        read = lines(STYLES[style](grey), 64)
        errors = [float(np.abs(read - other).mean()) for other in expected]
        assert errors[i] < 0.08
        assert errors[i] < 0.6 * min(errors[:i] + errors[i + 1 :])


def test_an_empty_canvas_is_refused() -> None:
    grain = np.random.default_rng(0).normal(200, 3, (SIDE, SIDE)).clip(0, 255).astype(np.uint8)
    shade = np.linspace(90, 220, SIDE).astype(np.uint8)[None].repeat(SIDE, axis=0)
    for grey in (blank()[..., 0], blank(0)[..., 0], grain, shade):
        with pytest.raises(DrawingError, match="Draw the outlines"):
            lines(grey, 64)
    with pytest.raises(DrawingError, match="canvas is empty"):
        INPUTS["map"].read(blank(), len(CLASSES), 32)


def test_a_photo_is_not_a_label_map(uploads: dict[str, list[Array]]) -> None:
    with pytest.raises(DrawingError, match="not a label map"):
        INPUTS["map"].read(uploads["picture"][0], len(CLASSES), 32)


def test_a_hard_map_is_read_exactly(uploads: dict[str, list[Array]]) -> None:
    truth = draw_faces([HELD_OUT], SIDE).segmentation.argmax(dim=1)[0].numpy()
    assert (classes(uploads["map"][0], len(CLASSES), SIDE) == truth).all()


@pytest.mark.parametrize("quality", [None, 85])
def test_smoothed_edges_make_no_other_class(quality: int | None, uploads: dict[str, list[Array]]) -> None:
    for upload in uploads["map"]:
        smooth = cv2.resize(upload, (8 * SIDE, 8 * SIDE), interpolation=cv2.INTER_CUBIC)
        if quality is not None:
            file = io.BytesIO()
            Image.fromarray(smooth).save(file, format="JPEG", quality=quality)
            smooth = np.asarray(images.read(file.getvalue()))
        truth = classes(upload, len(CLASSES), SIDE)
        found = classes(smooth, len(CLASSES), SIDE)
        assert set(np.unique(found)) <= set(np.unique(truth))
        assert (found != truth).mean() < 0.01


def test_no_mixture_of_two_colours_looks_like_a_third() -> None:
    colours = COLOURS.astype(np.float64)
    t = np.linspace(0, 1, 21)[:, None]
    for i, a in enumerate(colours):
        for j, b in enumerate(colours[:i]):
            mixtures = a + t * (b - a)  # (21, 3)
            others = np.delete(colours, [i, j], axis=0)
            assert np.linalg.norm(mixtures[:, None] - others, axis=2).min() > 1.5 * PURE
