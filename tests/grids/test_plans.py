"""Lists of values, axes, and the runs that fill the cells of a grid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields

import pytest

from inversion.checkpoints.registry import DEFAULT
from inversion.common.errors import UserError
from inversion.common.settings import SettingError, SettingValue, kind_of
from inversion.grids import (
    MAX_CELLS,
    GridError,
    GridPlan,
    Layout,
    Parameter,
    estimate,
    parameters,
    plan_grid,
    read_choices,
)
from inversion.grids.values import entries, expanded
from inversion.methods import METHODS, STAGES, parse_method
from inversion.tasks import TASKS, task_fields

PICTURES = ["face", "house", "1-2"]
BASE: dict[str, SettingValue] = {"task": "reconstruct", "method": "w", "model": DEFAULT, "picture": "face"}


@pytest.fixture(scope="module")
def known() -> dict[str, Parameter]:
    """Everything that can vary."""
    return parameters(PICTURES, ["hole.png"])


def planned(known: Mapping[str, Parameter], *axes: tuple[str, str], **base: SettingValue) -> GridPlan:
    """The plan of some axes."""
    return plan_grid(known, {**BASE, **base}, axes)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("28, 300", ["28", "300"]),
        ("1-4", ["1", "2", "3", "4"]),
        ("4-2,9", ["4", "3", "2", "9"]),
        ("0.1..1.0 [4]", ["0.1", "0.4", "0.7", "1"]),
        ("1..3", ["1", "2", "3"]),
        ('"a, b", c', ["a, b", "c"]),
        ("1e-3..3e-3 [3]", ["0.001", "0.002", "0.003"]),
        (" , ", []),
    ],
)
def test_lists_are_read_as_people_write_them(text: str, values: list[str]) -> None:
    assert [one for entry in entries(text) for one in expanded(entry, whole=False)] == values


def test_a_range_of_whole_numbers_is_rounded_and_never_long(known: Mapping[str, Parameter]) -> None:
    assert known["w.steps"].values("28..300 [4]") == (28, 119, 209, 300)
    for text in (
        "1..1e400 [3]",
        "-1e308..1e308 [5]",
        "1-1000000000",
        "1..70",
        "1..2 [65]",
        "0..1 [1]",
        "0.1..0.9",
        '"open',
    ):
        with pytest.raises(GridError, match="values|number of its|partner|too large"):
            known["seed"].values(text)


def test_every_field_of_every_registry_can_vary(known: Mapping[str, Parameter]) -> None:
    own = {f"{key}.{spec.name}" for key, stage in STAGES.items() for spec in fields(stage)}
    own |= {name for name, (spec, _) in task_fields().items() if kind_of(spec) != "picture"}
    assert own | {"method", "model", "task", "picture", "seed", "preset", "steps"} <= known.keys()
    for parameter in known.values():
        if parameter.choices:
            assert parameter.values("") == tuple(parameter.choices)
            assert all(parameter.values(f'"{label}"') == (value,) for value, label in parameter.choices.items())


def test_values_have_labels_keys_and_numbers(known: Mapping[str, Parameter]) -> None:
    assert known["method"].values("W+, psp, psp+wplus, PSP") == ("wplus", "psp", "psp+wplus")
    assert known["method"].text("psp+wplus") == parse_method("psp+wplus").label
    assert known["picture"].values("2-3, face") == ("house", "1-2", "face")
    assert known["picture"].values("1-2") == ("1-2",), "a name comes before a range"
    assert known["mask"].values("Random strokes, hole.png") == ("random", "hole.png")


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ([], "Choose what varies"),
        ([("w.steps", "0")], "X axis: W: steps must be between 1 and 10000, not '0'"),
        ([("seed", "1"), ("method", "w, nope")], "Y axis: Unknown method 'nope'"),
        ([("seed", "1"), ("seed", "2")], "Seed is on two axes"),
        ([("seed", "1-9"), ("method", "")], rf"9 x {len(METHODS)} are {9 * len(METHODS)} cells. A grid has at most 64"),
        ([("nope", "1")], "nothing called 'nope'"),
        ([("stepz", "1")], "steps"),
        ([("sigma", "0.1")], r"No task of this grid has Noise \(sigma\)"),
        ([("psp.iterations", "1")], "nothing called"),
        ([("pti.steps", "5")], "No method of this grid has PTI: steps"),
        ([("label", "3")], "No model of this grid has Class"),
        ([("model", "nope")], "X axis: there is no model 'nope'"),
        ([("picture", "4")], "no picture '4'. Choose from: face, house"),
        ([("seed", "")], "X axis: Seed: enter some values"),
    ],
)
def test_a_wrong_axis_is_refused_with_the_wrong_value(
    known: Mapping[str, Parameter], axes: list[tuple[str, str]], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        planned(known, *axes)


def test_x_varies_fastest_and_the_costly_axis_changes_least_often(known: Mapping[str, Parameter]) -> None:
    plan = planned(known, ("seed", "1, 2"), ("method", "w, z, psp"), ("model", "synthetic-houses, synthetic-faces"))
    assert plan.layout.sizes == (2, 3, 2) and len(plan.setups) == len(plan.layout.runs) == 12
    order = [(setup.model, setup.method, setup.run.seed) for setup in plan.setups]
    models, methods = ("synthetic-houses", "synthetic-faces"), ("w", "z", "psp")
    assert order == [(model, method, seed) for model in models for method in methods for seed in (1, 2)]
    assert Layout.of_record(json.loads(json.dumps(plan.layout.record())), 12) == plan.layout
    for cell, run in enumerate(plan.layout.runs):
        labels, setup = plan.layout.labels(cell), plan.setups[run]
        assert labels == {"Seed": str(setup.run.seed), "Method": METHODS[setup.method].label, "Model": setup.model}


def test_equal_cells_are_one_run(known: Mapping[str, Parameter]) -> None:
    plan = planned(known, ("method", "w,psp"), ("steps", "5,6,7"))
    assert len(plan.layout.runs) == 6 and len(plan.setups) == 4
    assert [plan.setups[run].method for run in plan.layout.runs] == ["w", "psp"] * 3
    presets = planned(known, ("preset", "quick, published"), ("method", "psp, wplus"))
    assert len(presets.setups) == 3, "pSp has the same settings in both presets"


def test_a_field_of_one_stage_comes_before_that_of_all(known: Mapping[str, Parameter]) -> None:
    [setup] = planned(known, ("seed", "0"), method="pti", steps=9, **{"pti.steps": 4}).setups
    settings = dict(setup.settings)
    assert (settings["wplus.steps"], settings["pti.steps"]) == (9, 4)
    assert settings["wplus.steps_from_mean"] == 0, "a given number of steps holds for every start"


def test_values_for_all_cells_are_written_in_one_line(known: Mapping[str, Parameter]) -> None:
    text = "w.lr=0.05; factor = 8\nmask=random;"
    assert read_choices(known, text) == {"w.lr": 0.05, "factor": 8, "mask": "random"}
    for wrong, words in (
        ("w.lr", "NAME=VALUE"),
        ("seed=1-3", "one value"),
        ("factor=", "one value"),
        ("a=1", "nothing"),
    ):
        with pytest.raises(GridError, match=words):
            read_choices(known, wrong)
    with pytest.raises(SettingError, match=r"No task of this grid has Factor \(factor\)"):
        planned(known, ("seed", "1"), factor=8)


def test_inpainting_has_a_mask_without_asking(known: Mapping[str, Parameter]) -> None:
    plan = planned(known, ("task", "inpaint, reconstruct"), ("mask", "centre, random"))
    assert [dict(setup.inputs) for setup in plan.setups] == [{"mask": "centre"}, {"mask": "random"}, {}]
    assert dict(planned(known, ("seed", "1"), task="inpaint").setups[0].inputs) == {"mask": "centre"}


def test_the_estimate_sums_what_is_known_within_the_budget(known: Mapping[str, Parameter]) -> None:
    plan = planned(known, ("method", "w, psp, pti"), ("seed", "1,2"), budget=60.0)
    times = {"w": 4.0, "pti": 100.0}
    size = estimate(plan, lambda model, methods: {key: times[key] for key in methods if key in times})
    assert (size.cells, size.runs, size.seconds, size.unknown) == (6, 6, 2 * (4 + 60), 2)


def test_tasks_and_pictures_are_problems_of_their_own(known: Mapping[str, Parameter]) -> None:
    plan = planned(known, ("method", "w,psp"), ("picture", ""), ("seed", "1"))
    assert [axis.comparable for axis in plan.layout.axes] == [True, False, True]
    sizes = planned(known, ("model", f"{DEFAULT}, stylegan2-ffhq-1024"))
    assert not sizes.layout.axes[0].comparable, "pictures of different sizes"
    assert MAX_CELLS == 64 and set(TASKS) >= {"inpaint"}
