"""Drawings, maps and turned faces become pictures."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from helpers.page import laid_out, opened
from helpers.serving import Served
from PIL import Image

from inversion import images
from inversion.synthetic import DEFAULT, DOMAINS
from inversion.synthetic.faces import CLASSES
from inversion.translations import INPUTS, TRANSLATIONS
from inversion.translations.drawings import PALETTE
from inversion.translations.label_map import CELEBA_CLASSES, legend
from ui.examples import drawings
from ui.parts.drawing import legend_html, swatches
from ui.parts.translated import Shown, other_choices
from ui.tabs import TABS, sketch


@pytest.mark.parametrize("kind", [name for name in TRANSLATIONS if name != "toonify"])  # no tiny encoder does that
def test_an_example_of_every_kind_becomes_pictures(kind: str, client: Client) -> None:
    upload = handle_file(drawings(TRANSLATIONS[kind].takes)[-1])
    rows, pictures, sheet = client.predict(picture=upload, kind=kind, variations=3, api_name="/sketch")
    assert rows[0]["translation"] == kind and rows[0]["variations"] == 3 and sheet is not None
    assert rows[0]["state"] == "done" and rows[0]["sha256"] is not None  # as in the rows of runs
    assert len(pictures) == 4 and pictures[0]["caption"] == "Your input"
    assert all(opened(shown["image"]).size == (32, 32) for shown in pictures[1:])
    again = client.predict(picture=upload, kind=kind, variations=1, api_name="/sketch")[1]
    assert (np.asarray(opened(again[1]["image"])) == np.asarray(opened(pictures[1]["image"]))).mean() > 0.99


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "Draw the outlines"),
        ({"kind": "map"}, "canvas is empty"),
        ({"kind": "toonify"}, "Cartoon: .* has no encoder for this translation"),
        ({"model": "only-z"}, "needs a generator with styles"),
        ({"variations": 11}, "variations must be"),
        ({"alpha": 2}, "alpha must be"),
        ({"mix_layers": 99}, "mix_layers must be"),
    ],
)
def test_a_message_says_why_a_drawing_is_refused(
    given: dict[str, Any], text: str, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "empty.png"
    Image.new("RGB", (64, 64), "white").save(path)
    with pytest.raises(AppError, match=text):
        client.predict(picture=handle_file(path), api_name="/sketch", **given)


def test_the_palette_shows_the_classes_of_the_model_and_no_others() -> None:
    classes = [("background", (255, 255, 255)), ("skin", PALETTE[1]), ("<b>", PALETTE[2])]
    html, colours = legend_html("map", classes), swatches(INPUTS["map"])
    assert 'nth-child(1)::after { content: "skin"; }' in html and "<b>" not in html
    assert f'nth-child({len(PALETTE)})::after {{ content: "background"; }}' in html and "nth-child(3)" not in html
    assert colours[0] == "#{:02x}{:02x}{:02x}".format(*PALETTE[1]) and colours[-1] == "#ffffff"
    assert len(colours) == len(PALETTE) and legend_html("map", []) == ""


def cards(legends: dict[str, list[tuple[str, tuple[int, int, int]]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Translation cards of models with these classes."""
    return {
        model: {
            name: {"unavailable": None, "takes": kind.takes, "legend": own if INPUTS[kind.takes].has_classes else []}
            for name, kind in TRANSLATIONS.items()
        }
        for model, own in legends.items()
    }


