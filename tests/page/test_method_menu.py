"""The menu of methods: kinds, lines, and what its value may be."""

from __future__ import annotations

import re

import gradio as gr
import pytest

from inversion.methods import METHODS
from inversion.serving import catalogue
from inversion.tasks import TASKS
from ui.parts.method_menu import GROUPS, MethodMenu, last_sentence
from ui.tabs import TaskTab, all_tabs

LONGEST_LINE = 37  # characters; the page is 1440 pixels wide


@pytest.fixture(scope="module")
def menu() -> MethodMenu:
    with gr.Blocks():
        return MethodMenu("x", catalogue.methods(), ["w", "psp"])


def test_the_kind_of_a_method_is_that_of_its_stages() -> None:
    for key, card in catalogue.methods().items():
        kinds = [stage.kind for stage in METHODS[key].stages]
        assert card.kind == ("refine" if "refine" in kinds else "optimise" if "optimise" in kinds else "embed")
    assert catalogue.method("psp+wplus+clone").kind == "refine"


def test_every_method_is_in_its_group_with_a_line(menu: MethodMenu) -> None:
    shown = menu.rows({})
    groups = dict(zip(GROUPS, shown.split("<section")[1:], strict=True))
    for key, card in catalogue.methods().items():
        assert f'value="{key}"' in groups[card.kind] and last_sentence(card.description) in shown
    assert len(re.findall("<small id=", shown)) == len(METHODS)


def test_the_lines_of_methods_have_room_beside_their_names_and_times() -> None:
    lines = {key: last_sentence(method.description) for key, method in METHODS.items()}
    assert {key: line for key, line in lines.items() if len(line) > LONGEST_LINE} == {}


def test_methods_that_a_model_lacks_are_left_out_and_not_ticked(menu: MethodMenu) -> None:
    lacking = dict.fromkeys(["psp", "e4e", "encoder", "restyle"], "no encoder")
    update = menu.offered(lacking, ["psp", "w"])[menu.component]
    assert 'value="psp"' not in update["rows"] and GROUPS["embed"] not in update["rows"] and update["value"] == ["w"]
    lacking |= dict.fromkeys(["w", "wplus"], "no W")
    assert menu.offered(lacking, ["psp", "w"])[menu.component]["value"] == ["z"]
    assert "value" not in menu.offered(lacking, [])[menu.component]
    assert "value" not in menu.offered({}, ["psp", "w"])[menu.component]


def test_the_ticked_methods_come_fast_ones_first_whatever_is_sent(menu: MethodMenu) -> None:
    assert menu.selected(["pti", "w", "nope", "psp"]) == ["psp", "w", "pti"]
    for junk in (None, 3, {"w": 1}, "w", [["w"], None]):
        assert menu.selected(junk) == []


@pytest.mark.parametrize("key", [*TASKS, "edit"])
def test_a_tab_starts_with_an_encoder_and_up_to_two_slower_methods(key: str, menu: MethodMenu) -> None:
    kind = all_tabs()[key]
    assert issubclass(kind, TaskTab)
    methods = list(kind.words.methods)
    kinds = [catalogue.method(method).kind for method in methods]
    assert kinds[0] == "embed" and 1 <= kinds.count("optimise") <= 2 and kinds.count("refine") <= 1 and len(kinds) <= 3
    assert menu.selected(methods) == methods, "they run in another order"


def test_times_are_rounded_and_only_told_if_known(menu: MethodMenu) -> None:
    update = menu.offered({}, ["w"], {"psp": 0.2, "w": 8.4, "pti": 43.0, "clone": 312.0})[menu.component]
    known = {"psp": "under 1 s", "w": "about 8 s", "pti": "about 45 s", "clone": "about 5 min"}
    assert update["times"] == known
    assert menu.offered({}, ["w"])[menu.component]["times"] == {}
