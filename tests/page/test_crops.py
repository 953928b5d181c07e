"""Crops of uploads, and results pasted back into them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from helpers.page import W, call
from helpers.serving import Served

from inversion import align, images
from inversion.align import Face
from inversion.serving.session import UnknownJob


def test_a_face_is_cut_out_and_pasted_back(site: Served, client: Client, picture: Path, face: Face) -> None:
    rows, pictures, _ = call(client, "/reconstruct", picture, align="face", **W)
    assert rows[0]["crop"]["how"] == "face" and np.allclose(rows[0]["crop"]["quad"], face.quad)
    key = site.session.submitted[-1]
    job = site.session.snapshot(key)
    photo = np.asarray(images.read(picture))
    assert job.truth is not None and (job.truth == align.cut(photo, face.quad, 32)).all()
    pasted = site.session.pasted(key, 0)
    assert (pasted == align.paste(photo, face.quad, np.asarray(images.read(pictures[0]["image"])))).all()
    assert (pasted[:, :10] == photo[:, :10]).all() and (pasted != photo).any()


def test_a_centre_is_pasted_back(site: Served, client: Client, picture: Path) -> None:
    _, pictures, _ = call(client, "/reconstruct", picture, **W)
    photo, result = np.asarray(images.read(picture)), np.asarray(images.read(pictures[0]["image"]))
    square = align.used_square(photo, align.Crop())
    pasted = site.session.pasted(site.session.submitted[-1], 0)
    assert square is not None and (pasted == align.paste(photo, square, result)).all() and (pasted != photo).any()


def test_only_models_of_aligned_faces_look_for_one(client: Client, picture: Path, face: Face) -> None:
    rows, _, _ = call(client, "/reconstruct", picture, **W)
    assert rows[0]["crop"] == {"how": "centre", "quad": None, "note": ""}
    rows, _, _ = call(client, "/reconstruct", picture, model="aligned", **W)
    assert rows[0]["crop"]["how"] == "face"


def test_a_hole_in_the_middle_is_in_the_middle_of_the_crop(
    site: Served, client: Client, picture: Path, face: Face
) -> None:
    call(client, "/inpaint", picture, hole="centre", align="face", **W)
    job = site.session.snapshot(site.session.submitted[-1])
    assert job.measured is not None
    hole = (job.measured == 128).all(axis=2)
    assert hole[11:21, 11:21].all() and not hole[:8].any() and not hole[:, 24:].any()


def test_without_the_detector_the_centre_is_used_and_said_so(client: Client, picture: Path) -> None:
    rows, _, _ = call(client, "/reconstruct", picture, model="aligned", **W)
    assert rows[0]["state"] == "done" and rows[0]["crop"]["how"] == "centre"
    assert "without looking for a face" in rows[0]["crop"]["note"]
    with pytest.raises(AppError, match="detector"):
        call(client, "/reconstruct", picture, align="face", **W)


def test_photos_are_kept_for_the_last_few_jobs_only(
    site: Served, client: Client, picture: Path, face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.session.limits, "photos", 1)
    for _ in range(2):
        call(client, "/reconstruct", picture, align="face", **W)
    keys = site.session.submitted[-2:]
    with pytest.raises(UnknownJob, match="no longer kept"):
        site.session.pasted(keys[0], 0)
    assert site.session.pasted(keys[-1], 0).shape == (64, 96, 3)