def test_a_map_is_read_in_one_way_only(site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, others = legend(CLASSES), legend(CELEBA_CLASSES)
    known = cards({"synthetic-faces": ours, "aligned": others, "only-z": []})
    monkeypatch.setattr(sketch, "translation_cards", lambda session, model: known[model])
    tab = laid_out(sketch.Sketch, site)
    offered = [tab.switch_models(models, "map") for models in (
        ["synthetic-faces"], ["aligned"], ["synthetic-faces", "aligned"], ["only-z"]
    )]  # fmt: skip
    assert [update[tab.strips["map", "synthetic-faces"]]["visible"] for update in offered] == [True, False, True, False]
    assert ["other classes" in update[tab.legends["map"]] for update in offered] == [False, False, True, False]
    values: dict[Any, Any] = {tab.variations: 1, tab.blend: 1, tab.first_layer: None, tab.seed: 0, tab.kind: "map"}
    values |= {tab.models: ["synthetic-faces", "aligned"]}
    values[tab.fields["map"]] = np.asarray(images.read(drawings("map")[0]))
    values |= {tab.job: None, tab.context.own_jobs.owner: "me"}
    last = list(tab.make(values, gr.Request(session_hash="page")))[-1]
    assert [caption for _, caption in last[tab.panel.gallery]] == ["Your input", "Main result"]
    status = last[tab.panel.status]
    assert "aligned" in status and "other classes than those of synthetic-faces" in status


def test_a_model_that_has_to_be_downloaded_does_not_stop_the_others(
    site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab = laid_out(sketch.Sketch, site)
    monkeypatch.setattr(tab.context.session.files, "missing", lambda name: name == "absent")
    values: dict[Any, Any] = {tab.variations: 1, tab.blend: 1, tab.first_layer: None, tab.seed: 0, tab.kind: "sketch"}
    values |= {tab.models: ["absent", "synthetic-faces"], tab.job: None, tab.context.own_jobs.owner: "me"}
    values[tab.fields["lines"]] = np.asarray(images.read(drawings("lines")[0]))
    last = list(tab.make(values, gr.Request(session_hash="page")))[-1]
    assert [caption for _, caption in last[tab.panel.gallery]] == ["Your input", "Main result"]
    assert "The model absent has not been downloaded yet." in last[tab.panel.status]


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_examples_are_drawings_of_what_the_model_knows(
    domain: str, site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = cards({"ours": legend(DOMAINS[domain].classes), "official": legend(CELEBA_CLASSES)})
    entries = {"ours": SimpleNamespace(domain=domain), "official": SimpleNamespace(domain="ffhq")}
    monkeypatch.setattr(sketch, "translation_cards", lambda session, model: known[model])
    monkeypatch.setattr(sketch, "registry", lambda: entries)
    tab = laid_out(sketch.Sketch, site)

    def shown(*models: str) -> set[tuple[str, str]]:
        update = tab.switch_models(list(models), "sketch")
        return {strip for strip, column in tab.strips.items() if update[column]["visible"]}

    assert {strip for strip in shown("ours") if INPUTS[strip[0]].drawn} == {("lines", domain), ("map", domain)}
    assert {about for _, about in shown("ours")} == {domain}
    assert {about for _, about in shown()} == {about for _, about in shown("official")} == {DEFAULT}


def test_the_legend_follows_the_models_also_of_an_earlier_run(site: Served) -> None:
    page = site.page.config
    ids = {one["props"].get("elem_id"): one["id"] for one in page["components"]}
    models, legend_of_maps = ids["sketch-models"], ids["sketch-map-legend"]
    events = [one for one in page["dependencies"] if legend_of_maps in one["outputs"] and models in one["inputs"]]
    assert [one["targets"] for one in events] == [[(models, "change")]]  # `input` would miss what the page restores


@pytest.mark.parametrize("kind", [kind for kind in TABS.values() if issubclass(kind, sketch.Sketch)])
def test_the_field_follows_the_choice_and_stays_when_models_offer_none(kind: type[sketch.Sketch], site: Served) -> None:
    page = site.page.config
    [menu] = [one["id"] for one in page["components"] if one["props"].get("elem_id") == f"{kind.key}-kind"]
    events = [one for one in page["dependencies"] if one["backend_fn"] and one["targets"] == [(menu, "change")]]
    [event] = [one["id"] for one in events if one["inputs"] == [menu]]
    tab = laid_out(kind, site)
    for chosen in [*tab.kinds, None]:
        call = {"data": [chosen], "fn_index": event, "session_hash": "a-window"}
        [*shown] = httpx.post(f"{site.url}gradio_api/run/predict", json=call).raise_for_status().json()["data"]
        visible = [one.get("visible") for one in shown]
        canvases, below = visible[: len(tab.fields)], visible[len(tab.fields) :]
        expected = 1 if chosen else 0
        assert canvases.count(True) == below.count(True) == expected, (chosen, shown)
        assert False not in canvases, "an editor that is removed while it starts never comes back"


def test_a_choice_that_the_models_no_longer_offer_is_no_error_of_the_server(site: Served) -> None:
    page = site.page.config
    ids = {one["props"].get("elem_id"): one["id"] for one in page["components"]}
    menu, models = ids["sketch-kind"], ids["sketch-models"]
    events = [one for one in page["dependencies"] if one["targets"] == [(models, "change")] and not one["queue"]]
    [event] = [one["id"] for one in events if menu in one["inputs"]]
    call = {"data": [None, "gone", ["synthetic-faces"]], "fn_index": event, "session_hash": "a-window"}
    assert httpx.post(f"{site.url}gradio_api/run/predict", json=call).status_code == 200


def test_pictures_of_other_choices_are_marked() -> None:
    shown = Shown("sketch", ["a", "b"])
    assert other_choices(None, "map", []) is other_choices(shown, "sketch", ["b", "a"]) is None
    assert "Sketch to picture" in (other_choices(shown, "map", ["a", "b"]) or "")
    assert "belong to a, b." in (other_choices(shown, "sketch", ["a"]) or "")
    assert "previous input" in (other_choices(shown._replace(kind=None), "sketch", ["a", "b"]) or "")
