"""Directions, edits of every kind of code, interpolation, mixing, diffusion, and the requests that carry them."""

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
from helpers.networks import build_other, build_prior
from safetensors.torch import load_file, save_file
from torch import Tensor

from inversion import images
from inversion.__main__ import main
from inversion.checkpoints import hub
from inversion.checkpoints.registry import Entry
from inversion.common.errors import UserError
from inversion.directions import MAX_STRENGTH, from_array, from_tensors, random_styles, to_tensors
from inversion.editing import (
    DIFFUSION,
    Direction,
    conditioned,
    directions_of,
    edited,
    ganspace,
    interpolated,
    mixed,
    sefa,
)
from inversion.editing.analysis import side_effects
from inversion.editing.blend import between, driving_styles, styled
from inversion.editing.requests import CardsRequest, EditRequest, InterpolateRequest, Inverted, MixRequest
from inversion.editing.unsupervised import FIRST
from inversion.generators import Prior
from inversion.generators.base import StateDictError
from inversion.methods import METHODS, MultiCode, SettingError, W, WPlus, Z, tuned
from inversion.methods.codes import Code, from_plain, to_plain
from inversion.model import Model
from inversion.perception.predictor import Predictor
from inversion.serving.lane import CroppedPicture, Lane, Request
from inversion.serving.session import Session, UnknownJob
from inversion.synthetic import HELD_OUT, latents
from inversion.synthetic.faces import NAMES
from inversion.tasks import Inpaint, TaskError, make_task
from inversion.training import directions as training

PRIORS = ("stylegan2", "noisy", "stylegan", "in-domain", "pggan")
CODES = ("z", "w", "wplus", "noise", "multicode", "mixture")
WAIT = 60.0  # seconds after which a test gives up


@pytest.fixture(scope="module", params=PRIORS)
def any_prior(request: pytest.FixtureRequest) -> Prior:
    if request.param in ("stylegan2", "noisy"):
        return build_prior(noise=request.param == "noisy")
    return build_other(request.param)


def code_on(prior: Prior, kind: str, seed: int = 0) -> Code:
    """One random code of a kind that the prior has."""
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(1, prior.z_dim, generator=rng)
    rows = prior.mapping(z) + 0.1 * torch.randn(1, prior.num_ws, prior.w_dim, generator=rng)
    if kind == "z":
        return Z(z)
    if kind == "w":
        return W(rows[:, 0])
    if kind == "noise":
        return WPlus(rows, tuple(torch.randn(1, 1, *shape, generator=rng) for shape in prior.noise_shapes))
    if kind == "wplus":
        return WPlus(rows)
    layer = 4
    alpha = torch.rand(1, 3, prior.channels(layer), generator=rng) / 3
    code = MultiCode(torch.randn(1, 3, prior.z_dim, generator=rng), alpha, rows, layer)
    return code if kind == "multicode" else code.mixture(prior)


def some_direction(prior: Prior, name: str = "smile", seed: int = 5) -> Direction:
    vector = torch.randn(1, prior.w_dim, generator=torch.Generator().manual_seed(seed))
    rows = vector / vector.norm()
    return Direction(name, name, "attributes", rows, 2.0, -1.5, 2.5, normal=rows, reach=(-100.0, 100.0))


# ---- directions


def test_sefa_finds_orthonormal_directions_that_change_styles_most(any_prior: Prior) -> None:
    found = sefa(any_prior, 6)
    rows = torch.cat([d.rows for d in found])
    torch.testing.assert_close(rows @ rows.t(), torch.eye(6), atol=1e-5, rtol=0)
    weights = torch.cat([torch.nn.functional.normalize(w, dim=1) for _, w in any_prior.modulations()])
    effects = (weights @ rows.t()).square().sum(dim=0)
    assert (effects.diff() <= 1e-4).all() and effects[0] >= (weights @ weights.t()).trace() / any_prior.w_dim
    assert [d.label for d in found[:2]] == ["SeFa 1", "SeFa 2"] and all(d.deviation > 0 for d in found)


