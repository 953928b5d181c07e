"""Directions: how they are found, stored and offered, and whether the shipped ones are sound."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.editing import any_prior, bent_direction, some_direction
from safetensors.torch import load_file, save_file
from torch import Tensor

from inversion.checkpoints import hub
from inversion.directions import MAX_STRENGTH, Direction, from_array, from_tensors, random_styles, to_tensors
from inversion.editing import (
    conditioned,
    directions_of,
    edited,
    ganspace,
    sefa,
)
from inversion.editing.analysis import side_effects
from inversion.generators import Prior
from inversion.generators.base import StateDictError
from inversion.methods import SettingError, WPlus
from inversion.model import Model
from inversion.synthetic import DEFAULT, DOMAINS, HELD_OUT, latents
from inversion.synthetic.faces import FACES, NAMES
from inversion.training import directions as training

__all__ = ["any_prior"]  # a fixture


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
    given = [some_direction(prior, "hair_length", 1), some_direction(prior, "yaw", 2), bent_direction(prior)]
    save_file(to_tensors(given), str(tmp_path / "d.safetensors"))
    read = {d.name: d for d in from_tensors(load_file(tmp_path / "d.safetensors"), prior, "synthetic-faces")}
    for d in given:
        assert torch.equal(read[d.name].rows, d.rows) and d.normal is not None
        assert (read[d.name].low, read[d.name].high, read[d.name].deviation) == (d.low, d.high, d.deviation)
        offsets, strength = torch.randn(2, prior.num_ws, prior.w_dim), torch.tensor([0.5, -1.0])[:, None, None]
        torch.testing.assert_close(read[d.name].shift(offsets, strength), d.shift(offsets, strength))


@pytest.mark.parametrize("domain", [*DOMAINS, "other"])
def test_the_domain_of_the_model_labels_its_attributes(domain: str, prior: Prior) -> None:
    read = from_tensors(to_tensors([some_direction(prior, "yaw", 2)]), prior, domain)
    assert [d.label for d in read] == [DOMAINS[domain].labels["yaw"] if domain in DOMAINS else "Yaw"]


def test_files_of_other_generators_are_refused(prior: Prior) -> None:
    tensors = to_tensors([bent_direction(prior, "smile")])
    for broken in (
        {k: v for k, v in tensors.items() if not k.endswith("normal")},
        {**tensors, "smile.rows": torch.ones(1, 3)},
        {**tensors, "smile.bend": torch.tensor([3.0, 0.4])},  # the map knows three attributes
        {k: v for k, v in tensors.items() if not k.startswith("map.")},
        {k: v for k, v in tensors.items() if k != "map.reader.0.bias"},
        {**tensors, "map.writer.4.weight": torch.ones(prior.w_dim, 3)},
        {},
    ):
        with pytest.raises(StateDictError, match="directions:"):
            from_tensors(broken, prior, "")
    with pytest.raises(StateDictError, match="of 32, as this model needs"):
        from_array("direction-age", torch.ones(1, 31), prior)
    assert from_array("direction-old-age", torch.ones(1, 32), prior).label == "Old age"


def test_a_model_offers_the_most_wanted_sliders_first(model: Model, prior: Prior) -> None:
    own = {name: some_direction(prior, name) for name in ("background_hue", "smile", "yaw", "mine")}
    found = directions_of(replace(model, directions=own, domain=DEFAULT))
    assert list(found)[:5] == ["mine", "yaw", "smile", "background_hue", "sefa_1"] and "ganspace_10" in found
    assert all(d.low <= 0 <= d.high for d in found.values())
    assert directions_of(Model("none")) == {}
    assert json.dumps([d.card() for d in found.values()])


@pytest.mark.weights
@pytest.mark.parametrize("name", ["synthetic-faces", "synthetic-faces-pggan"])
def test_every_shipped_slider_is_sound(name: str) -> None:
    model = hub.load(name, device="cpu")
    assert set(FACES.sliders) <= set(model.directions) <= set(NAMES) and len(model.directions) >= 0.6 * len(NAMES)
    for d in model.directions.values():
        assert -MAX_STRENGTH <= d.low < 0 < d.high <= MAX_STRENGTH and -4 < d.reach[0] < d.reach[1] < 4
        for end in (d.low, d.high):
            assert end / training.RANGE_STEP == pytest.approx(round(end / training.RANGE_STEP), abs=1e-3)
        assert d.normal is not None and d.deviation > 0
        assert [float(v.norm()) for v in (d.rows, d.normal)] == pytest.approx([1, 1], abs=1e-4)
        assert float((d.rows * d.normal).sum()) > 0  # what writes the attribute and what reads it agree on the sign


@pytest.mark.weights
def test_hair_that_turns_grey_does_not_turn_blue() -> None:
    model = hub.load(device="cpu")
    prior, straight = model.prior, {"age": replace(model.directions["age"], bend=None)}
    assert prior is not None
    with torch.no_grad():
        code = WPlus(prior.mapping(latents(range(HELD_OUT, HELD_OUT + 24))))
        red, _, blue = code.render(prior).unbind(dim=1)

        def turned(directions: dict[str, Direction]) -> float:
            """The share of pixels that are clearly bluer than red in the old face, and were not before."""
            old = edited(code, prior, directions, {"age": straight["age"].high}).render(prior)
            return float(((old[:, 2] - old[:, 0] > 0.1) & (blue - red < 0.05)).float().mean())

        assert turned(model.directions) < 0.5 * turned(straight)


@pytest.fixture(scope="module")
def shipped() -> tuple[Model, WPlus, Tensor, Tensor]:
    """The shipped model, four codes of it, and what the predictor says of their pictures."""
    model = hub.load(device="cpu")
    assert model.prior is not None and model.predictor is not None
    with torch.no_grad():
        code = WPlus(model.prior.mapping(latents(range(HELD_OUT, HELD_OUT + 4))))
        return model, code, *model.predictor.heads(code.render(model.prior).clamp(-1, 1))


@pytest.mark.weights
@pytest.mark.parametrize("name", FACES.sliders)
def test_shipped_sliders_move_their_attribute_and_little_else(
    name: str, shipped: tuple[Model, WPlus, Tensor, Tensor]
) -> None:
    model, code, before, persons = shipped
    prior, predictor, d = model.prior, model.predictor, model.directions[name]
    assert prior is not None and predictor is not None
    heads = []
    with torch.no_grad():
        for strength in (d.low, d.high):
            moved = edited(code, prior, model.directions, {name: strength})
            heads.append(predictor.heads(moved.render(prior).clamp(-1, 1)))
    column = NAMES.index(name)
    low, middle, high = (attributes[:, column].mean() for attributes in (heads[0][0], before, heads[1][0]))
    assert low < middle + 0.01 and middle < high  # codes without glasses cannot lose them
    wanted, others = side_effects(heads[0][0], heads[1][0], column)
    assert wanted.min() > 0 and others.mean() < 0.25 * wanted.mean()
    for _, other in heads:
        assert (persons * other).sum(dim=1).min() > 0.32  # what the most alike 5 % of different persons have
