"""Methods as pipelines: combinations of stages, settings, and what a model offers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inversion.methods import METHODS, SettingError, parse_method
from inversion.model import Model

GENERATOR_ONLY = ["z", "w", "wplus", "projector", "mganprior", "pulse", "pti", "dip"]


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("pti", ["mean", "wplus", "pti"]),
        ("mean+wplus+pti", ["mean", "wplus", "pti"]),
        ("w+wplus", ["mean", "w", "wplus"]),
        ("random+z+pti", ["random", "z", "pti"]),
        ("mganprior+pti", ["mean", "multicode", "pti"]),
        ("psp+wplus+clone", ["psp", "wplus", "clone"]),
        ("restyle+pti", ["restyle", "pti"]),
        ("psp+indomain", ["psp", "indomain"]),
        ("indomain+clone", ["guided", "indomain", "clone"]),
        ("z+pti", ["random", "z", "pti"]),
        ("pulse+pti", ["pulse", "pti"]),
        ("hybrid+pti", ["encoder", "wplus", "pti"]),
        ("multicode", ["mean", "multicode"]),
    ],
)
def test_a_combination_joins_the_stages_that_it_names(text: str, stages: list[str]) -> None:
    assert [stage.key for stage in parse_method(text).stages] == stages


@pytest.mark.parametrize(
    "text", ["", "nope", "wplus+nope", "pti+wplus", "wplus+wplus", "w+mean", "w++pti", "wplus+pti+clone", "dip+pti"]
)
def test_bad_combinations_are_refused(text: str) -> None:
    with pytest.raises(SettingError):
        parse_method(text)


def test_settings_are_read_strictly() -> None:
    method = parse_method("pti")
    changed = method.configured({"wplus.steps": "20", "wplus.noise": "true", "pti.locality": "on", "pti.lr": 0.01})
    assert changed.settings()["wplus.steps"] == 20 and changed.settings()["wplus.noise"] is True
    assert changed.settings()["pti.lr"] == 0.01 and method.settings()["wplus.steps"] != 20
    assert method.configured({"wplus.steps": 20.0}).settings()["wplus.steps"] == 20  # a slider's 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("wplus.steps", 10.7),
        ("wplus.steps", 0),
        ("wplus.steps", 10**9),
        ("wplus.steps", "many"),
        ("wplus.steps", None),
        ("wplus.steps", True),
        ("wplus.lr", float("nan")),
        ("wplus.lr", float("inf")),
        ("wplus.lr", -1),
        ("wplus.noise", 1),
        ("pti.locality", "maybe"),
        ("pti.locality", 3),
        ("wplus.speed", 1),
        ("w.steps", 1),
        ("steps", 1),
    ],
)
def test_bad_settings_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=name):
        parse_method("pti").configured({name: value})


def test_a_model_without_encoders_offers_the_other_methods(model: Model) -> None:
    bare = replace(model, encoders={})
    offered = {key for key, method in METHODS.items() if method.unavailable(bare) is None}
    assert offered == {*GENERATOR_ONLY, "clone"}
    assert "psp encoder" in str(METHODS["psp"].unavailable(bare)).lower()
    assert "discriminator" in str(METHODS["clone"].unavailable(replace(bare, discriminator=None)))
    assert [key for key, method in METHODS.items() if method.unavailable(Model("empty")) is None] == ["dip"]