def test_every_style_is_read_by_some_layer(any_prior: Prior) -> None:
    rows = {row for row, weight in any_prior.modulations() if weight.shape[1] == any_prior.w_dim}
    assert rows == set(range(any_prior.num_ws))


def test_sefa_of_a_range_looks_at_its_layers_alone(prior: Prior) -> None:
    coarse, fine = sefa(prior, 1, (0, 3)), sefa(prior, 1, (4, prior.num_ws - 1))
    assert (coarse[0].rows * fine[0].rows).sum().abs() < 0.999
    with pytest.raises(SettingError, match="styles are 0-7"):
        sefa(prior, 1, (3, 8))


def test_ganspace_finds_the_axes_along_which_codes_spread(any_prior: Prior) -> None:
    found = ganspace(any_prior, 5)
    deviations = [d.deviation for d in found]
    assert deviations == sorted(deviations, reverse=True)
    styles = random_styles(any_prior, 2000, seed=3)
    spread = [float((styles * d.rows).sum(dim=(1, 2)).std()) for d in found]
    assert spread == pytest.approx(deviations, rel=0.35)
    rows = torch.stack([d.rows.flatten() for d in found])
    torch.testing.assert_close(rows @ rows.t(), torch.eye(5), atol=1e-4, rtol=0)


def test_directions_are_the_same_every_time(prior: Prior) -> None:
    for a, b in zip([*sefa(prior, 3), *ganspace(prior, 3)], [*sefa(prior, 3), *ganspace(prior, 3)], strict=True):
        assert torch.equal(a.rows, b.rows) and a.deviation == b.deviation


def test_a_conditioned_direction_stays_on_the_boundaries_and_keeps_its_length() -> None:
    rng = torch.Generator().manual_seed(0)
    direction, *normals = torch.randn(4, 1, 8, generator=rng)
    normals = [n / n.norm() for n in normals]
    held = conditioned(direction, normals)
    for normal in normals:
        assert (held * normal).sum().abs() < 1e-5
    assert held.norm() == pytest.approx(float(direction.norm()), rel=1e-5)
    torch.testing.assert_close(conditioned(direction, [normals[0], normals[0]]), conditioned(direction, normals[:1]))


def test_directions_survive_their_file(prior: Prior, tmp_path: Path) -> None:
    given = [some_direction(prior, "hair_length", 1), some_direction(prior, "yaw", 2)]
    save_file(to_tensors(given), str(tmp_path / "d.safetensors"))
    read = {d.name: d for d in from_tensors(load_file(tmp_path / "d.safetensors"), prior)}
    for d in given:
        assert torch.equal(read[d.name].rows, d.rows) and d.normal is not None
        assert (read[d.name].low, read[d.name].high, read[d.name].deviation) == (d.low, d.high, d.deviation)
    assert read["hair_length"].label == "Hair length"


def test_files_of_other_generators_are_refused(prior: Prior) -> None:
    tensors = to_tensors([some_direction(prior)])
    for broken in (
        {k: v for k, v in tensors.items() if not k.endswith("normal")},
        {**tensors, "smile.rows": torch.ones(1, 3)},
        {},
    ):
        with pytest.raises(StateDictError, match="directions:"):
            from_tensors(broken, prior)
    with pytest.raises(StateDictError, match="32 numbers"):
        from_array("direction-age", torch.ones(1, 31), prior)
    assert from_array("direction-old-age", torch.ones(1, 32), prior).label == "Old age"


def test_a_model_offers_what_people_look_for_first(model: Model, prior: Prior) -> None:
    own = {name: some_direction(prior, name) for name in ("background_hue", "smile", "yaw")}
    found = directions_of(replace(model, directions=own))
    assert list(found)[:4] == ["yaw", "smile", "background_hue", "sefa_1"] and "ganspace_10" in found
    assert all(d.low <= 0 <= d.high for d in found.values())
    assert directions_of(Model("none")) == {}
    assert json.dumps([d.card() for d in found.values()])


# ---- edits


