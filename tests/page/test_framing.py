"""The square on an upload: what was found, what the user chose, and whether the model knows such pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from helpers.page import laid_out
from helpers.serving import Served, entry
from helpers.translation import english_left

from inversion import align, images
from inversion.align import ESTIMATED_NOTE, Face, Quad
from inversion.checkpoints import detector
from inversion.editing.domain import DomainAnswer, explained, known_domains, outside_methods
from inversion.serving.runs import picture_digest
from inversion.serving.session import Session
from inversion.synthetic import DOMAINS
from ui.languages import LANGUAGES
from ui.parts.framing import Framing, domain_line
from ui.parts.inputs import InputError
from ui.parts.squares import CUT, ESTIMATED, FITS, FOUND, NO_FACE, by_points, line_about, read_choice, square_on
from ui.tabs import task_tab

MODEL = "aligned"
PAGE = gr.Request(session_hash="a page")


@pytest.fixture
def framing(site: Served) -> Framing:
    """The framing of a tab, laid out again outside the page."""
    return laid_out(task_tab("reconstruct"), site).crop


@pytest.fixture
def upload(picture: Path) -> np.ndarray:
    """The upload, uint8 (64, 96, 3)."""
    return np.asarray(images.read(picture))


def found(framing: Framing, picture: np.ndarray, choice: object = None, model: object = MODEL) -> dict[str, Any]:
    """The first update."""
    first = next(framing.look(lambda: picture, False, model, choice))
    return dict(first[framing.component]["found"])


def moved(face: Face, across: float) -> Face:
    """The face farther right."""
    points = (face.left_eye, face.right_eye, face.nose, face.left_mouth, face.right_mouth)
    return Face(*((x + across, y) for x, y in points))


def corners(quad: Quad | None) -> np.ndarray:
    assert quad is not None
    return np.array(quad)


def test_the_square_of_the_page_is_the_square_of_the_run(
    framing: Framing, upload: np.ndarray, face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = found(framing, upload)
    monkeypatch.setattr(Session, "crop", lambda *_, **__: align.Crop())  # another detector came meanwhile
    assert seen["of"] == picture_digest(upload) and seen["size"] == [96, 64] and (seen["faces"], seen["face"]) == (1, 1)
    used = framing.crop(upload, MODEL, {framing.component: {}})
    drawn = align.by_hand((96, 64), *seen["square"])
    assert used.how == "face" and np.allclose(corners(used.quad), corners(drawn.quad))


@pytest.mark.parametrize("name", [MODEL, "synthetic-faces"])
def test_a_correction_is_used_and_survives_another_model(framing: Framing, upload: np.ndarray, name: str) -> None:
    hand = [0.4, 0.6, 0.5, 12.0]
    choice = {"of": picture_digest(upload), "hand": hand}
    assert found(framing, upload, choice, name)["square"] == pytest.approx(hand)
    crop = framing.crop(upload, name, {framing.component: choice})
    assert crop == align.by_hand((96, 64), *hand)


def test_a_correction_of_another_picture_is_left_out(framing: Framing, upload: np.ndarray, face: Face) -> None:
    choice = {"of": "another", "hand": [0.1, 0.1, 0.1, 0], "face": 7}
    assert framing.crop(upload, MODEL, {framing.component: choice}) == framing.crop(
        upload, MODEL, {framing.component: {}}
    )


def test_faces_are_counted_from_the_largest(
    framing: Framing, upload: np.ndarray, face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = [face, moved(face, 30)]
    monkeypatch.setattr(detector, "registered", lambda entries: lambda picture: faces)
    seen = [found(framing, upload, {"of": picture_digest(upload), "face": number}) for number in (1, 2)]
    assert [one["face"] for one in seen] == [1, 2] and all("2 faces" in one["line"] for one in seen)
    assert seen[0]["square"] != seen[1]["square"]


@pytest.mark.parametrize("crop", ["ffhq", "synthetic-faces"])
def test_three_clicks_make_the_square_of_that_face(crop: str) -> None:
    face = Face((180, 200), (260, 210), (218, 245), (210, 290), (210, 290))
    width, height = 512, 480
    clicks = [(x / width, y / height) for x, y in (face.left_eye, face.right_eye, face.left_mouth)]
    made = by_points(np.zeros((height, width, 3), np.uint8), clicks, replace(entry("some"), crop=crop))
    assert made.how == "hand" and np.allclose(corners(made.quad), corners(align.quad_of(face, crop)))


def test_square_on_is_the_inverse_of_by_hand() -> None:
    for values in ((0.5, 0.5, 1.0, 0.0), (0.2, 0.7, 0.3, -35.0), (0.9, 0.1, 1.5, 120.0)):
        assert square_on(align.by_hand((300, 200), *values).quad, (300, 200)) == pytest.approx(values)


@pytest.mark.parametrize(
    "bad",
    [
        {"hand": [1, 2]},
        {"hand": "x"},
        {"points": [[1, "y"], 2, 3]},
        {"face": "a"},
        {"face": 0.5},
        {"how": "x"},
        {"hand": 3},
    ],
)
def test_what_is_no_choice_is_refused_in_words(bad: dict[str, Any], upload: np.ndarray) -> None:
    with pytest.raises(InputError):
        read_choice({"of": picture_digest(upload), **bad}, upload)
    assert read_choice(None, upload) == read_choice([], upload) == read_choice({"of": 3}, upload)


def test_the_line_says_what_to_do(framing: Framing, upload: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "registered", lambda entries: lambda picture: [])
    assert found(framing, upload)["line"] == NO_FACE
    faces = replace(entry("faces"), crop="ffhq", resolution=128)
    photo = np.zeros((200, 300, 3), np.uint8)
    cut, small, turned = (
        line_about(align.by_hand((300, 200), *values), photo, faces)
        for values in ((0.1, 0.5, 0.9, 0.0), (0.5, 0.5, 0.1, 0.0), (0.5, 0.5, 0.6, 40.0))
    )
    assert CUT in cut and "small" in small and "blurred" in turned
    noise = np.random.default_rng(0).integers(0, 255, photo.shape, dtype=np.uint8)
    assert "turned" in line_about(align.by_hand((300, 200), 0.5, 0.5, 0.6, 40.0), noise, faces)
    assert "face" not in line_about(align.by_hand((300, 200), 0.5, 0.5, 0.1, 40.0), noise, entry("houses"))
    upright = replace(align.by_hand((300, 200), 0.5, 0.5, 0.8, 0.0), how="face")
    assert line_about(upright, noise, faces) == f"{FOUND} {FITS}"
    assert line_about(replace(upright, note=ESTIMATED_NOTE), noise, faces) == f"{FOUND} {ESTIMATED}"


def test_without_a_picture_nothing_is_drawn(framing: Framing, upload: np.ndarray) -> None:
    def missing() -> np.ndarray:
        raise InputError("no picture")

    [update] = framing.look(missing, False, MODEL, {})
    assert update[framing.component]["found"] is False


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[DomainAnswer | Exception], None]:
    """Gives the session an answer to whether a picture is in the domain."""

    def use(answer: DomainAnswer | Exception) -> None:
        def ask(self: Session, request: object) -> DomainAnswer:
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(Session, "ask", ask)

    return use


def looked(framing: Framing, upload: np.ndarray, model: str, measured: bool = False) -> list[dict[str, Any]]:
    updates: Iterator[Any] = framing.look(lambda: upload, False, model, {}, measured)
    return [update[framing.component] for update in updates]


def test_the_domain_is_said_after_the_square(
    framing: Framing, upload: np.ndarray, answering: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = DomainAnswer(12.0, False, "Outside.", None, outside_methods())
    answering(outside)
    assert len(looked(framing, upload, MODEL)) == 1  # a model without a measure is not asked
    monkeypatch.setitem(DOMAINS, "test", DOMAINS["synthetic-faces"])
    square, domain = looked(framing, upload, "synthetic-faces")
    assert square["domain"] is False and domain["domain"] == domain_line(outside, picture_digest(upload))
    assert domain["domain"]["methods"] == list(outside_methods()) and "Clone" in domain["domain"]["button"]
    house = domain_line(DomainAnswer(12.0, False, "Outside.", "synthetic-houses", outside_methods()), "x")
    assert house is not None and house["button"] == "Use the house model" and not house["methods"]
    none = domain_line(DomainAnswer(12.0, False, "Outside."), "x")
    assert none is not None and "button" not in none
    assert len(looked(framing, upload, "synthetic-faces", measured=True)) == 1
    answering(InputError("busy"))
    assert len(looked(framing, upload, "synthetic-faces")) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_domain_is_said_in_the_language_of_the_page(language: str) -> None:
    for known in known_domains().values():
        answers = [DomainAnswer(1.0, False, explained(known, None, (key,)), None, (key,)) for key in outside_methods()]
        answers.append(DomainAnswer(1.0, False, explained(known, None, outside_methods()), None, outside_methods()))
        answers.append(DomainAnswer(1.0, False, explained(known, known, ()), known.model))
        lines = [line for answer in answers if (line := domain_line(answer, "x")) is not None]
        assert len(lines) == len(answers)
        assert not english_left((text for line in lines for text in (line["text"], line["button"])), language)


def test_the_page_may_only_switch_to_a_model_with_a_measure(framing: Framing) -> None:
    def event(**data: object) -> gr.EventData:
        return gr.EventData(None, {"data": None, **data})

    assert framing.better(event(model="synthetic-houses")) == "synthetic-houses"
    for wrong in (event(model="../x"), event(model=["a"]), event()):
        assert framing.better(wrong) == gr.skip()
