"""FFHQ crops: position of landmarks, invariance to turning and scaling, borders, and pasting back."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import data

from inversion import align, images
from inversion.__main__ import main
from inversion.align import (
    AlignError,
    Crop,
    Face,
    Quad,
    by_hand,
    cut,
    cut_mask,
    paste,
    quad_of,
    spread_mask,
    used_square,
)
from inversion.checkpoints import detector, hub
from inversion.checkpoints.detector import YuNet, choose
from inversion.checkpoints.registry import HubError
from inversion.common.names import companion
from inversion.model import Model

# Landmarks of a face in an FFHQ crop, as fractions of the side. The rule must find the same crop from these five.
# A distance of 0.25 between the eyes gives the half side max(2 * 0.25, 1.8 * 0.27) = 0.5; the centre is a tenth of the
# way from the eyes to the mouth.
TEMPLATE = np.array([(0.375, 0.473), (0.625, 0.473), (0.5, 0.6), (0.43, 0.743), (0.57, 0.743)])
ASTRONAUT = Face(
    (204, 101), (247, 103), (226, 124), (205, 141), (242, 142)
)  # in the picture of scikit-image, measured by hand

# An ONNX network with the inputs and outputs of YuNet (2 kB, deflated), built of poolings. It detects white squares as
# faces: eyes at (0.2, 0.3) and (0.8, 0.3) of the square, nose in the middle, mouth at (0.3, 0.8) and (0.7, 0.8).
TOY = (
    b"c-oCs&2G~`5YF08yi9{|7ZF8JAfy*$Kq7HfMLo1`xJ4WgLL9hMF<7QJ#FiZj+;{}8<;0zr-~r%CcnH|pA3IG<<CQk{>^J*;nfam#"
    b"Z5{l%1|4Xg&eIPIAQ7{oEd1QJo+R@#@Ige(NJssx<FhcEM&Yw0nYlNh9f#RGoSo!vr)lU@pMEE{>wujvveP$Vu1>%OewVdg&+?Pe"
    b"qJQN@Hl62bl85d#SZSEO_Zz<9n?AwZ9Z-2-<O9|e?|u7uC?qsf61=O$B=aPbcrTec$OOj60E{4DMle#<KH%|)*+Gze+AMJgbRyT-"
    b"V=Wo1i^QBXW=5<<co{J-BTj2H<Tj{0F!RA<))YZ0aje`i)4~4b_Bg(?Vvjt5hk%!vjlCZ1*Qi+~ioUjFP<|oJhW)O^rV=Ha3`(}H"
    b"U@Lqw0}jd_J^~CF6+Pc9)Po{Zcx9`oLQ1-2#)T9wDaMkp^_!LMf=-l<wPaLfnK!)LvYy{tu}q$bCVN9^nK!Iy8BZ)N<I)!_LpE%F"
    b"EjE={TDHvA6>LkEaj>+E>qsLu3u()wlD4c;N?TS)p=DSS_I|UHvJ8bv%a()~iQGOl9ed0xo^(k=uD@#O*u6ywHTfnE8Ix$zCNF;+"
    b"=<W8Xg^&Pwb0$t>Ww|%0g;*f5Bix?niS3RkEZvSL_Zu~rJES03`JLato*sTXKR@KpBYbKVeTGW-EQ;M*FV@n$yCMhswVnhjesxd%"
    b"sjx0|C}9i?O87Rxq+goiBiI2s<=J)E<|$W23P*<cf~c6>)hHj1a^_aS7G4(PvI+&fEQi+${IjjO<us~>_3W?4tw7D~YPb;RztM~E"
    b"S94kXf3Oy>#tZRk7{(SfoUMOPHNMF"
)


def similarity(centre: tuple[float, float], side: float, turn: float) -> np.ndarray:
    """(2, 3) map from parts of a crop to the picture: the crop's centre and side there, turned by degrees."""
    angle = np.deg2rad(turn)
    linear = side * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.concatenate([linear, (np.array(centre) - linear @ (0.5, 0.5))[:, None]], axis=1)


def moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def face(matrix: np.ndarray) -> Face:
    return Face(*(tuple(point) for point in moved(matrix, TEMPLATE)))