@pytest.mark.parametrize("kind", CODES)
def test_every_code_moves_on_every_prior(any_prior: Prior, kind: str) -> None:
    prior = any_prior
    code, d = code_on(prior, kind), {"smile": some_direction(prior)}
    with torch.no_grad():
        still = code.render(prior)
        assert edited(code, prior, d, {}) is code
        torch.testing.assert_close(edited(code, prior, d, {"smile": 0.0}).render(prior), still, atol=1e-4, rtol=1e-4)
        there = edited(code, prior, d, {"smile": 1.0})
        assert (there.render(prior) - still).abs().max() > 1e-3
        back = edited(there, prior, d, {"smile": -1.0})
        if prior.num_ws > 1:  # a z is brought back to its usual length before it moves
            torch.testing.assert_close(back.render(prior), still, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", CODES)
def test_only_the_chosen_styles_move(prior: Prior, kind: str) -> None:
    code = code_on(prior, kind)
    moved = edited(code, prior, {"smile": some_direction(prior)}, {"smile": 1.0}, layers=(2, 5))
    change = (moved.ws(prior) - code.ws(prior))[0].norm(dim=1)
    assert [bool(c > 0) for c in change] == [False, False, True, True, True, True, False, False]
    assert change[2] == pytest.approx(2.0, rel=1e-4)  # one deviation


def test_moves_add_up_and_do_not_depend_on_their_order(prior: Prior) -> None:
    d = {"smile": some_direction(prior), "yaw": some_direction(prior, "yaw", 6)}
    code = code_on(prior, "wplus")
    both = edited(code, prior, d, {"smile": 1.0, "yaw": -0.5})
    for order in (("smile", "yaw"), ("yaw", "smile")):
        one = code
        for name in order:
            one = edited(one, prior, d, {name: {"smile": 1.0, "yaw": -0.5}[name]})
        torch.testing.assert_close(one.ws(prior), both.ws(prior))


@pytest.mark.parametrize("kind", CODES)
def test_a_move_ends_where_random_codes_do_and_never_turns_back(prior: Prior, kind: str) -> None:
    line = replace(some_direction(prior), reach=(-1.0, 2.0))

    def at(code: Code) -> float:
        ws = driving_styles(styled(code, prior)) - prior.w_avg
        return float((ws * line.rows).sum(dim=2).mean()) / line.deviation

    code = code_on(prior, kind)
    for start in (0.0, 5.0, -5.0):
        begun = code.shifted(prior, (start - at(code)) * line.step())
        ends = [at(edited(begun, prior, {"smile": line}, {"smile": s})) for s in (-9.0, -0.5, 0.5, 9.0)]
        wanted = {0.0: [-1, -0.5, 0.5, 2], 5.0: [-1, 4.5, 5, 5], -5.0: [-5, -5, -4.5, 2]}[start]
        assert ends == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("kind", ["wplus", "multicode"])
def test_every_code_of_a_batch_is_edited_as_if_alone(prior: Prior, kind: str) -> None:
    line = {"smile": replace(some_direction(prior), reach=(-0.5, 0.5))}
    pair = [code_on(prior, kind, seed) for seed in (1, 2)]
    parts = {n: torch.cat([v, pair[1].tensors()[n]]) for n, v in pair[0].tensors().items()}
    both = edited(replace(pair[0], **parts), prior, line, {"smile": 1.0}).render(prior)
    for i, code in enumerate(pair):
        torch.testing.assert_close(edited(code, prior, line, {"smile": 1.0}).render(prior), both[i : i + 1])


def test_kept_attributes_read_the_same_after_an_edit(prior: Prior) -> None:
    d = {"smile": some_direction(prior), "age": some_direction(prior, "age", 6)}
    code = code_on(prior, "wplus")
    normal = d["age"].normal
    free, held = (edited(code, prior, d, {"smile": 2.0}, keep=keep) for keep in ((), ("age",)))
    along = [float(((moved.ws(prior) - code.ws(prior)) * normal).sum(dim=2).abs().max()) for moved in (free, held)]
    assert along[0] > 1e-2 and along[1] < 1e-5


@pytest.mark.parametrize(
    ("moves", "layers", "keep", "message"),
    [
        ({"grin": 1.0}, None, (), "Unknown direction 'grin'. Choose one of: smile"),
        ({"smile": 1.0}, (3, 1), (), "styles are 0-7"),
        ({"smile": 1.0}, (0, 8), (), "styles are 0-7"),
        ({"smile": float("nan")}, None, (), "strength of smile"),
        ({"smile": 1.0}, None, ("sefa_1",), "sefa_1 cannot be kept"),
    ],
)
def test_edits_that_make_no_sense_are_refused(
    prior: Prior, moves: dict[str, float], layers: tuple[int, int] | None, keep: tuple[str, ...], message: str
) -> None:
    d = {"smile": some_direction(prior), **{s.name: s for s in sefa(prior, 1)}}
    with pytest.raises(SettingError, match=message):
        edited(code_on(prior, "wplus"), prior, d, moves, layers, keep)


@pytest.mark.parametrize("kind", CODES)
def test_codes_cross_as_plain_data(noisy_prior: Prior, kind: str) -> None:
    code = code_on(noisy_prior, kind)
    plain = pickle.loads(pickle.dumps(to_plain(code)))  # noqa: S301 - our own bytes
    for value in plain.values():
        assert isinstance(value, str | int | Tensor | tuple)
    again = from_plain(plain, torch.device("cpu"))
    assert type(again) is type(code) and torch.equal(again.render(noisy_prior), code.render(noisy_prior))


# ---- two codes


@pytest.mark.parametrize(("a", "b"), [("wplus", "wplus"), ("z", "w"), ("multicode", "multicode"), ("wplus", "mixture")])
def test_an_interpolation_begins_and_ends_at_its_codes(prior: Prior, a: str, b: str) -> None:
    first, second = code_on(prior, a, 1), code_on(prior, b, 2)
    with torch.no_grad():
        for t, end in ((0.0, first), (1.0, second)):
            pictures = interpolated(first, second, t, prior).render(prior), end.render(prior)
            torch.testing.assert_close(*pictures, atol=1e-4, rtol=1e-4)
        middle = interpolated(first, second, 0.5, prior).render(prior)
    assert all((middle - end.render(prior)).abs().max() > 1e-3 for end in (first, second))


def test_noise_maps_are_interpolated_from_the_priors_own(noisy_prior: Prior) -> None:
    first, second = code_on(noisy_prior, "wplus"), code_on(noisy_prior, "noise", 2)
    for t, end in ((0.0, first), (1.0, second)):
        code = interpolated(first, second, t, noisy_prior)
        torch.testing.assert_close(code.render(noisy_prior), end.render(noisy_prior))


def test_mixtures_that_do_not_match_are_refused(prior: Prior) -> None:
    first = code_on(prior, "multicode")
    assert isinstance(first, MultiCode)
    with pytest.raises(SettingError, match="same settings"):
        interpolated(first, replace(first, z=first.z[:, :2], alpha=first.alpha[:, :2]), 0.5, prior)


@pytest.mark.parametrize("kind", CODES)
def test_mixing_takes_fine_styles_from_the_second(prior: Prior, kind: str) -> None:
    content, style = code_on(prior, kind, 1), code_on(prior, "wplus", 2)
    ws = mixed(content, style, 5, prior).ws(prior)
    torch.testing.assert_close(ws[:, :5], content.ws(prior)[:, :5])
    torch.testing.assert_close(ws[:, 5:], style.ws(prior)[:, 5:])
    torch.testing.assert_close(mixed(content, content, 5, prior).ws(prior), content.ws(prior))
    with pytest.raises(SettingError, match="between 1 and 7"):
        mixed(content, style, 8, prior)


def test_weights_between_two_tuned_generators_begin_and_end_at_theirs(prior: Prior) -> None:
    name, weight = next(iter(prior.tunable()))
    changed = {name: weight.detach() + 1}
    assert between(None, None, 0.5, prior) is None
    middle = between(changed, None, 0.25, prior)
    assert middle is not None
    torch.testing.assert_close(middle[name], weight.detach() + 0.75)
    torch.testing.assert_close(between(None, changed, 1.0, prior), changed)


# ---- diffusion


def test_diffusion_measures_the_region_and_starts_from_the_pasted_picture(pictures: Tensor) -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    task = make_task("diffuse", mask=mask, context=pictures[1:2])
    y = task.A(pictures[:1])
    pasted = task.pinv(y)
    assert torch.equal(task.A(pasted), y)
    assert torch.equal(pasted, torch.where(mask == 1, pictures[:1], pictures[1:2]))
    assert torch.equal(task.merge(pictures[2:3], y), pictures[2:3]) and task.parameters() == {"region": 0.25}
    for bad, message in ((torch.zeros_like(mask), "no region"), (torch.ones_like(mask), "whole picture")):
        with pytest.raises(TaskError, match=message):
            make_task("diffuse", mask=bad, context=pictures[1:2])
    assert isinstance(make_task("inpaint", mask=mask, context=None), Inpaint)


# ---- requests, the lane and the session


@pytest.fixture
def at_hand(full_model: Model, prior: Prior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """A tiny model with directions and a predictor, which the hub hands out as `tiny`."""
    with torch.random.fork_rng():
        torch.manual_seed(8)
        judge = Predictor((4, 4, 6, 6, 8)).eval().requires_grad_(False)
    model = replace(full_model, directions={"smile": some_direction(prior)}, predictor=judge)
    use_entries(monkeypatch, tmp_path, Entry("tiny", **GOOD))  # type: ignore[arg-type]
    monkeypatch.setattr(hub, "load", lambda name, device="auto", dtype="auto": model)
    return model


@pytest.fixture
def session(at_hand: Model) -> Iterator[Session]:
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


def test_results_of_every_method_can_be_edited(session: Session, pictures: Tensor, at_hand: Model) -> None:
    methods = [key for key, method in METHODS.items() if method.unavailable(at_hand) is None]
    assert {"z", "w", "wplus", "projector", "mganprior", "pti", "clone", "e4e"} <= set(methods)
    key = finish(session, [request_of(pictures[0], method) for method in methods])
    for index, method in enumerate(methods):
        if method == "dip":
            with pytest.raises(UserError, match="no code"):
                session.edits.move(key, index, {"smile": 1.0})
            continue
        kept = session.kept(key, index)
        still = session.edits.move(key, index, {})
        moved = session.edits.move(key, index, {"smile": 1.5}, (0, 6), ("smile",))
        assert np.array_equal(still.picture, kept.image) and kept.row["method"] == method
        assert not np.array_equal(moved.picture, kept.image)
        assert set(moved.attributes) == set(NAMES) and still.synthetic_identity == pytest.approx(1, abs=1e-3)
        assert still.attributes["smile"][0] == pytest.approx(still.attributes["smile"][1], abs=1e-3)


def test_an_edit_of_a_tuned_result_is_rendered_by_the_tuned_generator(
    session: Session, pictures: Tensor, prior: Prior, at_hand: Model
) -> None:
    key = finish(session, [request_of(pictures[0], "pti")])
    kept = session.kept(key, 0)
    code = from_plain(kept.code, torch.device("cpu"))
    with torch.no_grad():
        moved = edited(code, prior, at_hand.directions, {"smile": 1.0}).render(tuned(prior, kept.weights or {}))
    assert np.array_equal(session.edits.move(key, 0, {"smile": 1.0}).picture, images.to_array(moved))


def test_two_results_are_interpolated_and_mixed(session: Session, pictures: Tensor) -> None:
    key = finish(session, [request_of(pictures[0], "wplus"), request_of(pictures[1], "pti")])
    frames = session.edits.interpolate((key, 0), (key, 1), frames=4)
    assert len(frames) == 4 and np.array_equal(frames[0], session.kept(key, 0).image)
    assert np.array_equal(frames[-1], session.kept(key, 1).image)
    mix = session.edits.mix((key, 0), (key, 1), 4)
    assert mix.shape == (32, 32, 3) and not np.array_equal(mix, frames[0])
    with pytest.raises(UserError, match="frames"):
        session.edits.interpolate((key, 0), (key, 1), frames=1)
    with pytest.raises(UserError, match="between 1 and 7"):
        session.edits.mix((key, 0), (key, 1), 99)


def test_what_is_not_kept_or_not_known_is_said_in_one_line(session: Session, pictures: Tensor) -> None:
    key = finish(session, [request_of(pictures[0], "w")])
    with pytest.raises(UnknownJob, match="no longer kept"):
        session.edits.move(key, 1, {"smile": 1.0})
    with pytest.raises(UserError, match="direction 'grin'"):
        session.edits.move(key, 0, {"grin": 1.0})
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
        "diffuse",
        DIFFUSION[0],
        images.to_array(pictures[0]),
        "tiny",
        {**DIFFUSION[1], "indomain.steps": 4},
        inputs={"mask": mask, "context": CroppedPicture(context)},
    )
    key = finish(session, [request])
    view = session.snapshot(key)
    assert view.truth is None and view.measured is not None
    assert np.array_equal(view.measured, np.where(mask[..., None] > 0, request.picture, context))
    assert session.edits.move(key, 0, {"smile": 1.0}).picture.shape == (32, 32, 3)
    with pytest.raises(UserError, match="needs a context"):
        list(Lane("cpu")(replace(request, inputs={"mask": mask})))


def test_requests_and_answers_are_plain_data(session: Session, pictures: Tensor) -> None:
    key = finish(session, [request_of(pictures[0], "mganprior"), request_of(pictures[1], "pti")])
    a, b = (Inverted(k.code, k.weights) for k in (session.kept(key, 0), session.kept(key, 1)))
    before = session.kept(key, 0).image
    lane = Lane("cpu")
    for request in (
        CardsRequest("tiny"),
        EditRequest("tiny", a, before, {"smile": 1.0}),
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


def test_a_failing_quick_request_is_told_and_harms_nobody(session: Session) -> None:
    for error, message in (("say it better", "say it better"), ("unexpected", "unexpected KeyError")):
        with pytest.raises(UserError, match=message):
            session.ask(Ping(error=error))
    assert session.ask(Ping()) == "device-lane"


# ---- fitting


def test_a_regression_finds_what_moves_with_a_score_alone_and_a_boundary_what_tells_it() -> None:
    pytest.importorskip("sklearn")
    rng = torch.Generator().manual_seed(0)
    causes = torch.randn(2000, 2, generator=rng)
    causes[:, 1] += 0.5 * causes[:, 0]
    axes = torch.linalg.qr(torch.randn(12, 2, generator=rng))[0].t()
    styles = (causes @ (axes * torch.tensor([[3.0], [1.0]])) + 0.01 * torch.randn(2000, 12, generator=rng))[:, None]
    for k, rows in enumerate(training.regression(styles, causes)):
        normal = training.boundary(styles, causes[:, k])
        assert rows.norm() == pytest.approx(1, rel=1e-4) and normal.norm() == pytest.approx(1, rel=1e-4)
        assert float((rows[0] * axes[k]).sum()) > 0.99
        read = (styles * normal).sum(dim=(1, 2))
        assert float(torch.corrcoef(torch.stack([read, causes[:, k]]))[0, 1]) > 0.99


@pytest.mark.parametrize("name", ["stylegan2", "in-domain", "pggan"])
def test_directions_are_fitted_to_any_prior(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    prior = build_prior() if name == "stylegan2" else build_other(name)
    monkeypatch.setattr(training, "NAMES", ("brightness",))
    monkeypatch.setattr(training, "MIN_READABLE", 0.0)
    monkeypatch.setattr(training, "MIN_RISING_SHARE", 0.5)  # under an untrained generator fewer codes rise
    monkeypatch.setattr(training, "IDENTITY_MARGIN", -3.0)  # brightness makes the person here: nobody else is too near
    model = Model("tiny", prior, prior.resolution, predictor=_Gauge())
    (found,) = training.fit_directions(model, training.draw_samples(model, 200, seed=0))
    assert found.low < 0 < found.high and found.reach[0] < 0 < found.reach[1]
    assert from_tensors(to_tensors([found]), prior)[0].name == "brightness"
    code = WPlus(prior.mapping(torch.randn(4, prior.z_dim, generator=torch.Generator().manual_seed(9))))
    moves = [edited(code, prior, {"b": found}, {"b": s}).render(prior) for s in (found.low, 0.0, found.high)]
    dark, middle, bright = (float(x.clamp(-1, 1).mean()) for x in moves)
    assert dark < middle < bright


class _Gauge(torch.nn.Module):
    """Says of a picture one attribute, its mean brightness, and a person that changes with it."""

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value = x.mean(dim=(1, 2, 3))
        return value[:, None], torch.stack([(40 * value).cos(), (40 * value).sin()], dim=1)


def test_a_reach_is_where_most_codes_rise() -> None:
    places = torch.linspace(-2, 2, 9)
    ramp = places[:, None].expand(-1, 20)
    assert training.rising_stretch(places, ramp, 1.0) == (-2, 2)
    assert training.rising_stretch(places, ramp.clamp(-1, 1), 1.0) == (-1, 1)
    assert training.rising_stretch(places, -(ramp - 1).abs(), 1.0) == (-2, 1)
    assert (
        training.rising_stretch(places, 0 * ramp, 1.0) is None and training.rising_stretch(places, -ramp, 1.0) is None
    )
    some = ramp.clone()
    some[6:, :9] = 0.0  # from 0.5 on nearly half of the codes turn back, though the mean goes on
    assert (some.mean(dim=1).diff() > 0).all()
    low, high = training.rising_stretch(places, some, 0.5) or (0.0, 0.0)
    assert low == -2 and 0.4 <= high < 1
    some[6:, 2:] = ramp[6:, 2:]  # a few do not hold the others back
    assert training.rising_stretch(places, some, 0.5) == (-2, 2)


def test_a_slider_moves_most_codes_and_leaves_the_other_attributes() -> None:
    places = torch.linspace(-2, 2, 9)
    ramp = places[:, None].expand(-1, 20)

    def steady(attribute: Tensor, other: Tensor) -> bool:
        swept = training.Sweep(places, ramp, torch.stack([attribute, other], dim=2), torch.ones_like(ramp))
        return training.moves_alone(swept, (-1.0, 1.5), 0, torch.tensor([1.0, 2.0]))

    assert steady(ramp, 0 * ramp)
    assert steady(ramp, 0.4 * ramp) and not steady(ramp, 0.6 * ramp)  # in deviations 0.2 and 0.3 of the wanted
    for turned, kept in ((2, True), (4, False)):  # of 20 codes: those that do not have what is to change
        some = ramp.clone()
        some[:, :turned] *= -0.1
        assert steady(some, 0 * ramp) == kept
    far = ramp.clone()
    far[-1] = -2.0  # beyond the reach
    assert steady(far, 0 * ramp)


@pytest.mark.parametrize(
    ("reach", "fading", "expected"),
    [
        ((-1.0, 1.0), 0.0, (-1.9, 1.9)),  # nine of ten codes come to both ends
        ((-5.0, 1.0), 0.0, (-3.0, 1.9)),
        ((-5.0, 5.0), 0.24, (-2.05, 2.05)),  # 0.5 is reached at 2.08, and ranges end at multiples of 0.05
        ((-1.0, 5.0), 0.8, (-0.6, 0.6)),
    ],
)
def test_a_range_comes_to_the_ends_of_the_reach_and_keeps_the_person(
    reach: tuple[float, float], fading: float, expected: tuple[float, float]
) -> None:
    at = torch.linspace(-1, 1, 21) * 1.125  # 0.9 of them lie below 0.9
    places = torch.linspace(-4, 4, 9)
    strengths = places[:, None] - at
    swept = training.Sweep(places, strengths, strengths[..., None], 1 - fading * strengths.abs())
    assert training.usable_range(swept, at, reach, 0.5) == pytest.approx(expected)


def test_directions_cannot_be_fitted_without_a_predictor(full_model: Model) -> None:
    with pytest.raises(training.NoPredictor, match="tiny has no predictor"):
        training.draw_samples(full_model, 100, 0)


# ---- the command


def test_the_command_edits_and_keeps_pictures(
    at_hand: Model, pictures: Tensor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images.write_png(tmp_path / "face.png", images.to_array(pictures[0]))
    base = ["edit", str(tmp_path / "face.png"), "--model", "tiny", "--method", "w", "--set", "w.steps=2"]
    out = ["--out", str(tmp_path / "out"), "--strip", "3", "--json"]
    assert main([*base, "--edit", "smile=1.5", "--sefa", "1=-1", "--layers", "0-4", *out]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["method"] == "w" and row["edit"]["moves"] == {"smile": 1.5, "sefa_1": -1.0}
    assert row["edit"]["layers"] == [0, 4] and len(row["edit"]["attributes"]["smile"]) == 2
    picture = np.asarray(images.read(row["edit"]["image"]))
    strip = np.asarray(images.read(Path(row["edit"]["image"]).with_stem("face_reconstruct_w_edited_strip")))
    assert picture.shape == (32, 32, 3) and strip.shape == (32, 96, 3)
    assert np.array_equal(strip[:, 64:], picture)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "add --edit NAME=STRENGTH"),
        (["--edit", "grin=1"], "direction 'grin'"),
        (["--edit", "smile"], "NAME=STRENGTH"),
        (["--edit", "smile=1", "--layers", "5"], "--layers needs A-B"),
        (["--edit", "smile=1", "--layers", "5-90"], "styles are 0-7"),
        (["--edit", "smile=1", "--strip", "4"], "--out"),
        (["--edit", "smile=1", "--method", "dip", "--set", "dip.steps=1"], "no code"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(
    at_hand: Model,
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


# ---- shipped weights


@pytest.mark.weights
@pytest.mark.parametrize("name", ["synthetic-faces", "synthetic-faces-pggan"])
def test_every_shipped_slider_is_sound(name: str) -> None:
    model = hub.load(name, device="cpu")
    assert set(FIRST) <= set(model.directions) <= set(NAMES) and len(model.directions) >= 0.6 * len(NAMES)
    for d in model.directions.values():
        assert -MAX_STRENGTH <= d.low < 0 < d.high <= MAX_STRENGTH and -4 < d.reach[0] < d.reach[1] < 4
        for end in (d.low, d.high):
            assert end / training.RANGE_STEP == pytest.approx(round(end / training.RANGE_STEP), abs=1e-3)
        assert d.normal is not None and d.deviation > 0
        assert [float(v.norm()) for v in (d.rows, d.normal)] == pytest.approx([1, 1], abs=1e-4)
        assert float((d.rows * d.normal).sum()) > 0  # what writes the attribute and what reads it agree on the sign


@pytest.fixture(scope="module")
def shipped() -> tuple[Model, WPlus, Tensor, Tensor]:
    """The shipped model, four codes of it, and what the predictor says of their pictures."""
    model = hub.load(device="cpu")
    assert model.prior is not None and model.predictor is not None
    with torch.no_grad():
        code = WPlus(model.prior.mapping(latents(range(HELD_OUT, HELD_OUT + 4))))
        return model, code, *model.predictor.heads(code.render(model.prior).clamp(-1, 1))


@pytest.mark.weights
@pytest.mark.parametrize("name", FIRST)
def test_shipped_sliders_move_their_attribute_and_little_else(
    name: str, shipped: tuple[Model, WPlus, Tensor, Tensor]
) -> None:
    model, code, before, persons = shipped
    prior, judge, d = model.prior, model.predictor, model.directions[name]
    assert prior is not None and judge is not None
    heads = []
    with torch.no_grad():
        for strength in (d.low, d.high):
            moved = edited(code, prior, model.directions, {name: strength})
            heads.append(judge.heads(moved.render(prior).clamp(-1, 1)))
    column = NAMES.index(name)
    low, middle, high = (attributes[:, column].mean() for attributes in (heads[0][0], before, heads[1][0]))
    assert low < middle < high
    wanted, others = side_effects(heads[0][0], heads[1][0], column)
    assert wanted.min() > 0 and others.mean() < 0.25 * wanted.mean()
    for _, other in heads:
        assert (persons * other).sum(dim=1).min() > 0.32  # what the most alike 5 % of different persons have
