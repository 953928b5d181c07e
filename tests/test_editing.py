"""Edits of every kind of code, interpolation, mixing, and the task behind diffusion."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
import torch
from helpers.editing import CODES, any_prior, bent_direction, code_on, some_direction
from torch import Tensor

from inversion.editing import (
    edited,
    interpolated,
    mixed,
    sefa,
)
from inversion.editing.blend import driving_styles, interpolated_weights, styled
from inversion.generators import Prior
from inversion.methods import MultiCode, SettingError
from inversion.methods.codes import Code, from_plain, to_plain
from inversion.tasks import Inpaint, TaskError, make_task

__all__ = ["any_prior"]  # a fixture


@pytest.mark.parametrize("kind", CODES)
def test_every_code_moves_on_every_prior(any_prior: Prior, kind: str) -> None:
    prior = any_prior
    code, d = code_on(prior, kind), {"smile": some_direction(prior), "age": bent_direction(prior)}
    with torch.no_grad():
        still = code.render(prior)
        assert edited(code, prior, d, {}) is code
        for name in d:
            torch.testing.assert_close(edited(code, prior, d, {name: 0.0}).render(prior), still, atol=1e-4, rtol=1e-4)
            assert (edited(code, prior, d, {name: 1.0}).render(prior) - still).abs().max() > 1e-3
        there = edited(code, prior, d, {"smile": 1.0})
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


def test_bent_moves_depend_on_the_code_and_not_on_their_order(prior: Prior) -> None:
    d = {"age": bent_direction(prior), "smile": some_direction(prior), "hair": bent_direction(prior, "hair", 1)}
    first, second = (code_on(prior, "w", seed) for seed in (0, 1))
    changes = [edited(code, prior, d, {"age": 1.0}).ws(prior) - code.ws(prior) for code in (first, second)]
    assert (changes[0] - changes[1]).norm() > 0.05 * changes[0].norm()
    moves = {"age": 1.0, "smile": -0.5, "hair": 0.7}
    both = edited(first, prior, d, moves).ws(prior)
    assert torch.equal(edited(first, prior, d, dict(reversed(moves.items()))).ws(prior), both)
    kept = edited(first, prior, d, {"age": 1.0}, keep=["smile"]).ws(prior) - first.ws(prior)
    assert d["smile"].normal is not None and (kept * d["smile"].normal).sum(dim=2).abs().max() < 1e-4


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
def test_impossible_edits_are_refused(
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
    assert interpolated_weights(None, None, 0.5, prior) is None
    middle = interpolated_weights(changed, None, 0.25, prior)
    assert middle is not None
    torch.testing.assert_close(middle[name], weight.detach() + 0.75)
    torch.testing.assert_close(interpolated_weights(None, changed, 1.0, prior), changed)


def test_diffusion_measures_the_region_and_starts_from_the_pasted_picture(pictures: Tensor) -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    task = make_task("diffuse", mask=mask, context=pictures[1:2])
    y = task.A(pictures[:1])
    pasted = task.pinv(y)
    assert torch.equal(task.A(pasted), y)
    assert torch.equal(pasted, torch.where(mask == 1, pictures[:1], pictures[1:2]))
    assert torch.equal(task.merge(pictures[2:3], y), pictures[2:3])
    assert task.parameters() == {"region": 0.25, "context_weight": 0.3}
    assert torch.equal(task.penalty(pasted), torch.zeros(1))
    x, double = pictures[2:3], replace(task, context_weight=0.6)
    assert torch.equal(double.penalty(x), 2 * task.penalty(x)) and float(task.penalty(x)) > 0
    assert torch.equal(task.penalty(torch.where(mask == 1, -x, x)), task.penalty(x))  # the region does not count
    assert replace(task, context_weight=0.0).penalty(x) is None
    for bad, message in ((torch.zeros_like(mask), "no region"), (torch.ones_like(mask), "whole picture")):
        with pytest.raises(TaskError, match=message):
            make_task("diffuse", mask=bad, context=pictures[1:2])
    assert isinstance(make_task("inpaint", mask=mask, context=None), Inpaint)
