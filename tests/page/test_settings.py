"""Settings of methods, custom pipelines, and what a model cannot serve."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import numpy as np
import pytest
from helpers.page import laid_out
from helpers.serving import Served

from inversion.common.settings import SettingError
from inversion.methods import METHODS, STAGES
from inversion.serving import catalogue
from ui.parts.fields import CUSTOM, KINDS, changed_settings, custom_section, menu, pipeline, sections
from ui.parts.inputs import InputError
from ui.tabs import TaskTab, all_tabs

TABS = {key: kind for key, kind in all_tabs().items() if issubclass(kind, TaskTab)}


def test_the_menus_hold_every_stage_by_kind_and_leave_out_what_is_lacking() -> None:
    assert sorted(key for kind in KINDS for _, key in menu(kind, {})[1:]) == sorted(STAGES)
    assert all(menu(kind, {})[0] == ("none", "") for kind in KINDS)
    assert "psp" not in [key for _, key in menu("embed", {"psp": "no encoder"})]


def test_typed_fields_are_settings_where_they_differ_from_their_defaults() -> None:
    card = catalogue.method("wplus")
    first = {spec.name: spec.default for spec in card.fields}
    assert (
        changed_settings(card, {"wplus": first}, "wplus")
        == {}
        == changed_settings(card, {"w": {"wplus.steps": 3}}, "wplus")
    )
    assert changed_settings(card, {"wplus": {**first, "wplus.steps": 3, "pti.steps": 5}}, "wplus") == {"wplus.steps": 3}
    with pytest.raises(InputError, match="enter a number"):
        changed_settings(card, {"wplus": {"wplus.steps": None}}, "wplus")
    for junk in (None, [], "x", {"wplus": 3}):  # what no page of ours sends
        assert changed_settings(card, junk, "wplus") == {}
    assert pipeline({"refine": "pti", "embed": "mean", "optimise": ""}) == "mean+pti" and pipeline(None) == ""


@pytest.mark.parametrize("key", [*METHODS, "psp+wplus+clone"])
def test_every_field_of_what_is_chosen_has_a_control_with_its_default(key: str) -> None:
    shown = sections(catalogue.methods(), [key]) if key in METHODS else custom_section(key)
    given = {
        field: (method, json.loads(unescape(first)))
        for method, field, first in re.findall(r'data-method="(.*?)" data-field="(.*?)" data-first="(.*?)"', shown)
    }
    own = key if key in METHODS else CUSTOM
    assert given == {spec.name: (own, spec.default) for spec in catalogue.method(key).fields}
    assert len(re.findall(r"<(?:input|select)[^>]* aria-label=", shown)) >= len(given)


def test_stages_that_do_not_fit_say_so_where_their_fields_would_be() -> None:
    assert "cannot be combined" in custom_section("mean+dip") and custom_section("") == ""
    assert sections(catalogue.methods(), []) == "" == sections(catalogue.methods(), ["<b>"])


@pytest.fixture(scope="module", params=TABS)
def tab(request: pytest.FixtureRequest, site: Served) -> TaskTab:
    """A task's tab, laid out again outside the page."""
    return laid_out(TABS[request.param], site)


def chosen(tab: TaskTab, stages: dict[str, str], typed: dict[str, Any]) -> dict[Any, Any]:
    """The components' values with these stages in the menus and this in the fields."""
    settings = tab.settings
    values = {part: part.value for part in settings.inputs()}
    return {**values, settings.fields.stages: stages, settings.fields.typed: typed}


def test_a_custom_pipeline_is_one_more_method_of_every_tab(tab: TaskTab) -> None:
    given, methods = {"picture": np.zeros((32, 32, 3), np.uint8)}, list(tab.words.methods)
    first = next(method for method in methods if catalogue.method(method).fields)
    field = catalogue.method(first).fields[0].name
    typed = {CUSTOM: {"wplus.steps": 3, "clone.steps": 9}, first: {field: 7}, "dip": {"dip.steps": 8}}
    values = chosen(tab, {"embed": "mean", "optimise": "wplus", "refine": "pti"}, typed)
    *selected, own = tab.settings.requests(values, given, tab.task)
    assert [request.method for request in selected] == methods
    quick = {method: METHODS[method].preset("quick") for method in methods}
    assert [dict(request.settings) for request in selected] == [
        METHODS[m].changed("quick", {field: 7} if m == first else {}) for m in methods
    ]
    assert own.method == "mean+wplus+pti" and own.settings == {"wplus.steps": 3}
    assert own.task == tab.task
    plain = tab.settings.requests(chosen(tab, {}, {}), given, tab.task)
    assert [(r.method, dict(r.settings)) for r in plain] == list(quick.items())
    paper = {**chosen(tab, {}, {}), tab.settings.preset: "published"}
    published = [(r.method, dict(r.settings)) for r in tab.settings.requests(paper, given, tab.task)]
    assert published == [(method, METHODS[method].preset("published")) for method in methods]
    with pytest.raises(SettingError, match="cannot be combined"):
        tab.settings.requests(chosen(tab, {"embed": "mean", "optimise": "dip"}, {}), given, tab.task)


def test_what_a_model_lacks_is_left_out_with_the_reason(tab: TaskTab, site: Served) -> None:
    _, without = site.session.unavailable("only-z")
    assert "w" in without and "z" not in without and "dip" not in without
    updates = tab.settings.offered({}, without, [], "synthetic-faces")
    shown = updates[tab.settings.fields.stages]["rows"]
    assert set(re.findall(r'<option value="(.*?)"', shown)) == {"", *STAGES} - set(without)
    assert "offers no W codes" in shown