def scene(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A smooth picture over the plane, uint8 (..., 3)."""
    waves = [np.sin(9 * u + 3 * v + k) * np.cos(7 * v - 2 * u + 2 * k) for k in range(3)]
    return np.rint(127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def photo(matrix: np.ndarray, width: int, height: int) -> np.ndarray:
    """The scene, placed in a picture of this size by the map."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    back = np.linalg.inv(np.concatenate([matrix, [[0, 0, 1]]]))[:2]
    u, v = np.moveaxis(moved(back, np.stack([x, y], axis=-1)), -1, 0)
    return scene(u, v)


def ideal(size: int) -> np.ndarray:
    """The scene's own crop."""
    return photo(np.array([[size, 0, 0], [0, size, 0]], dtype=float), size, size)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(a.astype(float) - b).mean())


PLACES = [
    similarity((150, 130), 128, 0),
    similarity((220, 170), 200, 33),
    similarity((180, 200), 180, -90),
    similarity((500, 450), 640, 151),  # shrunk first
]


@pytest.mark.parametrize("matrix", PLACES)
def test_landmarks_land_on_the_template(matrix: np.ndarray) -> None:
    quad = np.array(face(matrix).quad)
    corners = moved(matrix, np.array([(0, 0), (0, 1), (1, 1), (1, 0)]))
    assert np.abs(quad - corners).max() < 0.01 * np.linalg.norm(corners[3] - corners[0])
    assert np.linalg.norm(quad[3] - quad[0]) == pytest.approx(np.linalg.norm(quad[1] - quad[0]))
    assert np.dot(quad[3] - quad[0], quad[1] - quad[0]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("matrix", PLACES)
def test_turning_and_scaling_the_photo_gives_the_same_crop(matrix: np.ndarray) -> None:
    crop = cut(photo(matrix, 1000, 900), face(matrix).quad, 128)
    assert crop.shape == (128, 128, 3) and crop.dtype == np.uint8
    assert difference(crop, ideal(128)) < 0.6


def test_a_quarter_turn_of_a_real_photo_gives_the_same_crop() -> None:
    picture = data.astronaut()
    turned = np.ascontiguousarray(np.rot90(picture, -1))  # clockwise: (x, y) -> (height - y, x)
    points = (ASTRONAUT.left_eye, ASTRONAUT.right_eye, ASTRONAUT.nose, ASTRONAUT.left_mouth, ASTRONAUT.right_mouth)
    there = Face(*((512 - y, x) for x, y in points))
    assert difference(cut(turned, there.quad, 128), cut(picture, ASTRONAUT.quad, 128)) < 0.1


def test_the_astronaut_is_cropped_upright() -> None:
    crop = cut(data.astronaut(), ASTRONAUT.quad, 256)
    matrix = align.crop_matrix(np.array(ASTRONAUT.quad), 256)
    left, right = moved(matrix, np.array([ASTRONAUT.left_eye, ASTRONAUT.right_eye])).round().astype(int)
    assert abs(left[1] - right[1]) < 8 and 100 < left[1] < 125 and 85 < left[0] < 105 and 150 < right[0] < 170
    for x, y in (left, right):  # the pupils are much darker than the cheeks below them
        assert crop[y - 5 : y + 6, x - 8 : x + 9].min() < 60 < 150 < crop[y + 25 : y + 35, x - 8 : x + 9].mean()


def test_an_aligned_picture_stays_as_it_is() -> None:
    whole = np.array([[256, 0, 0], [0, 256, 0]], dtype=float)
    crop = choose(ideal(256), "auto", lambda: lambda _: [face(whole)])
    assert crop.quad is None and "aligned already" in crop.note
    assert difference(cut(ideal(256), face(whole).quad, 256), ideal(256)) < 1.5


def test_a_face_at_the_border_is_padded_and_gets_a_note() -> None:
    matrix = similarity((40, 60), 160, 10)  # a large part of the square is outside
    picture = photo(matrix, 300, 300)
    crop = choose(picture, "auto", lambda: lambda _: [face(matrix)])
    assert crop.quad is not None and "border" in crop.note
    padded = cut(picture, crop.quad, 128)
    assert difference(padded[80:110, 80:110], ideal(128)[80:110, 80:110]) < 1  # the part inside is unchanged
    assert padded[:8, :8].std() < 0.5 * ideal(128)[:8, :8].std() + 12  # far outside there is almost one colour
    inside = similarity((150, 150), 100, 10)
    assert choose(picture, "auto", lambda: lambda _: [face(inside)]).note == ""


@pytest.mark.parametrize("side", [97, 256, 700])
def test_pasting_the_crop_back_changes_little_and_nothing_outside(side: int) -> None:
    matrix = similarity((420, 400), side, 20)
    picture = photo(matrix, 800, 760)
    quad = face(matrix).quad
    pasted = paste(picture, quad, cut(picture, quad, 128))
    assert difference(pasted, picture) < 1 and np.abs(pasted.astype(int) - picture).max() <= 12
    x, y = np.meshgrid(np.arange(800) + 0.5, np.arange(760) + 0.5)
    u, v = np.moveaxis(moved(align.crop_matrix(np.array(quad), 1), np.stack([x, y], axis=-1)), -1, 0)
    outside = (u < 0) | (u > 1) | (v < 0) | (v > 1)
    assert outside.mean() > 0.2 and (pasted[outside] == picture[outside]).all()


def test_a_pasted_picture_is_seen_where_its_crop_was() -> None:
    matrix = similarity((200, 150), 160, -25)
    picture = photo(matrix, 400, 300)
    quad = face(matrix).quad
    pasted = paste(picture, quad, 255 - cut(picture, quad, 128))
    x, y = (round(v) for v in np.mean(quad, axis=0))
    assert np.abs(pasted[y, x].astype(int) - (255 - picture[y, x])).max() < 6
    again = cut(pasted, quad, 128)
    assert difference(again[20:-20, 20:-20], 255 - ideal(128)[20:-20, 20:-20]) < 2


@pytest.mark.parametrize(("height", "width"), [(64, 96), (97, 64), (64, 97), (95, 64)])
def test_the_used_square_of_a_centre_is_the_part_that_is_cut_out(height: int, width: int) -> None:
    rows, columns = np.mgrid[:height, :width]
    smooth = np.stack([2 * rows, 2 * columns, rows + columns], axis=-1).astype(np.uint8)
    square = align.used_square(smooth, Crop())
    assert square is not None
    cut, part = (
        one[2:-2, 2:-2].astype(int) for one in (align.cut(smooth, square, 64), align.part_of(smooth, Crop(), 64))
    )
    assert np.abs(cut - part).max() <= 1
    assert align.used_square(smooth[:64, :64], Crop()) is None


def test_mirrored_parts_are_not_pasted() -> None:
    matrix = similarity((60, 60), 200, 0)
    picture = photo(matrix, 300, 300)
    quad = face(matrix).quad
    pasted = paste(picture, quad, cut(picture, quad, 128))
    assert difference(pasted, picture) < 0.6 and np.abs(pasted.astype(int) - picture).max() < 16


def test_a_mask_follows_its_picture() -> None:
    quad = face(similarity((150, 130), 140, 30)).quad
    hole = np.zeros((256, 256), np.uint8)
    hole[90:150, 60:200] = 255
    there = spread_mask(hole, quad, (300, 320))
    assert there.shape == (300, 320) and set(np.unique(there)) == {0, 255}
    back = cut_mask(there, quad, 64)
    covered = cut_mask(hole, by_hand((256, 256), 0.5, 0.5, 1).quad, 64)  # type: ignore[arg-type]
    assert (back >= covered).mean() > 0.995 and abs(back.mean() - covered.mean()) < 0.06 * 255


def test_a_square_by_hand_is_the_expected_box() -> None:
    picture = photo(PLACES[0], 400, 300)
    crop = by_hand((400, 300), 0.5, 0.5, 0.64)
    assert crop.how == "hand" and crop.quad is not None
    assert difference(cut(picture, crop.quad, 192), picture[54:246, 104:296]) < 0.5
    upside_down = by_hand((400, 300), 0.5, 0.5, 0.64, turn=180).quad
    assert upside_down is not None
    assert difference(cut(picture, upside_down, 192)[::-1, ::-1], picture[54:246, 104:296]) < 0.5


@pytest.mark.parametrize("values", [(-0.1, 0.5, 0.5, 0), (0.5, 0.5, 0, 0), (0.5, 0.5, 9, 0), (0.5, float("nan"), 1, 0)])
def test_a_square_out_of_range_is_refused(values: tuple[float, float, float, float]) -> None:
    with pytest.raises(AlignError, match="centre in the picture"):
        by_hand((100, 100), *values)


def test_of_several_faces_the_largest_or_the_chosen_one_is_used() -> None:
    near, far = face(similarity((100, 100), 120, 0)), face(similarity((300, 150), 60, 0))
    picture = np.zeros((300, 400, 3), np.uint8)

    def faces(_: np.ndarray) -> Sequence[Face]:
        return [far, near]

    assert choose(picture, "auto", lambda: faces) == Crop("face", near.quad, "2 faces were found. The largest is used.")
    assert choose(picture, "face", lambda: faces, 2) == Crop("face", far.quad, "2 faces were found. Number 2 is used.")
    with pytest.raises(AlignError, match="no face 3. Choose a number from 1 to 2"):
        choose(picture, "face", lambda: faces, 3)


def test_without_a_face_or_a_detector_the_centre_is_used_with_a_note() -> None:
    picture = np.zeros((30, 40, 3), np.uint8)

    def absent() -> detector.Detector:
        raise HubError("yunet: cannot get its file: is there a network?")

    nothing = choose(picture, "auto", lambda: lambda _: [])
    assert nothing.quad is None and "No face was found" in nothing.note
    unseen = choose(picture, "auto", absent)
    assert unseen.quad is None and "is there a network" in unseen.note
    assert choose(picture, "centre", absent) == Crop()  # the detector is not called
    with pytest.raises(AlignError, match="No face"):
        choose(picture, "face", lambda: lambda _: [])
    with pytest.raises(HubError, match="network"):
        choose(picture, "face", absent)


def test_the_command_line_cuts_and_pastes(
    model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture = photo(similarity((150, 130), 140, 30), 320, 300)
    there = [face(similarity((150, 130), 140, 30)), face(similarity((260, 230), 60, 0))]
    images.write_png(tmp_path / "photo.png", picture)
    monkeypatch.setattr(hub, "load", lambda name, device="auto", dtype="auto": model)
    monkeypatch.setattr(detector, "registered", lambda entries: lambda picture: there)
    command = ["invert", str(tmp_path / "photo.png"), "--method", "w", "--set", "w.steps=2", "--out", str(tmp_path)]
    assert main([*command, "--json", "--align", "centre"]) == 0
    row = json.loads(capsys.readouterr().out)
    centre = used_square(picture, Crop())
    assert row["crop"]["quad"] is None and centre is not None and _is_pasted(row, picture, centre)
    assert main([*command, "--json", "--align", "face"]) == 0
    out, err = capsys.readouterr()
    row = json.loads(out)
    assert "2 faces were found. The largest is used." in err and row["crop"]["how"] == "face"
    assert _is_pasted(row, picture, quad_of(there[0], "synthetic-faces"))
    assert main([*command, "--align", "face", "--face", "3"]) == 2
    assert "no face 3" in capsys.readouterr().err


def _is_pasted(row: dict[str, Any], picture: np.ndarray, square: Quad) -> bool:
    """Whether the file beside a result shows it in its square of the picture."""
    pasted = np.asarray(images.read(companion(Path(row["image"]), "_pasted.png")))
    return bool((pasted == paste(picture, square, np.asarray(images.read(row["image"])))).all())


def test_coinciding_landmarks_are_refused() -> None:
    with pytest.raises(AlignError, match="coincide"):
        _ = Face(*[(5.0, 5.0)] * 5).quad


def test_the_detector_gives_landmarks_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "detector.onnx"
    path.write_bytes(zlib.decompress(base64.b85decode(TOY)))
    picture = np.zeros((900, 1280, 3), np.uint8)  # the detector sees half the size
    assert YuNet(path)(picture) == []
    picture[128:192, 256:320] = 255
    found = max(YuNet(path)(picture), key=lambda face: face.right_eye[0] - face.left_eye[0])
    assert found.score > 0.95
    points = np.array([found.left_eye, found.right_eye, found.nose, found.left_mouth, found.right_mouth])
    place = 256 + 64 * np.array([0.2, 0.8, 0.5, 0.3, 0.7]), 128 + 64 * np.array([0.3, 0.3, 0.5, 0.8, 0.8])
    assert np.abs(points - np.stack(place, axis=1)).max() < 0.5


def test_a_detector_file_that_opencv_cannot_read_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "detector.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(AlignError, match=r"detector\.onnx"):
        YuNet(path)(np.zeros((64, 64, 3), np.uint8))
