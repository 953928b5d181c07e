"""Faces without a network: rendered faces are found, other pictures have none, and the user gets notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from benchmarks.framing import composite, corner_error, embedded_target
from inversion import align, images
from inversion.align import ESTIMATED_NOTE, FRAMES, Face, face_of, quad_of
from inversion.checkpoints import detector, fetch
from inversion.checkpoints.cascade import FaceCascade
from inversion.checkpoints.detector import YuNet, choose
from inversion.checkpoints.frame_fit import moved, quad_of_square, square_of_quad, steps_between
from inversion.checkpoints.photo import notes, turn_of
from inversion.checkpoints.registry import CROPS, Entry, HubError, registry
from inversion.serving.measurement import crop
from inversion.synthetic import DOMAINS, HELD_OUT
from inversion.synthetic.faces import draw_faces

FRAMED = [entry.name for entry in registry().values() if entry.crop in FRAMES]
SEED = HELD_OUT + 2


@pytest.fixture(scope="module")
def cascade() -> FaceCascade:
    found = detector.offline(registry())
    assert found is not None
    return found


def smooth(side: int) -> np.ndarray:
    patches = np.random.default_rng(5).uniform(0, 255, (4, 4, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(patches).resize((side, side), Image.Resampling.BICUBIC))


@pytest.mark.weights
def test_a_turned_face_is_framed_and_the_estimate_is_said(cascade: FaceCascade) -> None:
    picture, quad = composite(HELD_OUT + 36, 320)  # turned by -14 degrees
    found = choose(picture, "auto", lambda: cascade, target=embedded_target())
    assert found.quad is not None and corner_error(found.quad, quad) < 0.08
    assert found.note == ESTIMATED_NOTE and found.faces == (found.quad,) and found.number == 1


@pytest.mark.weights
def test_a_picture_without_a_face_has_none(cascade: FaceCascade) -> None:
    found = choose(smooth(256), "auto", lambda: cascade, target=embedded_target())
    assert found.quad is None and "No face was found" in found.note


@pytest.mark.weights
@pytest.mark.parametrize("name", FRAMED)
def test_renders_are_used_as_they_are(name: str) -> None:
    domain = DOMAINS[registry()[name].domain]
    for picture in domain.draw(range(HELD_OUT, HELD_OUT + 4)).picture.split(1):
        found = crop(images.to_array(picture), name)
        assert found.quad is None and "aligned already" in found.note


@pytest.mark.weights
def test_a_detector_s_rough_face_is_fitted_to_the_picture(cascade: FaceCascade) -> None:
    picture, quad = composite(SEED, 320)
    rough = quad_of_square(moved(square_of_quad(quad)[None], np.array([[0.05, -0.05, 0.1, 0.1]]))[0])
    seen = face_of(rough, "synthetic-faces")
    points = (seen.left_eye, seen.right_eye, seen.nose, seen.left_mouth, seen.right_mouth)
    assert corner_error(rough, quad) > 0.08 > 0.05 > corner_error(cascade.refined(picture, Face(*points)), quad)


@pytest.mark.parametrize("name", list(FRAMES))
def test_the_landmarks_of_a_frame_give_its_square_back(name: str) -> None:
    quad = align.by_hand((400, 300), 0.4, 0.6, 0.5, 33).quad
    assert quad is not None
    face = face_of(quad, name)
    assert face.estimated
    np.testing.assert_allclose(quad_of(face, name), quad, atol=0.01)
    assert quad_of(face) == face.quad  # FFHQ's unless a frame is named


@pytest.mark.weights
@pytest.mark.parametrize("name", list(FRAMES))
def test_frames_agree_with_the_renders(name: str) -> None:
    drawn, frame = draw_faces(range(HELD_OUT, HELD_OUT + 16)), FRAMES[name]
    rows = (np.arange(128) + 0.5) / 128 - 0.5
    eyes, mouth = (drawn.segmentation[:, DOMAINS[name].classes.index(part)].numpy() for part in ("eyes", "mouth"))
    places = [float(np.average(rows, weights=part.sum(axis=(0, 2)))) for part in (eyes, mouth)]
    assert places[0] == pytest.approx(frame.eyes, abs=0.01)
    assert places[1] - places[0] == pytest.approx(frame.eye_to_mouth, abs=0.01)


def test_every_frame_may_be_registered() -> None:
    assert set(CROPS) == {"none", "ffhq", *FRAMES}


def test_steps_lead_from_one_square_to_another() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.uniform((0, 0, 3, -1), (200, 200, 3.5, 1), (5, 4)) for _ in range(2))
    np.testing.assert_allclose(moved(first, steps_between(first, second)), second)


def test_lines_about_small_turned_and_blurred_faces() -> None:
    face = images.to_array(draw_faces([SEED], 160).picture)
    whole = align.by_hand((160, 160), 0.5, 0.5, 1).quad
    turned = align.by_hand((160, 160), 0.5, 0.5, 0.6, -40).quad
    assert whole is not None and turned is not None
    assert notes(face, whole, 128) == []
    assert ["160 pixels" in line and "larger photo" in line for line in notes(face, whole, 512)] == [True]
    assert turn_of(turned) == pytest.approx(-40) and "turned by 40 degrees" in notes(face, turned, 128)[-1]
    soft = np.asarray(Image.fromarray(face).filter(ImageFilter.GaussianBlur(8)))
    assert notes(soft, whole, 128) == ["The face is blurred. Use a sharper photo if you have one."]


def test_without_the_file_of_yunet_the_cascade_is_used_and_no_error_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def absent(entry: Entry) -> Path:
        tried.append(entry.architecture)
        if entry.architecture == "yunet":
            raise HubError("yunet: FILE is not on this machine, and downloads are off (HF_HUB_OFFLINE)")
        return Path(entry.file or "")

    monkeypatch.setattr(fetch, "fetch", absent)
    monkeypatch.setattr(fetch, "cached", lambda entry: None)
    monkeypatch.setattr(detector, "yunet_pause", detector.DownloadPause())
    assert [type(detector.registered(registry())) for _ in range(2)] == [FaceCascade, FaceCascade]
    assert tried == ["yunet", "cascade", "cascade"]  # the download is not tried again at once


def test_a_cached_yunet_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fetch, "cached", lambda entry: tmp_path)
    monkeypatch.setattr(fetch, "fetch", lambda entry: tmp_path)
    assert isinstance(detector.registered(registry()), YuNet)
