"""Edits by the session, the lane and the command line."""

from __future__ import annotations

import json
import pickle
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.checkpoints import GOOD, use_entries
from helpers.editing import editable
from helpers.lanes import WAIT
from PIL import Image
from torch import Tensor

from inversion import images
from inversion.__main__ import main
from inversion.checkpoints import hub
from inversion.checkpoints.registry import Entry
from inversion.common.errors import UserError
from inversion.editing import (
    DIFFUSION,
    edited,
)
from inversion.editing.local import feathered
from inversion.editing.requests import (
    DirectionsRequest,
    EditOptions,
    EditRequest,
    InterpolateRequest,
    Inverted,
    MixRequest,
)
from inversion.editing.timeline import timeline
from inversion.generators import Prior
from inversion.methods import METHODS, SettingError, tuned
from inversion.methods.codes import from_plain
from inversion.metrics import METRICS
from inversion.model import Model
from inversion.serving.edits import Place
from inversion.serving.lane import Lane
from inversion.serving.runs import CroppedPicture, Request
from inversion.serving.session import Session, UnknownJob
from inversion.synthetic.faces import NAMES


@pytest.fixture
def editable_model(full_model: Model, prior: Prior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """A tiny model with directions and a predictor, which the hub hands out as `tiny`."""
    model = editable(full_model, prior)
    use_entries(monkeypatch, tmp_path, Entry("tiny", **GOOD))  # type: ignore[arg-type]
    monkeypatch.setattr(hub, "load", lambda name, device="auto", dtype="auto": model)
    return model


@pytest.fixture
def session(editable_model: Model) -> Iterator[Session]:
    session = Session("cpu")
    yield session
    session.close()


def request_of(picture: Tensor, method: str, **changes: Any) -> Request:  # noqa: ANN401
    steps = {f"{s.key}.steps": 1 for s in METHODS[method].stages if hasattr(s, "steps")}
    return Request("reconstruct", method, images.to_array(picture), "tiny", steps, **changes)


def finish(session: Session, requests: list[Request]) -> str:
    key = session.submit(requests)
    *_, view = session.follow(key, every=0.01)
    assert [run.state for run in view.runs] == ["done"] * len(requests), [run.message for run in view.runs]
    return key


def test_results_of_every_method_can_be_edited(session: Session, pictures: Tensor, editable_model: Model) -> None:
    methods = [key for key, method in METHODS.items() if method.unavailable(editable_model) is None]
    assert {"z", "w", "wplus", "projector", "mganprior", "pti", "clone", "e4e"} <= set(methods)
    key = finish(session, [request_of(pictures[0], method) for method in methods])
    for index, method in enumerate(methods):
        if method == "dip":
            with pytest.raises(UserError, match="no code"):
                session.edits.move(key, index, EditOptions({"smile": 1.0}))
            with pytest.raises(UserError, match="no code"):
                session.edits.pictured(key, index, EditOptions({"smile": 1.0}))
            continue
        stored = session.stored_result(key, index)
        still = session.edits.move(key, index, EditOptions({}))
        moved = session.edits.move(key, index, EditOptions({"smile": 1.5}, (0, 6), ("smile",)))
        assert np.array_equal(still.picture, stored.image) and stored.row["method"] == method
        alone = session.edits.pictured(key, index, EditOptions({"smile": 1.5}, (0, 6), ("smile",)))
        assert np.array_equal(alone.picture, moved.picture) and not alone.figures and not alone.attributes
        assert not np.array_equal(moved.picture, stored.image)
        assert set(moved.attributes) == set(NAMES) and still.figures["synthetic_identity"] == pytest.approx(1, abs=1e-3)
        smile = still.attributes["smile"]
        assert smile.before == pytest.approx(smile.after, abs=1e-3)


def test_an_edit_of_a_tuned_result_is_rendered_by_the_tuned_generator(
    session: Session, pictures: Tensor, prior: Prior, editable_model: Model
) -> None:
    key = finish(session, [request_of(pictures[0], "pti")])
    stored = session.stored_result(key, 0)
    code = from_plain(stored.code, torch.device("cpu"))
    with torch.no_grad():
        smiling = edited(code, prior, editable_model.directions, {"smile": 1.0})
        moved = smiling.render(tuned(prior, stored.weights or {}))
    assert np.array_equal(session.edits.move(key, 0, EditOptions({"smile": 1.0})).picture, images.to_array(moved))


def test_two_results_are_interpolated_and_mixed(session: Session, pictures: Tensor) -> None:
    key = finish(session, [request_of(pictures[0], "wplus"), request_of(pictures[1], "pti")])
    frames = session.edits.interpolate(Place(key, 0), Place(key, 1), frames=4)
    assert len(frames) == 4 and np.array_equal(frames[0], session.stored_result(key, 0).image)
    assert np.array_equal(frames[-1], session.stored_result(key, 1).image)
    mix = session.edits.mix(Place(key, 0), Place(key, 1), 4)
    assert mix.shape == (32, 32, 3) and not np.array_equal(mix, frames[0])
    with pytest.raises(UserError, match="frames"):
        session.edits.interpolate(Place(key, 0), Place(key, 1), frames=1)
    with pytest.raises(UserError, match="between 1 and 7"):
        session.edits.mix(Place(key, 0), Place(key, 1), 99)


def test_an_edit_changes_nothing_outside_of_its_mask(session: Session, pictures: Tensor) -> None:
    key = finish(session, [request_of(pictures[0], "w")])
    before, mask = session.stored_result(key, 0).image, np.zeros((32, 32), np.uint8)
    mask[8:20, 4:28] = 255
    options = EditOptions({"smile": 2.5}, mask=mask)
    local, whole = (session.edits.move(key, 0, one).picture for one in (options, replace(options, mask=None)))
    assert np.array_equal(local[mask == 0], before[mask == 0]) and not np.array_equal(local, before)
    inside = feathered(mask) == 1
    assert inside.any() and np.array_equal(local[inside], whole[inside])
    with pytest.raises(UserError, match="size of the picture"):
        session.edits.move(key, 0, replace(options, mask=mask[1:]))


def alike(image: Tensor, truth: Tensor, model: Model) -> list[float]:
    """A similarity that every change lowers."""
    return [1 - float((image - truth).abs().mean())]


def test_an_edit_keeps_the_identity_and_a_tighter_limit_moves_less(
    session: Session, pictures: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METRICS, "synthetic_identity", replace(METRICS["synthetic_identity"], fn=alike))
    key = finish(session, [request_of(pictures[0], "w")])
    free = session.edits.move(key, 0, EditOptions({"smile": 2.5}))
    reached = free.figures["synthetic_identity"] or 0.0
    assert free.factor == 1 and reached < 1
    factors = []
    for limit in (reached, (1 + reached) / 2, (3 + reached) / 4):
        edited = session.edits.move(key, 0, EditOptions({"smile": 2.5}, keep_identity=limit))
        assert (edited.figures["synthetic_identity"] or 0.0) >= limit
        assert session.edits.pictured(key, 0, EditOptions({"smile": 2.5}, keep_identity=limit)).factor == edited.factor
        factors.append(edited.factor)
    assert factors[0] == 1 and factors == sorted(factors, reverse=True) and factors[-1] < 1
    hopeless = session.edits.move(key, 0, EditOptions({"smile": 2.5}, keep_identity=1.01))
    assert hopeless.factor == 0 and np.array_equal(hopeless.picture, session.stored_result(key, 0).image)


def test_missing_results_and_unknown_directions_are_refused(session: Session, pictures: Tensor) -> None:
    key = finish(session, [request_of(pictures[0], "w")])
    with pytest.raises(UnknownJob, match="no longer kept"):
        session.edits.move(key, 1, EditOptions({"smile": 1.0}))
    with pytest.raises(UserError, match="direction 'grin'"):
        session.edits.move(key, 0, EditOptions({"grin": 1.0}))
    with pytest.raises(UserError, match="styles are 0-7"):
        session.edits.directions("tiny", (0, 80))
    assert session.edits.directions("tiny")[0] == {
        "name": "smile",
        "label": "smile",
        "group": "attributes",
        "low": -1.5,
        "high": 2.5,
        "unit": "standard deviations of random codes",
    }


def test_a_region_of_one_picture_is_diffused_into_another(session: Session, pictures: Tensor) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 255
    context = images.to_array(pictures[1])
    request = Request(
        DIFFUSION.task,
        DIFFUSION.method,
        images.to_array(pictures[0]),
        "tiny",
        {**DIFFUSION.settings, "indomain.steps": 4},
        inputs={"mask": mask, "context": CroppedPicture(context)},
    )
    key = finish(session, [request])
    view = session.snapshot(key)
    assert view.truth is None and view.measured is not None
    assert np.array_equal(view.measured, np.where(mask[..., None] > 0, request.picture, context))
    assert session.edits.move(key, 0, EditOptions({"smile": 1.0})).picture.shape == (32, 32, 3)
    with pytest.raises(UserError, match="needs a context"):
        list(Lane("cpu")(replace(request, inputs={"mask": mask})))


def test_requests_and_answers_are_plain_data(session: Session, pictures: Tensor) -> None:
    key = finish(session, [request_of(pictures[0], "mganprior"), request_of(pictures[1], "pti")])
    a, b = (Inverted(k.code, k.weights) for k in (session.stored_result(key, 0), session.stored_result(key, 1)))
    before = session.stored_result(key, 0).image
    lane = Lane("cpu")
    for request in (
        DirectionsRequest("tiny"),
        EditRequest("tiny", a, before, EditOptions({"smile": 1.0})),
        InterpolateRequest("tiny", a, b, 2),
        MixRequest("tiny", b, a, 3),
    ):
        answer = lane.answer(pickle.loads(pickle.dumps(request)))  # noqa: S301 - our own bytes
        assert len(pickle.dumps(answer)) > 0


@dataclass(frozen=True)
class Ping:
    """A quick request that notes when it is served."""

    model: str = "tiny"
    error: str = ""

    def __call__(self, model: Model) -> str:
        if self.error == "unexpected":
            raise KeyError("oops")
        if self.error:
            raise SettingError(self.error)
        return threading.current_thread().name


def test_quick_requests_are_served_between_the_steps_of_a_run(session: Session, pictures: Tensor) -> None:
    long = replace(request_of(pictures[0], "w"), settings={"w.steps": 10_000})
    key = session.submit([long])
    while session.snapshot(key).runs[0].step < 1:
        time.sleep(0.005)
    done: list[str] = []
    users = [threading.Thread(target=lambda: done.append(session.ask(Ping()))) for _ in range(8)]
    for user in users:
        user.start()
    for user in users:
        user.join(WAIT)
    assert done == ["device-lane"] * 8 and session.snapshot(key).runs[0].state == "running"
    session.cancel(key)
    *_, view = session.follow(key, every=0.01)
    assert view.runs[0].image is not None


def test_a_failing_quick_request_raises_and_the_lane_goes_on(session: Session) -> None:
    for error, message in (("say it better", "say it better"), ("unexpected", "unexpected error")):
        with pytest.raises(UserError, match=message):
            session.ask(Ping(error=error))
    assert session.ask(Ping()) == "device-lane"


def test_the_command_edits_and_keeps_pictures(
    editable_model: Model, pictures: Tensor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images.write_png(tmp_path / "face.png", images.to_array(pictures[0]))
    base = ["edit", str(tmp_path / "face.png"), "--model", "tiny", "--method", "w", "--set", "w.steps=2"]
    out = ["--out", str(tmp_path / "out"), "--strip", "3", "--parts", "0,0.5,1", "--json"]
    assert main([*base, "--edit", "smile=1.5", "--sefa", "1=-1", "--layers", "0-4", *out]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["method"] == "w" and row["edit"]["moves"] == {"smile": 1.5, "sefa_1": -1.0}
    assert row["edit"]["layers"] == [0, 4] and len(row["edit"]["attributes"]["smile"]) == 2
    picture = np.asarray(images.read(row["edit"]["image"]))
    strip = np.asarray(images.read(Path(row["edit"]["image"]).with_stem("face_reconstruct_w_edited_strip")))
    assert picture.shape == (32, 32, 3) and strip.shape == (32, 96, 3)
    assert np.array_equal(strip[:, 64:], picture)
    with Image.open(tmp_path / "out" / "edits.png") as sheet:
        assert sheet.width > 2 * sheet.height  # three pictures in a row


def test_a_timeline_meets_its_states_and_goes_straight_between_them() -> None:
    states = [{"smile": -1.0}, {"smile": 1.0, "yaw": 2.0}, {"yaw": 0.5}]
    frames = timeline(states, 9)
    assert frames[0] == {"smile": -1.0, "yaw": 0.0} and frames[4] == states[1]
    assert frames[-1] == {"smile": 0.0, "yaw": 0.5} and frames[2] == {"smile": 0.0, "yaw": 1.0}
    assert timeline(states, 3) == [frames[0], frames[4], frames[-1]] and timeline([{}], 2) == [{}, {}]
    for wrong in (2, 0, -1, 10_000):
        with pytest.raises(UserError, match="3 to 240 frames"):
            timeline(states, wrong)


def frames_of(path: str) -> list[np.ndarray]:
    """The frames of an animation, uint8 (H, W, 3)."""
    with Image.open(path) as animation:
        frames = []
        for i in range(getattr(animation, "n_frames", 1)):
            animation.seek(i)
            frames.append(np.asarray(animation.convert("RGB")))
        return frames


def test_the_command_animates_an_edit_there_and_back(
    editable_model: Model, pictures: Tensor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images.write_png(tmp_path / "face.png", images.to_array(pictures[0]))
    base = ["edit", str(tmp_path / "face.png"), "--model", "tiny", "--method", "w", "--set", "w.steps=2"]
    out = ["--animate", "--frames", "5", "--out", str(tmp_path / "out"), "--overwrite", "--json"]
    assert main([*base, "--edit", "smile=2.5", *out]) == 0
    row = json.loads(capsys.readouterr().out)
    shown = frames_of(row["edit"]["animation"])
    before, after = (np.asarray(images.read(path)) for path in (row["image"], row["edit"]["image"]))
    assert len(shown) == 5 and np.array_equal(shown[2], after)
    assert np.array_equal(shown[0], before) and np.array_equal(shown[4], before)
    assert main([*base, "--key", "smile=2.5", "--key", "", "--key", "smile=-1,sefa_1=1", "--mp4", *out]) == 0
    row = json.loads(capsys.readouterr().out)
    path = frames_of(row["edit"]["animation"])
    assert np.array_equal(path[0], after) and np.array_equal(path[2], before) and len(path) == 5
    assert np.array_equal(path[4], np.asarray(images.read(row["edit"]["image"])))
    assert row["edit"]["moves"] == {"smile": -1.0, "sefa_1": 1.0} and Path(row["edit"]["video"]).stat().st_size > 100


def test_the_command_edits_a_region_and_keeps_the_identity(
    editable_model: Model, pictures: Tensor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images.write_png(tmp_path / "face.png", images.to_array(pictures[0]))
    mask = np.zeros((32, 32), np.uint8)
    mask[:16] = 255
    images.write_png(tmp_path / "mask.png", np.dstack([mask] * 3))
    base = ["edit", str(tmp_path / "face.png"), "--model", "tiny", "--method", "w", "--set", "w.steps=2"]
    limits = ["--mask", str(tmp_path / "mask.png"), "--keep-identity", "0.99"]
    assert main([*base, "--edit", "smile=2.5", *limits, "--out", str(tmp_path / "out"), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    before, after = (np.asarray(images.read(path)) for path in (row["image"], row["edit"]["image"]))
    assert np.array_equal(before[16:], after[16:]) and row["edit"]["region"] == 0.5
    assert row["edit"]["keep_identity"] == 0.99 and row["edit"]["synthetic_identity"] >= 0.99
    assert main([*base, "--edit", "smile=1", "--keep-identity", "2"]) == 2
    assert "from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "add --edit NAME=STRENGTH"),
        (["--edit", "grin=1"], "direction 'grin'"),
        (["--edit", "smile"], "NAME=STRENGTH"),
        (["--edit", "smile=1e9"], "smile must be a number between"),
        (["--edit", "smile=nan"], "smile must be a number between"),
        (["--edit", "smile=1", "--keep", "grin"], "direction 'grin'"),
        (["--sefa", "x=1"], "--sefa needs a number, as in 1=2.0."),
        (["--sefa", "1"], "N=STRENGTH"),
        (["--edit", "smile=1", "--layers", "5"], "--layers needs A-B"),
        (["--edit", "smile=1", "--layers", "5-90"], "styles are 0-7"),
        (["--edit", "smile=1", "--strip", "4"], "--out"),
        (["--edit", "smile=1", "--animate"], "--animate needs a folder"),
        (["--edit", "smile=1", "--frames", "1"], "3 to 240 frames"),
        (["--edit", "smile=1", "--method", "dip", "--set", "dip.steps=1"], "no code"),
    ],
)
def test_the_command_refuses_wrong_arguments_in_one_line(
    editable_model: Model,
    pictures: Tensor,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    images.write_png(tmp_path / "face.png", images.to_array(pictures[0]))
    assert main(["edit", str(tmp_path / "face.png"), "--model", "tiny", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and message in captured.err.splitlines()[-1]
